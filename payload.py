"""Typed payloads: what a handler's annotation asks for, and data that fits it. The only home of msgspec."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from .errors import Discard, UsageError


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
    return wanted


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
        raise Discard(f"data does not fit {name}: {error}") from None
