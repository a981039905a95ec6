"""Jobs of a project whose database is a PostgreSQL, and whose store is therefore elsewhere: they follow its commits."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy
import sqlalchemy.orm
from lamplighter import UsageError

SERVERS = Path(__file__).resolve().parents[4] / "bench" / "servers.py"

PROJECT = """
import json, sys, threading

import django
from django.conf import settings

host, port, user, name, store = sys.argv[1:]
database = {"ENGINE": "django.db.backends.postgresql", "HOST": host, "PORT": port, "USER": user, "NAME": name}
settings.configure(
    DATABASES={"default": {**database, "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}},
    INSTALLED_APPS=["lamplighter.contrib.django"],
    LAMPLIGHTER={"STORE": store},
)
django.setup()

from django.db import connection, transaction
from lamplighter import Snooze
from lamplighter.contrib.django import jobs, runtime


def users():
    with connection.cursor() as cursor:
        cursor.execute("select name from users order by name")
        return [name for (name,) in cursor.fetchall()]


def insert(name):
    with connection.cursor() as cursor:
        cursor.execute("insert into users values (%s)", [name])


@jobs.handler("greet")
def greet(job):
    return job.data in users()


@jobs.handler("pid")
def pid(job):
    with connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid()")
        return cursor.fetchone()[0]


class Regret(Exception):
    pass


def sign_up(name, *, regret=False):
    try:
        with transaction.atomic():
            insert(name)
            # Before the commit it does not exist, so that nothing can run it.
            job = jobs.queue("greet", name)
            before = [one.id for one in jobs.list("greet")]
            if regret:
                raise Regret
    except Regret:
        pass
    return job, job.id in before


with connection.cursor() as cursor:
    cursor.execute("create table users (name text)")
said = {}
with runtime:
    ada, said["before the commit"] = sign_up("ada")
    said["committed"] = jobs.join(ada, timeout=20).result
    bob, _ = sign_up("bob", regret=True)
    with transaction.atomic():
        insert("eve")
        try:
            with transaction.atomic():
                joe = jobs.queue("greet", "joe")
                raise Regret
        except Regret:
            pass
        eve = jobs.queue("greet", "eve")
    said["savepoint"] = jobs.join(eve, timeout=20).result
    known = [job.id for job in jobs.list("greet")]
    said["rolled back"] = [job.id in known for job in (bob, joe)]

    first = jobs.join(jobs.queue("pid"), timeout=20).result
    same = jobs.join(jobs.queue("pid"), timeout=20).result
    with connection.cursor() as cursor:
        cursor.execute("select pg_terminate_backend(%s)", [first])
    third = jobs.join(jobs.queue("pid"), timeout=20)
    said["connections"] = [first == same, first != third.result, third.attempt]
    said["users"] = users()
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The URL of a database on a server of the tests' own."""
    spec = importlib.util.spec_from_file_location("bench_servers", SERVERS)
    assert spec is not None and spec.loader is not None
    servers: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(servers)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as ends:
        # It does not run as root, and then its user must get there.
        Path(folder).chmod(0o711)
        try:
            yield servers.postgres(Path(folder), ends)()
        except servers.NoServer as error:
            if os.environ.get("CI") == "true":
                pytest.fail(str(error))
            pytest.skip(str(error))


def test_jobs_follow_the_commits_of_a_postgresql(database: str, tmp_path: Path) -> None:
    url = urlsplit(database)
    script = tmp_path / "project.py"
    script.write_text(PROJECT)

    ran = subprocess.run(
        [
            sys.executable,
            str(script),
            str(url.hostname),
            str(url.port),
            str(url.username),
            url.path[1:],
            str(tmp_path / "jobs.db"),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "before the commit": False,
        "committed": True,
        "savepoint": True,
        "rolled back": [False, False],
        # The thread keeps its connection, and has another one when the server has closed that.
        "connections": [True, True, 1],
        "users": ["ada", "eve"],
    }


def test_a_session_on_a_postgresql_is_refused_and_its_commit_can_be_followed(database: str, runtime: Any) -> None:
    rt = runtime()
    engine = sqlalchemy.create_engine(database.replace("postgresql://", "postgresql+psycopg://"))
    with sqlalchemy.orm.Session(engine) as session:
        session.execute(sqlalchemy.text("select 1"))
        with pytest.raises(UsageError, match=r"on SQLite, got: sqlalchemy\.orm\.session\.Session"):
            rt.jobs.queue("welcome", connection=session)

        sqlalchemy.event.listen(session, "after_commit", lambda session: rt.jobs.queue("welcome"), once=True)
        session.rollback()
        after_rollback = rt.jobs.counts("welcome")["queued"]
        session.execute(sqlalchemy.text("select 1"))
        session.commit()

    engine.dispose()
    assert (after_rollback, rt.jobs.counts("welcome")["queued"]) == (0, 1)
