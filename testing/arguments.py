"""The arguments that a test gives to the kit, checked before anything is done."""

from __future__ import annotations

import math

from ..api.runtime import Runtime
from ..errors import UsageError, shown
from ..messages.jobs import Seconds


def check_register(register: object) -> None:
    """A function that adds the handlers and schedules of an application, or a runtime that has them."""
    if not (callable(register) or isinstance(register, Runtime)):
        raise UsageError(
            "expected register to be a function that adds handlers and schedules to the Runtime that it is given, or "
            f"a Runtime that has them, got: {shown(register)}"
        )


def check_forward(seconds: Seconds, what: str, *, may_last: bool = False) -> Seconds:
    """Time that is to pass: none, or some; for ever (`may_last`) only where something else may end it."""
    if not seconds >= 0.0 or (math.isinf(seconds) and not may_last):
        raise UsageError(f"expected {what} to be 0 or more seconds, because time only goes forward, got: {seconds:g}")
    return seconds


def total_of(days: float, hours: float, minutes: float, seconds: Seconds, *, may_last: bool = False) -> Seconds:
    """The seconds of a time that is to pass; the errors are those of `check_forward`."""
    return check_forward(days * 86400.0 + hours * 3600.0 + minutes * 60.0 + seconds, "what passes", may_last=may_last)


def check_process(number: int, most: int) -> int:
    if not _is_whole(number, 1, most):
        raise UsageError(f"expected the number of a process, from 1 to {most}, got: {number!r}")
    return number


def check_processes(processes: int, producers: int, *, has_disk: bool) -> int:
    """How many processes share a store, the producers among them."""
    if not _is_whole(processes, 1):
        raise UsageError(f"expected processes to be 1 or more, got: {processes!r}")
    if not _is_whole(producers, 0):
        raise UsageError(f"expected producers to be 0 or more, got: {producers!r}")
    total = processes + producers
    if has_disk and total != 1:
        raise UsageError(f"expected one process on a disk whose power may be cut, got: {total}")
    return total


def _is_whole(value: object, least: int, most: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
