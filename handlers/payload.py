"""Typed payloads: what a handler's annotations ask for and promise, and data that fits. msgspec converts it, and
pydantic its own models.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

import msgspec
import msgspec.inspect

from ..errors import Discard, UsageError
from ..rules.codec import CARRIED, decode
from ..rules.models import ModelType, PayloadMismatch, asks_for_model, is_model

JSON_VALUES: tuple[Any, ...] = (None, True, 1, 0.5, "", [], {})
"""One of each type that data may have."""

JSON_CLASSES = (bool, int, float, str, list, tuple, dict)
"""Their subclasses are carried as what they are like."""

MISSING = "Object missing required field"

WITHOUT_VALUES = re.compile(
    rf"Expected |{MISSING} |Invalid (UUID|decimal|RFC3339|base64|ISO8601|epoch) ?"
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
    """The `X` of a handler whose first parameter is annotated `Job[X]`, as `fit` takes it; None when it is not.

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
        annotation = _hints(fn)[parameter.name]
    except Exception as error:
        # A plain `job: Job` imported for type checkers only asks for nothing and must go on working.
        if "Job[" not in str(parameter.annotation):
            return None
        raise UsageError(
            f"expected the annotation {parameter.annotation} of {fn!r} to be resolvable when it is added: {error}"
        ) from error
    if typing.get_origin(annotation) is not job_type:
        if isinstance(annotation, type) and _is_payload(annotation):
            raise UsageError(
                f"expected the parameter {parameter.name} of {fn!r} to be annotated Job[{annotation.__name__}], got: "
                f"{annotation.__name__}; the function is given the job, whose data is {parameter.name}.data"
            )
        return None
    wanted, _ = typing.get_args(annotation)
    if wanted is Any:
        return None
    if asks_for_model(wanted):
        return ModelType(wanted)
    try:
        msgspec.json.Decoder(wanted)
    except TypeError as error:
        raise UsageError(f"expected a payload type that can be validated, got: {wanted!r} ({error})") from error
    # msgspec takes any class for one that its caller can make, and only the first job would show that nobody can.
    for cls in _foreign_classes(wanted):
        if not _is_json(cls):
            raise UsageError(
                "expected a payload type that JSON data can be made into (a dataclass, TypedDict, NamedTuple, "
                "attrs class, msgspec.Struct, pydantic model, Enum or path, or one that msgspec knows, and "
                f"containers of them), got: {cls!r} in {wanted!r}; ask for dict, and make it in the handler"
            )
    return wanted


def result_type(fn: Callable[..., Any], what: str) -> Any:
    """The return type by the annotation of a function, as `fit` takes it. None where it says nothing, and where
    what is stored of a result does not say which of several types it was.

    Args:
        what: how an error names the function.

    Raises:
        UsageError: it is not JSON-serializable, so that nobody could keep a result, whatever work was done for it.
    """
    try:
        returned = _hints(fn).get("return", Any)
    except Exception:
        # It stands for type checkers only.
        return None
    if returned is Any:
        # Most functions of steps say nothing, and each step asks.
        return None
    for cls in _returned_classes(returned):
        if not (_is_json(cls) or issubclass(cls, JSON_CLASSES)):
            raise UsageError(
                f"expected a JSON-serializable result ({CARRIED}, and containers of them), got: {cls!r} in "
                f"{returned!r}, which {what} returns; return an id, a dict or None"
            )
    try:
        if asks_for_model(returned):
            return ModelType(returned)
        msgspec.json.Decoder(returned)
        is_readable = all(map(_is_json, _foreign_classes(returned)))
    except (TypeError, UsageError):
        return None
    return returned if is_readable else None


def _returned_classes(returned: Any) -> Iterator[type]:
    """The classes of which a result of this type may be, and that msgspec knows nothing of."""
    if typing.get_origin(returned) in (typing.Union, types.UnionType):
        # Each may be carried, though no data could be made into their union.
        for one in typing.get_args(returned):
            yield from _returned_classes(one)
        return
    try:
        yield from _foreign_classes(returned)
    except TypeError:
        # Nothing can be said of it before the first result.
        return


@functools.lru_cache(maxsize=256)
def _foreign_classes(wanted: Any) -> Sequence[type]:
    """The classes within a type that msgspec knows nothing of, but paths and models, which are ours to carry. They are
    looked for once: each step asks for the type that its function returns.

    Raises:
        TypeError: msgspec does not understand the type at all.
    """
    foreign: list[type] = []
    seen: set[int] = set()
    waiting: list[Any] = [msgspec.inspect.type_info(wanted)]
    while waiting:
        info = waiting.pop()
        if id(info) in seen:
            continue
        seen.add(id(info))
        match info:
            case msgspec.inspect.CustomType(cls=cls):
                if not (is_model(cls) or issubclass(cls, PurePath)):
                    foreign.append(cls)
            case msgspec.inspect.Type() | msgspec.inspect.Field():
                waiting += [getattr(info, name) for name in info.__struct_fields__]
            case tuple():
                waiting += info
    return tuple(foreign)


def _is_payload(cls: type) -> bool:
    """Whether it is a type of data, and cannot be a job."""
    return is_model(cls) or issubclass(cls, (msgspec.Struct, *JSON_CLASSES)) or dataclasses.is_dataclass(cls)


def _is_json(cls: type) -> bool:
    """Whether some data is of this class as it is."""
    return any(isinstance(value, cls) for value in JSON_VALUES)


def _hints(fn: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(inspect.unwrap(_function(inspect.unwrap(fn))))


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
    try:
        return data if wanted is None else _convert(data, wanted)
    except PayloadMismatch as error:
        raise Discard(f"data does not fit {_name(wanted)}: {error}") from None


class HandlerTypes(NamedTuple):
    """The payload type of a handler and the type of its results, of those that it has."""

    wanted: Any
    returned: Any

    def data(self, stored: Any) -> Any:
        """Data as what the handler asks for.

        Raises:
            UsageError: it does not fit.
        """
        return self._as(stored, self.wanted, "data that fits")

    def check(self, text: str) -> None:
        """Make sure that data, as JSON text, is what the handler asks for.

        Raises:
            UsageError: it does not fit.
        """
        if self.wanted is not None and not _fits_surely(text, self.wanted):
            self.data(decode(text))

    def result(self, stored: Any) -> Any:
        """A result as what the handler returns.

        Raises:
            UsageError: it does not fit.
        """
        return self._as(stored, self.returned, "a result that fits")

    def _as(self, stored: Any, wanted: Any, what: str) -> Any:
        try:
            return stored if wanted is None else _convert(stored, wanted)
        except PayloadMismatch as error:
            raise UsageError(f"expected {what} {_name(wanted)}: {error}") from None


def _convert(data: Any, wanted: Any) -> Any:
    if isinstance(wanted, ModelType):
        return wanted.validate(data)
    try:
        return msgspec.convert(data, type=wanted, str_keys=True, dec_hook=_made)
    except msgspec.ValidationError as error:
        raise PayloadMismatch(_without_values(error)) from None


def _fits_surely(text: str, wanted: Any) -> bool:
    """Whether data fits, in a part of the time that it takes to say why it does not. False where that is not known."""
    if isinstance(wanted, ModelType):
        return False
    try:
        _decoder(wanted).decode(text)
    except Exception:
        # Why not is said by whoever looks with care: it may be any error of a class's own check.
        return False
    return True


@functools.lru_cache(maxsize=256)
def _decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(wanted, dec_hook=_made)


def _name(wanted: Any) -> str:
    return str(wanted.name if isinstance(wanted, ModelType) else getattr(wanted, "__name__", wanted))


_model_type = functools.lru_cache(maxsize=256)(ModelType)
"""The validator of a model that stands in a dataclass, say: pydantic need not be asked for each job how to validate it.
"""


def _made(wanted: type, data: Any) -> Any:
    """Data as a class that msgspec knows nothing of."""
    if is_model(wanted):
        return _model_type(wanted).validate(data)
    if issubclass(wanted, PurePath) and isinstance(data, str):
        return wanted(data)
    return data


def _without_values(error: msgspec.ValidationError) -> str:
    """The expected type, and where, without the value that came: job data is never logged."""
    said = str(error)
    path = PATH.search(said)
    where = path.group() if path is not None else ""
    if error.__cause__ is not None:
        # The words of a class's own check, which may quote what it was given.
        return f"Expected what its own checks take, which raised {type(error.__cause__).__name__}{where}"
    for begin, instead in WITH_VALUES.items():
        if said.startswith(begin):
            return instead + where
    return (
        said.replace(MISSING, "Expected the field") if WITHOUT_VALUES.match(said) else f"Expected another value{where}"
    )
