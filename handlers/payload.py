"""Typed payloads: the types in a handler's annotations, and conversion by msgspec, or by pydantic for its models."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

import msgspec
import msgspec.inspect

from ..errors import Discard, UsageError
from ..messages.jobs import JobRecord
from ..rules.codec import CARRIED, decode, encode
from ..rules.models import ModelType, PayloadMismatch, asks_for_model, is_model

JSON_VALUES: tuple[Any, ...] = (None, True, 1, 0.5, "", [], {})
JSON_CLASSES = (bool, int, float, str, list, tuple, dict)
"""Instances of their subclasses are carried as the base class."""

MISSING = "Object missing required field"

WITHOUT_VALUES = re.compile(
    rf"Expected |{MISSING} |Invalid (UUID|decimal|RFC3339|base64|ISO8601|epoch) ?"
    r"|(Timestamp|Duration|Integer value|Number) (is )?out of range"
)
"""msgspec messages that begin so name the expected type and none of the data."""

WITH_VALUES = {
    "Invalid enum value ": "Expected one of its declared values",
    "Invalid value ": "Expected the tag of one of its declared types",
    "Object contains unknown field ": "Expected no field but the declared ones",
}
"""msgspec messages that begin so quote the data, which must not reach a log; and their replacements."""

PATH = re.compile(r" - at `([^`]*` in `)?\$(\.[A-Za-z_][\w-]*|\[\d*\]|\[\.\.\.\])*`$")
"""The path at the end of a message, which names declared fields only."""


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
    return None if wanted is Any else checked_type(wanted)


def checked_type(wanted: Any) -> Any:
    """A type of data, as `fit` takes it. Raises a UsageError if no data can be validated as it."""
    if asks_for_model(wanted):
        return ModelType(wanted)
    try:
        msgspec.json.Decoder(wanted)
    except TypeError as error:
        raise UsageError(f"expected a payload type that can be validated, got: {wanted!r} ({error})") from error
    # msgspec accepts any class as custom, and only the first job would show that nobody can make it.
    for cls in _foreign_classes(wanted):
        if not _is_json(cls):
            raise UsageError(
                "expected a payload type that JSON data can be made into (a dataclass, TypedDict, NamedTuple, "
                "attrs class, msgspec.Struct, pydantic model, Enum or path, or one that msgspec knows, and "
                f"containers of them), got: {cls!r} in {wanted!r}; ask for dict, and make it in the handler"
            )
    return wanted


def result_type(fn: Callable[..., Any], what: str) -> Any:
    """The annotated return type, as `fit` takes it. None where there is none, and for unions that a stored result
    cannot tell apart.

    Args:
        what: how an error names the function.

    Raises:
        UsageError: results of this type are not JSON-serializable, so that none could be kept.
    """
    try:
        returned = _hints(fn).get("return", Any)
    except Exception:
        # The annotation is for type checkers only.
        return None
    if returned is Any:
        # Fast path: most functions of steps have no annotation, and each step asks.
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
    """The classes of a return type that msgspec does not know."""
    if typing.get_origin(returned) in (typing.Union, types.UnionType):
        # Each may be carried, though no data could be made into their union.
        for one in typing.get_args(returned):
            yield from _returned_classes(one)
        return
    try:
        yield from _foreign_classes(returned)
    except TypeError:
        # Unknown before the first result.
        return


@functools.lru_cache(maxsize=256)
def _foreign_classes(wanted: Any) -> Sequence[type]:
    """The classes within a type that msgspec does not know, except paths and models, which this package converts.
    Cached, because each step asks for its function's type.

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
    """Whether it is a type of data, and not of jobs."""
    return is_model(cls) or issubclass(cls, (msgspec.Struct, *JSON_CLASSES)) or dataclasses.is_dataclass(cls)


def _is_json(cls: type) -> bool:
    """Whether JSON values can be of this class."""
    return any(isinstance(value, cls) for value in JSON_VALUES)


def _hints(fn: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(inspect.unwrap(_function(inspect.unwrap(fn))))


def _function(fn: Callable[..., Any]) -> Any:
    """The object that has a callable's annotations."""
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
    """The payload and result types of a handler, where it has them."""

    wanted: Any
    returned: Any
    upcast: Callable[[Any], Any] | None = None

    def as_today(self, job: JobRecord) -> JobRecord:
        """The job, its data in the shape of today if only `upcast` can make it fit."""
        if self.upcast is None or _fits_surely(job.data, self.wanted):
            return job
        try:
            self.check(job.data)
        except UsageError:
            made = encode(self.upcast(decode(job.data)), what="data that upcast has made", bytes_max=sys.maxsize)
            return job._replace(data=made)
        return job

    def data(self, stored: Any) -> Any:
        """Convert data for the handler. Raises a UsageError if it does not fit."""
        return self._as(stored, self.wanted, "data that fits")

    def check(self, text: str) -> None:
        """Check that data, as JSON text, fits the handler. Raises a UsageError if not."""
        if self.wanted is not None and not _fits_surely(text, self.wanted):
            self.data(decode(text))

    def result(self, stored: Any) -> Any:
        """Convert a result. Raises a UsageError if it does not fit."""
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
    """A fast check that data fits, without an error message. False where that is not known."""
    if isinstance(wanted, ModelType):
        return False
    try:
        _decoder(wanted).decode(text)
    except Exception:
        # The careful check gives the reason: it may be any error of a class's own check.
        return False
    return True


@functools.lru_cache(maxsize=256)
def _decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(wanted, dec_hook=_made)


def _name(wanted: Any) -> str:
    return str(wanted.name if isinstance(wanted, ModelType) else getattr(wanted, "__name__", wanted))


_model_type = functools.lru_cache(maxsize=256)(ModelType)
"""Cached, because building pydantic's validator for each job is slow."""


def _made(wanted: type, data: Any) -> Any:
    """Convert data to a class that msgspec does not know."""
    if is_model(wanted):
        return _model_type(wanted).validate(data)
    if issubclass(wanted, PurePath) and isinstance(data, str):
        return wanted(data)
    return data


def _without_values(error: msgspec.ValidationError) -> str:
    """The expected type and the path, without the value: job data is never logged."""
    said = str(error)
    path = PATH.search(said)
    where = path.group() if path is not None else ""
    if error.__cause__ is not None:
        # The text of a class's own check may quote the data.
        return f"Expected what its own checks take, which raised {type(error.__cause__).__name__}{where}"
    for begin, instead in WITH_VALUES.items():
        if said.startswith(begin):
            return instead + where
    return (
        said.replace(MISSING, "Expected the field") if WITHOUT_VALUES.match(said) else f"Expected another value{where}"
    )
