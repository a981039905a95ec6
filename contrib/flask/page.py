"""The page in a Flask application."""

from __future__ import annotations

import dataclasses
from typing import Any

import flask
from flask import Flask

from ...api.runtime import Runtime
from ...errors import UsageError, shown
from ...web.faces.wsgi import request_of
from ...web.site import dashboard

ENDPOINT = "lamplighter"
"""As `url_for` knows it."""


def mount(app: Flask, runtime: Runtime, place: str, who: Any) -> None:
    """Have the page at a path of an application.

    Args:
        place: such as `/jobs`.
        who: is called within the request, so that it may ask `flask.session` or `current_user`.

    Raises:
        UsageError: see `dashboard`.
    """
    if not place.startswith("/") or place == "/":
        raise UsageError(f"expected dashboard to be a path such as '/jobs', got: {shown(place)}")
    site, place = dashboard(runtime, who=who), place.rstrip("/")

    def page(rest: str = "") -> flask.Response:
        asked = request_of(flask.request.environ)
        response = site.answer(dataclasses.replace(asked, root=f"{asked.root}{place}", path=f"/{rest}"))
        if response.stream is not None:
            # It would hold a worker; the page asks again now and then instead.
            return flask.Response(status=204)
        return flask.Response(response.body, response.status, response.headers, content_type=response.kind)

    for rule in (f"{place}/", f"{place}/<path:rest>"):
        app.add_url_rule(rule, ENDPOINT, page, methods=["GET", "POST"])
