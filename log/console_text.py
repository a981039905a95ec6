"""Formats a line for a person at a terminal."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import structlog

from ..rules.printable import visible
from ..rules.wording import moves_in_words, span
from .log_line import safe_repr

BROKEN = frozenset({"event", "exception", "traceback", "stack"})
"""Fields that span several lines."""

BOOKKEEPING = frozenset(
    {
        "boot",
        "seq",
        "actor",
        "incarnation",
        "msg",
        "cause",
        "mail_seconds",
        "turn",
        "claim_no",
        "store_id",
        "boot_no",
        "beside",
        "durability",
        "change_no",
    }
)
"""Fields by which the commands correlate lines, and those that the application has set itself."""

OF_JOB = frozenset({"claim_no", "corr"})
"""Fields of a handler's lines that only commands need, and that add nothing about a job that is its own root."""

INTERRUPTED = "interrupted: "
"""The beginning of an interruption's reason; its details follow."""

SAID_OF_INTERRUPTIONS = ("error", "boot_was")

INSTANTS = frozenset({"run_at", "slot", "last", "until"})

DURATIONS = frozenset({"took", "waited", "seconds", "usual", "left", "drain", "late", "after"})

EVENT_WIDTH = 18
"""The column width of an event's name."""

MEANT = {"meant": "did_you_mean"}
"""Readable names of fields."""

LEDGER = "turn.committed"
"""The audit's event, which repeats for machines what other events say for people."""


class ConsoleText:
    """Formats lines. `for_terminal`: for a person only, with colours and without the fields that commands need."""

    def __init__(self, *, for_terminal: bool) -> None:
        self._for_terminal = for_terminal
        self._render = structlog.dev.ConsoleRenderer(
            EVENT_WIDTH if for_terminal else 30,
            colors=for_terminal and "NO_COLOR" not in os.environ,
            sort_keys=False,
            exception_formatter=structlog.dev.plain_traceback,
        )

    def shows(self, fields: dict[str, Any]) -> bool:
        """Whether these fields are shown at all."""
        return not (self._for_terminal and fields.get("event") == LEDGER and "moves" in fields)

    def of(self, fields: dict[str, Any], now: float | None) -> str:
        """The line. `now` is when it was logged, if known."""
        shown = {
            visible(name): visible(value, breaks=name in BROKEN) if type(value) is str else safe_repr(value)
            for name, value in (_brief(fields) if self._for_terminal else fields).items()
        }
        shown.pop("ts", None)
        if isinstance(fields.get("moves"), list):
            del shown["moves"]
            shown["did"] = moves_in_words(fields["moves"])
        if now is not None:
            shown["timestamp"] = datetime.fromtimestamp(now).isoformat(" ", "milliseconds")
        if "traceback" in shown:
            shown["exception"] = shown.pop("traceback")
        return str(self._render(None, shown["level"], shown))


def _brief(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields for a person: the job's name first, and last the ids for commands."""
    if "boot" not in fields or "seq" not in fields:
        # The application's own line; a handler's also has the fields of its job.
        is_of_root = "claim_no" in fields and fields.get("corr") == fields.get("job_id")
        return {name: value for name, value in fields.items() if name not in OF_JOB} if is_of_root else fields
    brief = {name: value for name, value in fields.items() if name not in BOOKKEEPING}
    job_id, reason = brief.pop("job_id", None), str(brief.get("reason", ""))
    # A root is of interest only where it is another job.
    if job_id is None or brief.get("corr") == job_id:
        brief.pop("corr", None)
    if brief.get("attempt") in (0, 1) or " in attempt " in reason:
        brief.pop("attempt", None)
    if reason:
        brief.pop("outcome", None)
    if reason.startswith(INTERRUPTED):
        for name in SAID_OF_INTERRUPTIONS:
            brief.pop(name, None)
    if "schedule" in brief and str(job_id).startswith(f"{brief['schedule']}-"):
        del brief["schedule"]
    for name, value in brief.items():
        if isinstance(value, float) and name in INSTANTS:
            brief[name] = datetime.fromtimestamp(value).isoformat(" ", "milliseconds")
        elif isinstance(value, float) and name in DURATIONS and value >= 0:
            brief[name] = span(value)
        elif type(value) is list and all(type(one) is str for one in value):
            brief[name] = ", ".join(value)
    first = {"job_name": brief.pop("job_name")} if "job_name" in brief else {}
    last = {} if job_id is None else {"job_id": job_id}
    return first | {MEANT.get(name, name): value for name, value in brief.items()} | last
