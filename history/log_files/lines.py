"""Lamplighter's lines among whatever else a log holds.

A log may be rotated, compressed, written by several processes and shared with other programs; a line may have a
prefix, be written by another logger, or be torn. Other lines are passed over.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Annotated, Any, NoReturn

import msgspec

from ...errors import UsageError
from .files import LogEnd, raw_lines
from .frames import Said, event_in, host_line_in, is_like_ours, object_at, typed

SHOWN_BYTES_MAX = 300
"""How much of a line that cannot be read is shown."""


ToldEnd = Annotated[list[str | int], msgspec.Meta(min_length=2)]
"""The end of a job that another has waited for: its id and the number of its move, and perhaps more."""


class LoggedMove(msgspec.Struct, gc=False, omit_defaults=True):
    """One of the moves that a line of the ledger tells; `log.ledger_keys.MOVE_KEYS` says what each key means. Its JSON
    is the writer's, whatever the line has gone through.
    """

    k: str
    j: str = ""
    n: str = ""
    r: int = 0
    f: str | None = None
    c: int = 0
    a: int = 0
    b: str | None = None
    o: str | None = None
    u: float | None = None
    p: int = 0
    d: str | None = None
    s: str | None = None
    t: float | None = None
    l: float | None = None  # noqa: E741 - the ledger's own key
    x: int | None = None
    w: float | None = None
    q: str | None = None
    m: int | None = None
    y: list[ToldEnd] | None = None
    g: str | None = None
    z: int | None = None
    e: int | None = None
    rate: str | None = None
    step: str | None = None
    steps: int | None = None
    until: float | None = None
    number: int | None = msgspec.field(default=None, name="no")
    when: str | None = None
    tz: str | None = None
    gap: str | None = None
    fold: str | None = None
    key: str | None = None
    since: float | None = None
    by: str | None = None
    via: str | None = None
    why: str | None = None


class Line(msgspec.Struct, rename={"raw": "(raw)", "source": "(source)", "number": "(number)"}):
    """The fields of a line that the audit reads, and the line's place."""

    event: str
    boot: str
    seq: int
    ts: float = 0.0
    level: Any = None
    actor: str | None = None
    v: int = 1
    store_id: str | None = None
    boot_no: int | None = None
    turn: int | None = None
    at: float | None = None
    crc: int | None = None
    moves: list[LoggedMove] | None = None
    part: int | None = None
    parts: int | None = None
    of: str | None = None
    told_by: str | None = None
    beside: list[int] | None = None
    job_id: str | None = None
    job_name: str | None = None
    claim_no: int | None = None
    attempt: int | None = None
    outcome: str | None = None
    run_at: float | None = None
    digest: str | None = None
    redeliveries: int | None = None
    boot_was: str | None = None
    schedule: str | None = None
    slot: float | None = None
    last: float | None = None
    count: int | None = None
    when: str | None = None
    timezone: str | None = None
    change_no: int | None = None
    dead_boot: str | None = None
    operator: str | None = None
    store: str | None = None
    until: float | None = None
    limit: int | None = None
    then: int | None = None
    then_of: str | None = None
    parents: int | None = None
    fate_of: str | None = None
    group: str | None = None
    of_group: int | None = None
    rate: str | None = None
    step: str | None = None
    steps: int | None = None
    reason: str | None = None
    by: str | None = None
    via: str | None = None
    claim_no_now: int | None = None
    pid: int | None = None
    lane: int | None = None
    incarnation: int | None = None
    child: str | None = None
    child_incarnation: int | None = None
    restarts_in_window: int | None = None
    raw: bytes = b""
    source: str = ""
    number: int = 0

    @property
    def text(self) -> str:
        """The line as it stands in the log, after the place where it stands."""
        raw = self.raw or _brief(self).encode()
        return _placed(self.source, self.number, raw) if self.source else raw.decode(errors="replace").rstrip()


_decoder = msgspec.json.Decoder(Line)


def line_of(said: dict[str, Any]) -> Line:
    """The line that an event given as a dict would have made."""
    line = msgspec.convert({key: value for key, value in said.items() if value is not None}, Line, strict=False)
    line.raw = msgspec.json.encode(said, enc_hook=repr)
    return line


def parse(raw: bytes) -> Line | None:
    """Read one line of a log; None if it is none of ours, or torn."""
    if b"seq" not in raw:
        # Checking first costs a tenth of a decoder's failure.
        return None
    if raw[:1] == b"{":
        try:
            line = _decoder.decode(raw)
            if line.ts > 0.0:
                return line
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass
    said = event_in(raw)
    try:
        return None if said is None else msgspec.convert(said, Line)
    except msgspec.MsgspecError:
        return None


def fields_of(raw: bytes, *, hosts_too: bool = False) -> Said | None:
    """Every field of a line of ours, or of one that a host's function has logged in a job; None otherwise."""
    said = event_in(raw)
    if said is None and hosts_too:
        said = host_line_in(raw)
    return None if said is None else typed(said)


class Unread:
    """Lines and logs that could not be read: lines that look like ours, and logs that are cut short.

    Attributes:
        cut: logs whose compression ends in the middle.
        torn: what stands at the end of logs that do not end with a line break, and may be a part of a line.
        other: the first line of all that is none of ours.
    """

    def __init__(self) -> None:
        self.cut: dict[str, None] = {}
        self.torn: dict[str, str] = {}
        self.count = 0
        self.first = ""
        self.other = ""

    @property
    def notes(self) -> tuple[str, ...]:
        cut = (f"{name} ends in the middle of what was compressed: the rest was not read" for name in self.cut)
        torn = (
            f"{name} ends without a line break, and its last line may be cut: {text}"
            for name, text in self.torn.items()
        )
        look = "line looks" if self.count == 1 else "lines look"
        others = (f"{self.count:,} {look} like Lamplighter's and cannot be read; the first is {self.first}",)
        return (*cut, *torn, *(others if self.count else ()))

    def refuse(self) -> NoReturn:
        """Say that there was no line of ours at all.

        Raises:
            UsageError: always.
        """
        first = self.first or self.other or next(iter(self.torn.values()), "")
        got = f"no line that is one; the first is {first}" if first else "no line at all"
        raise UsageError(f"expected a log of Lamplighter's, in one of the formats of docs/debugging.md, got: {got}")

    def note(self, raw: bytes, source: str, number: int, rest: bytes) -> None:
        """Note a line that carries no event.

        Args:
            rest: the text behind the last line break of all that was read. A cut line is noted as that alone.
        """
        if not self.other and not raw.isspace():
            self.other = _placed(source, number, raw[:SHOWN_BYTES_MAX])
        if is_like_ours(raw) and not (raw.rstrip(b"\n") == rest and is_torn(rest)):
            self.count += 1
            self.first = self.first or _placed(source, number, raw[:SHOWN_BYTES_MAX])

    def ended(self, source: str, end: LogEnd) -> None:
        if end.is_cut:
            self.cut[source] = None
        elif is_torn(end.rest):
            self.torn[source] = end.rest[:SHOWN_BYTES_MAX].decode(errors="replace")


def is_torn(rest: bytes) -> bool:
    """Whether the text behind a log's last line break may be a part of a line: it is no JSON object."""
    start = rest.find(b'{"')
    return bool(rest.strip()) and (start < 0 or object_at(rest, start) is None)


def read(paths: Sequence[str], unread: Unread | None = None) -> Iterator[Line]:
    """Our lines in all these logs, as they followed one another.

    Each log is in the order in which it was written; among logs, the line whose time is earlier goes first, and at one
    time, which all lines of a turn have, the one with the lower `seq`. A time that goes back counts as the latest
    before it, so that a clock that was set does not tear a log apart.

    Args:
        unread: is told of the lines that are none of ours.
    """
    if len(paths) == 1:
        yield from read_one(paths[0], unread)
        return
    merged = heapq.merge(*(_timed(path, index, unread) for index, path in enumerate(paths)))
    yield from (line for *_, line in merged)


def read_one(path: str, unread: Unread | None = None) -> Iterator[Line]:
    """Our lines in one log."""
    name = "stdin" if path == "-" else os.path.basename(path)
    end = None if unread is None else LogEnd()
    for number, raw in enumerate(raw_lines(path, end), start=1):
        line = parse(raw)
        if line is not None:
            line.raw, line.source, line.number = raw, name, number
            yield line
        elif unread is not None and end is not None and (b"boot" in raw or not unread.other):
            unread.note(raw, name, number, end.rest)
    if unread is not None and end is not None:
        unread.ended(name, end)


def _timed(path: str, index: int, unread: Unread | None) -> Iterator[tuple[float, int, int, int, Line]]:
    latest = 0.0
    for line in read_one(path, unread):
        latest = max(latest, line.ts)
        yield latest, line.seq, index, line.number, line


def check_readable(paths: Sequence[str]) -> None:
    """Whether any of these logs that can be read twice has a line of ours; a UsageError if none has."""
    unread = Unread()
    again = [path for path in paths if path != "-"]
    if len(again) == len(paths) and next(chain.from_iterable(read_one(path, unread) for path in again), None) is None:
        unread.refuse()


def may_have(paths: Sequence[str], is_wanted: Callable[[Line], bool]) -> bool:
    """Whether any line of these logs is wanted, as far as they can be read again."""
    again = [path for path in paths if path != "-"]
    return len(again) < len(paths) or any(is_wanted(line) for path in again for line in read_one(path))


def _placed(source: str, number: int, raw: bytes) -> str:
    return f"{source}:{number}: {raw.decode(errors='replace').rstrip()}"


def _brief(line: Line) -> str:
    return f"{line.event} boot={line.boot} seq={line.seq} turn={line.turn} job_id={line.job_id}"
