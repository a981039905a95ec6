"""`settings.LAMPLIGHTER`: the options of `Runtime`, in capitals, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS
from django.utils.module_loading import import_string

from ...api.runtime import Runtime
from ...errors import UsageError, shown
from ...rules.validation import check_one_of, unknown_options
from ..settings import OPTIONS, WORK_IN, check_option

KNOWN = (
    "STORE",
    "DATABASE",
    "WORK_IN",
    *(name for name in OPTIONS if name != "ENVIRONMENT"),
)
"""The keys of the setting. DATABASE is the alias of the database whose transactions jobs follow."""

OURS = ("DATABASE", "WORK_IN")
"""The keys that are no option of `Runtime`."""

BY_PATH = ("ON_FAILURE", "CARRIERS", "LOGGER")
"""The options that a settings file names by a dotted path, because importing the application there would be too early.
"""


def database() -> str:
    """The alias of the database whose transactions jobs follow."""
    return str(_given().get("DATABASE", DEFAULT_DB_ALIAS))


def works_in_web() -> bool:
    """Whether the processes that serve requests run jobs."""
    given = getattr(settings, "LAMPLIGHTER", None)
    return isinstance(given, Mapping) and given.get("WORK_IN") == "web"


def runtime_options() -> dict[str, Any]:
    """The arguments of `Runtime`, the store among it, if the setting has no `problems`."""
    return {name.lower(): _loaded(name, value) for name, value in _given().items() if name not in OURS}


def problems() -> Iterator[str]:
    """The problems of the setting: a sentence for each part of it, which names that part."""
    given = getattr(settings, "LAMPLIGHTER", None)
    if not isinstance(given, Mapping) or "STORE" not in given:
        yield (
            'expected the setting LAMPLIGHTER = {"STORE": ...}: a path, such as BASE_DIR / "db.sqlite3", or '
            f'"amqp://user:password@host/vhost", got: {shown(given)}'
        )
        return
    if unknown := {str(name) for name in given} - set(KNOWN):
        yield str(unknown_options(unknown, KNOWN, "the setting LAMPLIGHTER"))
    alone = [said for name, value in given.items() if name in KNOWN for said in _problem(name, value)]
    yield from alone
    if not alone and not unknown:
        try:
            Runtime(**runtime_options())
        except UsageError as error:
            yield f"LAMPLIGHTER: {error}"


def _problem(name: str, value: Any) -> Iterator[str]:
    if name == "DATABASE":
        if value not in settings.DATABASES:
            yield (
                f"LAMPLIGHTER['DATABASE']: expected an alias of DATABASES ({', '.join(settings.DATABASES)}), "
                f"got: {shown(value)}"
            )
        return
    try:
        if name == "WORK_IN":
            check_one_of(value, name, WORK_IN)
            return
        check_option(name, _loaded(name, value))
    except (UsageError, ImportError) as error:
        yield f"LAMPLIGHTER[{name!r}]: {error}"


def _given() -> Mapping[str, Any]:
    given: Mapping[str, Any] = settings.LAMPLIGHTER
    return given


def _loaded(name: str, value: Any) -> Any:
    """The value itself, of one that is named by its path."""
    if name not in BY_PATH:
        return value
    if isinstance(value, str):
        return import_string(value)
    if name == "CARRIERS" and isinstance(value, Sequence):
        found = [import_string(one) if isinstance(one, str) else one for one in value]
        return [one() if isinstance(one, type) else one for one in found]
    return value
