"""The settings `LAMPLIGHTER_...` of a Flask application, and what can be wrong with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from flask import Flask

from ...errors import UsageError
from ...rules.validation import check_one_of, unknown_options
from ...stores.addresses import STORES
from ..settings import OPTIONS, WORK_IN, check_option

PREFIX = "LAMPLIGHTER_"
STORE = "LAMPLIGHTER_STORE"

KNOWN = ("STORE", "WORK_IN", *OPTIONS)


def runtime_options(app: Flask) -> dict[str, Any]:
    """The arguments of `Runtime`.

    Raises:
        UsageError: a setting is missing, unknown or wrong; the message names it.
    """
    given = {key.removeprefix(PREFIX): value for key, value in app.config.items() if key.startswith(PREFIX)}
    if unknown := given.keys() - set(KNOWN):
        known = [PREFIX + name for name in KNOWN]
        raise unknown_options([PREFIX + name for name in unknown], known, f"the Flask application {app.name!r}")
    if given.get("STORE") is None:
        raise UsageError(f'expected app.config["{STORE}"] to be {STORES}; it is not set')
    given.pop("WORK_IN", None)
    for name, value in given.items():
        try:
            check_option(name, value)
        except UsageError as error:
            raise UsageError(f"{PREFIX}{name}: {error}") from None
    given["STORE"] = _in_instance(app, given["STORE"])
    return {name.lower(): value for name, value in given.items()}


def works_in_web(app: Flask) -> bool:
    """Whether the processes that serve requests run jobs.

    Raises:
        UsageError: the setting is something else.
    """
    where: str = check_one_of(app.config.get(f"{PREFIX}WORK_IN", "worker"), f"{PREFIX}WORK_IN", WORK_IN)
    return where == "web"


def _in_instance(app: Flask, store: Any) -> Any:
    """A relative path is relative to the application's instance folder, wherever its processes were started."""
    address = os.fspath(store).removeprefix("sqlite:///")
    if address == ":memory:" or "://" in address or os.path.isabs(address):
        return store
    Path(app.instance_path).mkdir(parents=True, exist_ok=True)
    return os.path.join(app.instance_path, address)
