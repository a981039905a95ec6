"""Lamplighter's own lines in the log, as Sentry's logging integration makes events of those at error."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from ...log.events import ENVELOPE, EVENTS
from ...log.log_line import LogLine

CAPTURED_MAX = 1000
"""How many reported attempts are remembered, until the log has told how they ended."""

ENDINGS = ("job.failed", "job.dead")

TAGS = ("job_id", "job_name")

LEFT_OUT = frozenset({*ENVELOPE, *TAGS, "level", "turn"})
"""Sentry keeps ten of the other fields of a line."""


class Lines:
    """Makes a line an event that people can read and Sentry can group; leaves out what is reported already."""

    def __init__(self) -> None:
        self._captured: OrderedDict[tuple[str, int], None] = OrderedDict()

    def note_captured(self, job_id: str, claim_no: int) -> None:
        """The error of an attempt was reported, so that its line need not be."""
        self._captured[job_id, claim_no] = None
        if len(self._captured) > CAPTURED_MAX:
            self._captured.popitem(last=False)

    def process(self, event: Any, hint: Mapping[str, Any]) -> Any:
        """Sentry calls it with each event. None for one that is not to be sent."""
        line = getattr(hint.get("log_record"), "msg", None)
        if not isinstance(line, LogLine) or not line.is_event:
            return event
        fields = line.fields
        name, job_name = fields["event"], fields.get("job_name")
        if name in ENDINGS and (fields.get("job_id"), fields.get("claim_no")) in self._captured:
            return None
        why = fields.get("error") or fields.get("reason") or EVENTS[name].says
        event["logentry"] = {"message": f"{name}: {why}"}
        event["fingerprint"] = ["lamplighter", name, job_name or ""]
        tags = {key: fields[key] for key in TAGS if fields.get(key) is not None}
        event["tags"] = {**(event.get("tags") or {}), **tags}
        event["extra"] = {key: value for key, value in fields.items() if key not in LEFT_OUT}
        # They are of the runtime's own thread, and about other jobs.
        event.pop("breadcrumbs", None)
        return event
