"""A newsletter with Flask: `flask run` for the pages, and `flask lamplighter run` for the jobs."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask, abort, redirect, render_template, request, url_for
from lamplighter import UnknownJob
from letters import TABLES, close_database, database, lamp, send_letter
from werkzeug.wrappers import Response


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """The application."""
    app = Flask(__name__)
    # The store is the application's own database file, so a job can be queued in the transaction that writes a letter.
    app.config["LAMPLIGHTER_STORE"] = os.path.join(app.instance_path, "letters.db")
    app.config.from_prefixed_env()
    app.config.update(config or {})
    lamp.init_app(app)
    app.teardown_appcontext(close_database)

    Path(app.config["LAMPLIGHTER_STORE"]).parent.mkdir(exist_ok=True)
    with app.app_context(), database() as db:
        db.executescript(TABLES)

    @app.get("/")
    def page() -> str:
        return render_template("page.html", **overview())

    @app.get("/letters")
    def overview() -> dict[str, Any]:
        states = {job.id: job.state for job in lamp.jobs.list("send-letter", limit=20)}
        letters = database().execute("select * from letters order by rowid desc limit 20").fetchall()
        count = database().execute("select * from counts order by rowid desc limit 1").fetchone()
        return {
            "letters": [{**letter, "state": states.get(letter["job"])} for letter in map(dict, letters)],
            "count": count and dict(count),
        }

    @app.post("/letters")
    def send() -> Response:
        subject, readers = request.form.get("subject", ""), request.form.get("readers", 0, type=int)
        if not subject or not 1 <= readers <= 10_000:
            abort(422, "a letter has a subject, and 1 to 10000 readers")
        letter_id = uuid.uuid4().hex
        try:
            with database() as db:  # one transaction: there is a job if and only if there is a letter
                job = send_letter.queue(letter_id, connection=db)
                db.execute("insert into letters values (?, ?, ?, ?, ?)", (letter_id, subject, readers, 0, job.id))
        except sqlite3.IntegrityError:
            abort(409, "there is a letter with this subject")
        return redirect(url_for("page"), 303)

    @app.get("/jobs/<job_id>")
    def look(job_id: str) -> dict[str, Any]:
        try:
            return lamp.jobs.get(job_id).to_dict()
        except UnknownJob:
            abort(404)

    @app.post("/jobs/<job_id>/cancel")
    def cancel(job_id: str) -> Response:
        try:
            lamp.jobs.cancel(job_id)
        except UnknownJob:
            abort(404)
        return redirect(url_for("page"), 303)

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": lamp.runtime.health().status, "pid": os.getpid()}

    return app
