"""pydantic's models: pydantic itself dumps and validates them.

It is the application's library. Nothing here imports it: an application with a model has imported it already.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any, get_args

from ..errors import UsageError

SECRET = "**********"
"""Pydantic's text in the place of a secret, which a handler would then take for the secret itself."""


PROBLEMS_MAX = 5
"""The most listed problems of one payload."""

TOLD_CHARACTERS_MAX = 200
"""The most characters of one problem, and of its place."""

OWN_CHECKS = {"value_error", "assertion_error"}
"""The types of pydantic's errors with the text of an application's own check, which may quote the data."""

OF_THE_DATA = ("error", "encoding_error", "tag", "tz_actual", "actual_length")
"""The variables of pydantic's messages about the value. The others are about the declaration."""

QUOTE = re.compile(rf"(?:[,:] (?:error: |got |not )?| )'?\{{(?:{'|'.join(OF_THE_DATA)})\}}'?")
"""The quotes of values in these messages."""


class PayloadMismatch(Exception):
    """Data does not fit a model. The message quotes nothing of it."""


def is_model(cls: Any) -> bool:
    return isinstance(cls, type) and hasattr(cls, "__pydantic_validator__")


def dump(model: Any) -> Any:
    """A model as values of JSON, by its own dump.

    Raises:
        UsageError: the dump hides a secret.
        Exception: its serializers raise.
    """
    options: dict[str, Any] = {"mode": "json", "by_alias": True, "round_trip": True}
    own = getattr(model, "model_dump", None)
    values = model.__pydantic_serializer__.to_python(model, **options) if own is None else own(**options)
    if _hides(values):
        raise UsageError(
            f"expected data without secrets, got: a secret of pydantic's in {type(model).__name__}, which its dump "
            "hides; pass a reference to it"
        )
    return values


def asks_for_model(wanted: Any) -> bool:
    """Whether a type is a model, or a union or container of some."""
    return is_model(wanted) or any(map(asks_for_model, get_args(wanted)))


class ModelType:
    """A type that contains models, validated by pydantic.

    Raises:
        UsageError: pydantic cannot.
    """

    def __init__(self, wanted: Any) -> None:
        try:
            self._adapter = sys.modules["pydantic"].TypeAdapter(wanted)
            # A model whose fields name types that were not defined yet is built when its validator is used.
            _ = self._adapter.validator.validate_json
        except Exception as error:
            reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            raise UsageError(f"expected a payload type that can be validated, got: {wanted!r} ({reason})") from error
        self.name = getattr(wanted, "__name__", str(wanted))
        self._fields = frozenset(_fields(wanted, set()))

    def validate(self, data: Any) -> Any:
        """The data as this type. It is read as JSON, so that a strict model takes text for a UUID or a date.

        Raises:
            PayloadMismatch: it does not fit.
        """
        try:
            return self._adapter.validate_json(json.dumps(data))
        except sys.modules["pydantic"].ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            told = [f"{_cut(_message(one))} - at `{_cut(self._path(one['loc']))}`" for one in found[:PROBLEMS_MAX]]
            if len(found) > PROBLEMS_MAX:
                told.append(f"and {len(found) - PROBLEMS_MAX} more")
            raise PayloadMismatch("; ".join(told)) from None

    def _path(self, steps: tuple[str | int, ...]) -> str:
        """The place of a problem. Keys of dicts are data: only fields are named."""
        return "$" + "".join(
            f".{step}" if step in self._fields else f"[{step}]" if isinstance(step, int) else "[...]" for step in steps
        )


def _message(problem: dict[str, Any]) -> str:
    """The problems in pydantic's words, without the value: job data is never logged."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in OWN_CHECKS:
        return f"Expected what its own checks take, which raised {type(context.get('error')).__name__}"
    try:
        template = sys.modules["pydantic_core"].PydanticKnownError(kind, context).message_template
    except (KeyError, TypeError):
        return f"Expected what its own checks take, which said {kind}"
    declared = {name: value for name, value in context.items() if name not in OF_THE_DATA}
    plural = "" if 1 in declared.values() else "s"
    return str(QUOTE.sub("", template).format_map({**declared, "expected_plural": plural}))


def _cut(text: str) -> str:
    return text if len(text) <= TOLD_CHARACTERS_MAX else f"{text[:TOLD_CHARACTERS_MAX]}..."


def _hides(values: Any) -> bool:
    match values:
        case str():
            return values == SECRET
        case list() | tuple():
            return any(map(_hides, values))
        case dict():
            return any(map(_hides, values.values()))
    return False


def _fields(wanted: Any, seen: set[int]) -> Iterator[str]:
    """The names of all fields that an error may point to."""
    if id(wanted) in seen:
        return
    seen.add(id(wanted))
    for name, field in getattr(wanted, "__pydantic_fields__", {}).items():
        yield name
        yield from (alias for alias in (field.alias, field.validation_alias) if isinstance(alias, str))
        yield from _fields(field.annotation, seen)
    for part in get_args(wanted):
        yield from _fields(part, seen)
