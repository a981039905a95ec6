"""The type of each field of a line that somebody computes with."""

from __future__ import annotations

import ast
from typing import Any

import msgspec

from .instants import LATEST

Said = dict[str, Any]

TEXTS = """
    event boot actor corr of told_by digest boot_was child job_id job_name from to outcome state reason
    then_of fate_of step rate schedule key when timezone dst_gap dst_fold dead_boot store store_id host message_corr
    rate_per_group group handler
"""
COUNTS = """
    seq incarnation msg cause claim_no claim_no_now attempt rev turn boot_no crc part parts v count rows
    jobs then parents steps lane child_incarnation restarts_in_window pid dead_pid mailbox bytes interrupted
    redeliveries priority concurrency running concurrency_total concurrency_per_group of_group limit change_no
"""
SECONDS = "ts at slot last run_at until late took waited after mail_seconds delta drain left"

KINDS: dict[str, Any] = {
    **dict.fromkeys(TEXTS.split(), str),
    **dict.fromkeys(COUNTS.split(), int),
    **dict.fromkeys(SECONDS.split(), float),
    **dict.fromkeys(("begun", "durable"), bool),
    "beside": list[int],
    "waits_for": list[str],
    "moves": list[dict[str, Any]],
}
"""Another field may hold anything: it is only ever shown."""

INSTANTS = ("ts", "at", "slot", "last", "run_at")

WHOLE_MAX = 1 << 62
"""No count of anything comes so far."""


def typed(said: Said) -> Said:
    """The fields whose values are what they ought to be; a reader then reckons with them without a second look."""
    return {name: value for name, value in said.items() if name not in KINDS or _fits(name, value)}


def from_text(name: str, value: str) -> Any:
    """The value that text stands for in a field of this name; the text itself where that makes none."""
    kind = KINDS.get(name)
    if kind is None or kind is str:
        return value
    try:
        if kind in (int, float, bool):
            return msgspec.convert(value, kind, strict=False)
        return _list_from_text(value, kind)
    except (msgspec.MsgspecError, ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return value


def _list_from_text(value: str, kind: Any) -> Any:
    """A list as JSON or as Python writes it, with tuples and None."""
    try:
        return msgspec.json.decode(value, type=kind)
    except msgspec.MsgspecError:
        # Tuples become lists on the way, at every depth.
        return msgspec.json.decode(msgspec.json.encode(ast.literal_eval(value)), type=kind)


def _fits(name: str, value: Any) -> bool:
    try:
        value = msgspec.convert(value, KINDS[name])
    except msgspec.MsgspecError:
        return False
    match value:
        case bool() | str():
            return True
        case int():
            return -WHOLE_MAX < value < WHOLE_MAX
        case float():
            return -LATEST < value < LATEST and (value >= 0.0 or name not in INSTANTS)
    return all(not isinstance(one, int | float) or -WHOLE_MAX < one < WHOLE_MAX for one in value)
