"""Typed payloads: what a handler's annotation asks for, and data that fits it. msgspec converts it."""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable
from typing import Any

import msgspec
import msgspec.inspect

from ..errors import Discard, UsageError

JSON_VALUES: tuple[Any, ...] = (None, True, 1, 0.5, "", [], {})
"""One of each type that data may have."""

WITHOUT_VALUES = re.compile(
    r"Expected |Object missing required field |Invalid (UUID|decimal|RFC3339|base64|ISO8601|epoch) ?"
    r"|(Timestamp|Duration|Integer value|Number) (is )?out of range"
)
"""How msgspec's messages begin that say what a type asks for, and nothing of what came but its type."""

WITH_VALUES = {
    "Invalid enum value ": "Expected one of its declared values",
    "Invalid value ": "Expected the tag of one of its declared types",
    "Object contains unknown field ": "Expected no field but the declared ones",
}
"""How those begin that quote the data, which must not reach a log, and what is said instead."""

PATH = re.compile(r" - at `([^`]*` in `)?\$(\.[A-Za-z_][\w-]*|\[\d*\]|\[\.\.\.\])*`$")
"""Where in the data, at the end of a message. It names declared fields only."""


def payload_type(fn: Callable[..., Any], job_type: type) -> Any:
    """The `X` of a handler whose first parameter is annotated `Job[X]`; None when it is not.

    Raises:
        UsageError: the annotation is `Job[...]` with a type that cannot be resolved or validated.
    """
    try:
        parameter = next(iter(inspect.signature(fn).parameters.values()), None)
    except (TypeError, ValueError):
        return None
    if parameter is None or parameter.annotation is inspect.Parameter.empty:
        return None
    try:
        annotation = typing.get_type_hints(inspect.unwrap(_function(fn)))[parameter.name]
    except Exception as error:
        # A plain `job: Job` imported for type checkers only asks for nothing and must go on working.
        if "Job[" not in str(parameter.annotation):
            return None
        raise UsageError(
            f"expected the annotation {parameter.annotation} of {fn!r} to be resolvable when it is added: {error}"
        ) from error
    if typing.get_origin(annotation) is not job_type:
        return None
    (wanted,) = typing.get_args(annotation)
    if wanted is Any:
        return None
    try:
        msgspec.json.Decoder(wanted)
    except TypeError as error:
        raise UsageError(f"expected a payload type that can be validated, got: {wanted!r} ({error})") from error
    _check_possible(wanted)
    return wanted


def _check_possible(wanted: Any) -> None:
    """msgspec takes any class for one that its caller can make, and only the first job would show that nobody can.

    Raises:
        UsageError: no JSON data can be made into a part of this type.
    """
    seen: set[int] = set()
    waiting: list[Any] = [msgspec.inspect.type_info(wanted)]
    while waiting:
        info = waiting.pop()
        if id(info) in seen:
            continue
        seen.add(id(info))
        match info:
            case msgspec.inspect.CustomType(cls=cls) if not isinstance(cls, type) or not _is_json(cls):
                raise UsageError(
                    "expected a payload type that JSON data can be made into (a dataclass, TypedDict, NamedTuple, "
                    "attrs class, msgspec.Struct or Enum, or one that msgspec knows, and containers of them), "
                    f"got: {cls!r} in {wanted!r}; ask for dict, and make it in the handler"
                )
            case msgspec.inspect.Type() | msgspec.inspect.Field():
                waiting += [getattr(info, name) for name in info.__struct_fields__]
            case tuple():
                waiting += info


def _is_json(cls: type) -> bool:
    """Whether some data is of this class as it is."""
    return any(isinstance(value, cls) for value in JSON_VALUES)


def _function(fn: Callable[..., Any]) -> Any:
    """Where the annotations of something callable stand."""
    if isinstance(fn, functools.partial):
        return _function(fn.func)
    return fn if inspect.isroutine(fn) or inspect.isclass(fn) else type(fn).__call__


def fit(data: Any, wanted: Any) -> Any:
    """The data as the type a handler asks for.

    Raises:
        Discard: it does not fit; trying again would not help.
    """
    if wanted is None:
        return data
    try:
        return msgspec.convert(data, type=wanted)
    except msgspec.ValidationError as error:
        name = getattr(wanted, "__name__", str(wanted))
        raise Discard(f"data does not fit {name}: {_without_values(error)}") from None


def _without_values(error: msgspec.ValidationError) -> str:
    """What was expected, and where, without what came: job data is never logged."""
    said = str(error)
    path = PATH.search(said)
    where = path.group() if path is not None else ""
    if error.__cause__ is not None:
        # The words of a class's own check, which may quote what it was given.
        return f"Expected what its own checks take, which raised {type(error.__cause__).__name__}{where}"
    for begin, instead in WITH_VALUES.items():
        if said.startswith(begin):
            return instead + where
    return said if WITHOUT_VALUES.match(said) else f"Expected another value{where}"
