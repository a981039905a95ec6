"""pydantic's models: pydantic itself dumps and validates them.

It is the application's library. Nothing here imports it: whoever has a model has imported it already.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any, get_args

from ..errors import UsageError

SECRET = "**********"
"""What pydantic writes in the place of a secret, which a handler would then take for the secret itself."""


class Misfit(Exception):
    """Data does not fit a model. The message quotes nothing of it."""


def is_model(cls: Any) -> bool:
    """Whether a class is a pydantic model, or a dataclass of pydantic's."""
    return isinstance(cls, type) and hasattr(cls, "__pydantic_validator__")


def dump(model: Any) -> Any:
    """A model as values of JSON, by its own dump.

    Raises:
        UsageError: the dump hides a secret.
        Exception: whatever its serializers raise.
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
    """A type in which models stand, as pydantic validates it.

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
            Misfit: it does not fit.
        """
        try:
            return self._adapter.validate_json(json.dumps(data))
        except sys.modules["pydantic"].ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            raise Misfit("; ".join(self._says(one) for one in found)) from None

    def _says(self, problem: dict[str, Any]) -> str:
        """What is wrong, and where. A message may quote the data, and so may keys of dicts: only fields are named."""
        path = "".join(
            f".{step}" if step in self._fields else f"[{step}]" if isinstance(step, int) else "[...]"
            for step in problem["loc"]
        )
        return f"{problem['type']} - at `${path}`"


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
