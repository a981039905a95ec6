"""Records of the ledger: how every version writes and reads them.

A record is JSON with named fields: `is` is its kind, `by` its label. Versions work side by side, so unknown fields and
kinds are skipped, and missing fields have defaults. Only what makes no sense to any version is unreadable.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from ...messages.boots import BootRecord, LedgerTurn
from ...messages.jobs import Instant
from ...messages.names import PauseRecord
from ...messages.schedules import ScheduleRecord, SlotEntry
from ...rules.codec import json_kinds

Record = dict[str, Any]

SCHEDULE_DEFAULTS: Record = {
    **ScheduleRecord._field_defaults,
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
}
"""The other fields of a schedule are obligatory."""

SLOT_DEFAULTS: Record = {"count": 1, "reason": None, "job_id": None}

BOOT_DEFAULTS: Record = {"kind": "worker", "version": "", "python": "", "control": None}

Kinds = Collection[type]

TEXT: Kinds = (str,)
NUMBER: Kinds = (int, float)
NOTHING: Kinds = (type(None),)
LISTS: Kinds = (list,)
MAPS: Kinds = (dict,)

_SCHEDULE, _SLOT = json_kinds(ScheduleRecord), json_kinds(SlotEntry)
_PAUSE: dict[str, Kinds] = {
    "since": NUMBER,
    **{name: kinds for name, kinds in json_kinds(PauseRecord).items() if name in ("by", "reason", "until")},
}
_OF_A_BOOT = ("boot", "host", "pid", "started_at", *BOOT_DEFAULTS)
_BOOT = {name: kinds for name, kinds in json_kinds(BootRecord).items() if name in _OF_A_BOOT}
_TURN = {**json_kinds(LedgerTurn), "moves": LISTS}


class UnreadableRecord(ValueError):
    """Not a record, or one that lacks an obligatory field."""


def write(record: Record) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode()


def parse(body: bytes) -> Record:
    try:
        record = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        record = None
    return checked(record)


def checked(record: Any) -> Record:
    if not isinstance(record, dict) or not isinstance(record.get("is"), str):
        raise UnreadableRecord("it is no record of the ledger")
    return record


def field(record: Any, name: str, kinds: Kinds) -> Any:
    value = record.get(name, ...) if isinstance(record, dict) else ...
    if not isinstance(value, tuple(kinds)):
        wanted = " or ".join(sorted(kind.__name__ for kind in kinds))
        raise UnreadableRecord(f"expected {name} of a record to be {wanted}, got: {_kind(value)}")
    return value


def number_of(record: Record) -> int:
    """Its place in the order: whatever its writer had seen or written before has a lower number."""
    number = record.get("no")
    return number if isinstance(number, int) else 0


def texts(record: Record, name: str) -> list[str]:
    found = field(record, name, LISTS)
    if not all(isinstance(one, str) for one in found):
        raise UnreadableRecord(f"expected {name} of a record to be a list of str, got: another list")
    return list(found)


def schedule_record(schedule: ScheduleRecord, unknown: Record | None = None) -> Record:
    """A schedule as a record, with the fields that a newer version has given it."""
    row = {**(unknown or {}), **schedule._asdict()}
    # Every runtime counts changes for itself.
    del row["change_no"]
    return {"is": "schedule", "schedule": row}


def schedule_of(row: Any) -> tuple[ScheduleRecord, Record]:
    """The schedule of a record, and its unknown fields. Raises `UnreadableRecord`."""
    found = _fields(row, _SCHEDULE, SCHEDULE_DEFAULTS)
    return ScheduleRecord(**found), {name: value for name, value in row.items() if name not in _SCHEDULE}


def declares(runtime: str, ids: Iterable[str]) -> Record:
    return {"is": "declares", "runtime": runtime, "ids": list(ids)}


def retracts(runtime: str, schedule_id: str) -> Record:
    return {"is": "retracts", "runtime": runtime, "ids": [schedule_id]}


def handles(runtime: str, names: Sequence[str]) -> Record:
    """A runtime has lanes for these job names, and no others."""
    return {"is": "handles", "runtime": runtime, "names": names}


def is_boot(runtime: str, boot: BootRecord) -> Record:
    return {"is": "boot", "runtime": runtime, "boot": {name: getattr(boot, name) for name in _BOOT}}


def boot_of(row: Any, names: Sequence[str]) -> BootRecord:
    return BootRecord(**_fields(row, _BOOT, BOOT_DEFAULTS), hint=None, names=tuple(names))


def pauses(pause: PauseRecord, *, paused: bool) -> Record:
    record: Record = {"is": "pause", "name": pause.name, "paused": paused}
    return {**record, "about": {name: getattr(pause, name) for name in _PAUSE}} if paused else record


def pause_of(record: Record) -> PauseRecord:
    """The pause of a record. All fields but the name may be missing.

    Raises:
        UnreadableRecord: a field is of another type.
    """
    name, row = field(record, "name", TEXT), field(record, "about", MAPS) if "about" in record else {}
    found = {of: field(row, of, kinds) for of, kinds in _PAUSE.items() if of in row}
    return PauseRecord(name, **{"since": 0.0, **found})


class OperatorAct(NamedTuple):
    """A turn of somebody who is no runtime.

    Attributes:
        runtime: their id in the ledger.
        boot: their boot, with that turn; it counts only once it is done.
    """

    runtime: str
    boot: BootRecord
    became: Literal["begun", "done", "lost"] = "begun"

    @property
    def is_over(self) -> bool:
        return self.became != "begun"


def act_begins(act: OperatorAct) -> Record:
    turns = [turn._asdict() for turn in act.boot.unlogged]
    row = {**{name: getattr(act.boot, name) for name in _BOOT}, "turns": turns, "became": act.became}
    return {"is": "act", "runtime": act.runtime, "act": row}


def act_of(runtime: str, row: Any) -> OperatorAct:
    turns = [LedgerTurn(**_fields(turn, _TURN, {})) for turn in field(row, "turns", LISTS)]
    if not all(isinstance(move, dict) and isinstance(move.get("k"), str) for turn in turns for move in turn.moves):
        raise UnreadableRecord("expected moves of a record to be dict with their kind, got: others")
    became = row.get("became")
    boot = boot_of(row, ())._replace(unlogged=tuple(turns))
    return OperatorAct(runtime, boot, became if became in ("done", "lost") else "begun")


def begins(job_id: str, at: Instant, boot: str) -> Record:
    """An attempt begins that may kill its process."""
    return {"is": "began", "id": job_id, "at": at, "boot": boot}


def excuses(job_id: str, at: Instant) -> Record:
    """The process of an attempt that began at this instant stops: the attempt is not to blame if it dies."""
    return {"is": "excused", "id": job_id, "at": at}


def leader_in(found: Sequence[bytes]) -> str:
    try:
        said = parse(found[-1]) if found else {}
        boot = boot_of(field(said, "boot", MAPS), ())
        at = datetime.fromtimestamp(field(said, "at", NUMBER), UTC)
    except (UnreadableRecord, ValueError, OverflowError, OSError):
        return "the runtime that leads, which has not said who it is,"
    return (
        f"the runtime that leads (boot {boot.boot} on host {boot.host}, process {boot.pid}, which was last heard of at "
        f"{at:%Y-%m-%dT%H:%M:%SZ} by its clock)"
    )


def slot_row(entry: SlotEntry) -> Record:
    return asdict(entry)


def slot_of(row: Any) -> SlotEntry:
    found = _fields(row, _SLOT, SLOT_DEFAULTS)
    return SlotEntry(**found)


def _fields(row: Any, kinds: Mapping[str, Kinds], defaults: Record) -> Record:
    if not isinstance(row, dict):
        raise UnreadableRecord(f"expected fields with their names, got: {_kind(row)}")
    full = {**defaults, **row}
    return {name: field(full, name, of) for name, of in kinds.items()}


def _kind(value: Any) -> str:
    """The type of a value, not its content, which may be secret."""
    return "nothing" if value is ... else type(value).__name__


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no instant")
