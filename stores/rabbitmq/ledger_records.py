"""Records of the ledger: how they are written, and how they are read, whichever version has written them.

A record is JSON with named fields: `is` says its kind, `by` is its label. Versions work side by side, so a field or a
kind that is not known is passed over, and one that is left out has its default. Only what makes no sense to any version
is unreadable.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Literal, NamedTuple

from ...messages.boots import BootRecord, LedgerTurn
from ...messages.jobs import Instant
from ...messages.names import PauseRecord
from ...messages.schedules import ScheduleRecord, SlotEntry

Record = dict[str, Any]

SCHEDULE_DEFAULTS: Record = {
    "data": "null",
    "timezone": "UTC",
    "dst_gap": "run_after",
    "dst_fold": "first",
    "catch_up": "latest",
    "catch_up_window": 86400.0,
    "catch_up_max": 100,
    "overlap": "allow",
    "jitter": 0.0,
    "durable": 0,
    "paused": 0,
    "changed_at": 0.0,
    "last_slot": None,
    "change_no": 0,
    "key": None,
    "priority": 0,
    "max_attempts": None,
    "timeout": None,
    "expires": None,
}
"""The value of a field of a schedule that a record leaves out. The others it must have."""

SLOT_DEFAULTS: Record = {"count": 1, "reason": None, "job_id": None}

BOOT_DEFAULTS: Record = {"kind": "worker", "version": "", "python": "", "control": None}

TEXT: tuple[type, ...] = (str,)
NUMBER: tuple[type, ...] = (int, float)
NOTHING: tuple[type, ...] = (type(None),)
LISTS: tuple[type, ...] = (list,)
MAPS: tuple[type, ...] = (dict,)

_SCHEDULE: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(
        ("id", "name", "when", "data", "timezone", "dst_gap", "dst_fold", "catch_up", "overlap"),
        TEXT,
    ),
    **dict.fromkeys(("catch_up_window", "jitter", "accounted_to", "changed_at"), NUMBER),
    **dict.fromkeys(("catch_up_max", "durable", "paused", "change_no", "priority"), (int,)),
    **dict.fromkeys(("last_slot", "timeout", "expires"), NUMBER + NOTHING),
    "max_attempts": (int, *NOTHING),
    "key": TEXT + NOTHING,
}
_SLOT: dict[str, tuple[type, ...]] = {
    "schedule_id": TEXT,
    "slot": NUMBER,
    "last": NUMBER,
    "count": (int,),
    "outcome": TEXT,
    "reason": TEXT + NOTHING,
    "job_id": TEXT + NOTHING,
}
_PAUSE: dict[str, tuple[type, ...]] = {
    "since": NUMBER,
    "by": TEXT + NOTHING,
    "reason": TEXT + NOTHING,
    "until": NUMBER + NOTHING,
}
_BOOT: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("boot", "host", "kind", "version", "python"), TEXT),
    "pid": (int,),
    "started_at": NUMBER,
    "control": TEXT + NOTHING,
}
"""The types of each field."""

_TURN: dict[str, tuple[type, ...]] = {"boot": TEXT, "boot_no": (int,), "turn": (int,), "at": NUMBER, "moves": LISTS}


class UnreadableRecord(ValueError):
    """It is no record, or one that lacks what every version writes."""


def write(record: Record) -> bytes:
    """A record as a message."""
    return json.dumps(record, separators=(",", ":")).encode()


def parse(body: bytes) -> Record:
    """A message as a record.

    Raises:
        UnreadableRecord: it is none.
    """
    try:
        record = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or not isinstance(record.get("is"), str):
        raise UnreadableRecord("it is no record of the ledger")
    return record


def field(record: Any, name: str, kinds: tuple[type, ...]) -> Any:
    """A field that a record must have, and of one of these types.

    Raises:
        UnreadableRecord: it has none, or another.
    """
    value = record.get(name, ...) if isinstance(record, dict) else ...
    if not isinstance(value, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise UnreadableRecord(f"expected {name} of a record to be {wanted}, got: {_kind(value)}")
    return value


def number_of(record: Record) -> int:
    """By its order: whatever its writer had seen, or written, before it has a lower number."""
    number = record.get("no")
    return number if isinstance(number, int) else 0


def texts(record: Record, name: str) -> list[str]:
    """A field that is a list of texts.

    Raises:
        UnreadableRecord: it is not.
    """
    found = field(record, name, LISTS)
    if not all(isinstance(one, str) for one in found):
        raise UnreadableRecord(f"expected {name} of a record to be a list of str, got: another list")
    return list(found)


def schedule_row(schedule: ScheduleRecord, unknown: Record | None = None) -> Record:
    """A schedule as it stands in a record, with the fields that a newer version has given it."""
    row = {**(unknown or {}), **schedule._asdict()}
    # Every runtime counts changes for itself.
    del row["change_no"]
    return row


def schedule_of(row: Any) -> tuple[ScheduleRecord, Record]:
    """The schedule of a record, and what else it says of it.

    Raises:
        UnreadableRecord: it lacks what makes it a schedule, or a field is of another type.
    """
    found = _fields(row, _SCHEDULE, SCHEDULE_DEFAULTS)
    return ScheduleRecord(**found), {name: value for name, value in row.items() if name not in _SCHEDULE}


def schedule_record(schedule: ScheduleRecord) -> Record:
    """Says what a schedule is."""
    return {"is": "schedule", "schedule": schedule_row(schedule)}


def declares(runtime: str, ids: Iterable[str]) -> Record:
    """Says that a runtime declares schedules."""
    return {"is": "declares", "runtime": runtime, "ids": list(ids)}


def handles(runtime: str, names: Sequence[str]) -> Record:
    """Says for which job names a runtime has lanes; no others."""
    return {"is": "handles", "runtime": runtime, "names": names}


def is_boot(runtime: str, boot: BootRecord) -> Record:
    """Says who a runtime is."""
    return {"is": "boot", "runtime": runtime, "boot": {name: getattr(boot, name) for name in _BOOT}}


def boot_of(row: Any, names: Sequence[str]) -> BootRecord:
    """The identity of a runtime, from a record.

    Args:
        names: the job names that it has lanes for.

    Raises:
        UnreadableRecord: it lacks what makes it a boot, or a field is of another type.
    """
    return BootRecord(**_fields(row, _BOOT, BOOT_DEFAULTS), hint=None, names=tuple(names))


def pauses(pause: PauseRecord, *, paused: bool) -> Record:
    """Says that no job of a name is to be started, or that they are again."""
    record: Record = {"is": "pause", "name": pause.name, "paused": paused}
    return {**record, "about": pause_row(pause)} if paused else record


def pause_row(pause: PauseRecord) -> Record:
    """The fields of a pause besides the name."""
    return {name: getattr(pause, name) for name in _PAUSE}


def pause_of(record: Record) -> PauseRecord:
    """A pause, from a record. Nobody need have said since when it is, or anything else of it.

    Raises:
        UnreadableRecord: a field is of another type.
    """
    name, row = field(record, "name", TEXT), field(record, "about", MAPS) if "about" in record else {}
    found = {of: field(row, of, kinds) for of, kinds in _PAUSE.items() if of in row}
    return PauseRecord(name, **{"since": 0.0, **found})


class OperatorAct(NamedTuple):
    """An act of somebody who is no runtime, in one turn.

    Attributes:
        runtime: how the ledger knows them.
        boot: who they are, with that turn; none of it counts until they have written that it is done.
        became: whether it is done, or they have fallen silent before that.
    """

    runtime: str
    boot: BootRecord
    became: Literal["begun", "done", "lost"] = "begun"

    @property
    def is_over(self) -> bool:
        """Whether it can be told."""
        return self.became != "begun"


def act_begins(act: OperatorAct) -> Record:
    """Says what somebody is about to do."""
    return {"is": "act", "runtime": act.runtime, "act": act_row(act)}


def act_row(act: OperatorAct) -> Record:
    """An act as it stands in a record."""
    turns = [turn._asdict() for turn in act.boot.unlogged]
    return {**{name: getattr(act.boot, name) for name in _BOOT}, "turns": turns, "became": act.became}


def act_of(runtime: str, row: Any) -> OperatorAct:
    """An act, from a record.

    Raises:
        UnreadableRecord: it lacks what makes it one, or a field is of another type.
    """
    turns = [LedgerTurn(**_fields(turn, _TURN, {})) for turn in field(row, "turns", LISTS)]
    if not all(isinstance(move, dict) and isinstance(move.get("k"), str) for turn in turns for move in turn.moves):
        raise UnreadableRecord("expected moves of a record to be dict with their kind, got: others")
    became = row.get("became")
    boot = boot_of(row, ())._replace(unlogged=tuple(turns))
    return OperatorAct(runtime, boot, became if became in ("done", "lost") else "begun")


def begins(job_id: str, at: Instant, boot: str) -> Record:
    """Says that an attempt of a job begins which may be what has killed its process."""
    return {"is": "began", "id": job_id, "at": at, "boot": boot}


def excuses(job_id: str, at: Instant) -> Record:
    """Says that the process in which an attempt began at this instant stops: the attempt is not to blame if it dies."""
    return {"is": "excused", "id": job_id, "at": at}


def slot_row(entry: SlotEntry) -> Record:
    """The fate of a slot, as it stands in a record."""
    return asdict(entry)


def slot_of(row: Any) -> SlotEntry:
    """A slot, from a record.

    Raises:
        UnreadableRecord: it lacks what makes it a slot, or a field is of another type.
    """
    found = _fields(row, _SLOT, SLOT_DEFAULTS)
    return SlotEntry(**found)


def _fields(row: Any, kinds: dict[str, tuple[type, ...]], defaults: Record) -> Record:
    if not isinstance(row, dict):
        raise UnreadableRecord(f"expected fields with their names, got: {_kind(row)}")
    full = {**defaults, **row}
    return {name: field(full, name, of) for name, of in kinds.items()}


def _kind(value: Any) -> str:
    """The type of a value, not its content: that may be nobody's to see."""
    return "nothing" if value is ... else type(value).__name__


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no instant")
