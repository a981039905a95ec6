"""What a stretch of a log says about the system at an instant.

A line is glanced at, and parsed as a whole only if it still matters at the end of the stretch: of most jobs no more
remains than that they ended. The digests of all stretches, in their order, say what all lines do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import msgspec

from ...log.events import EVENTS
from ...messages.jobs import ENDED
from ...rules.lifecycle import QUIET
from ..audit.job_replay import AFTER
from ..log_files.fields import typed
from ..log_files.lines import body_of
from ..log_files.unwrapping import event_in

SYSTEM = frozenset(
    {
        "runtime.started",
        "runtime.stopped",
        "runtime.failed",
        "runtime.recovered",
        "runtime.renewed",
        "lane.abandoned",
        "lane.returned",
        "actor.started",
        "actor.restarted",
        "actor.stopped",
        "actor.crashed",
        "actor.quarantined",
        "supervisor.gave_up",
    }
)
"""Events that say something of boots, actors and lanes."""


class Glance(msgspec.Struct, gc=False):
    """What shows whether a line of ours matters; the rest of it is parsed only then."""

    event: str
    ts: float
    boot: str
    seq: int
    job_id: str = ""
    redeliveries: int = 0


class Moment(msgspec.Struct, rename={"before": "from"}):
    """What a line says of the system."""

    event: str
    boot: str
    seq: int
    ts: float = 0.0
    incarnation: int | None = None
    job_id: str | None = None
    job_name: str | None = None
    claim_no: int | None = None
    before: str | None = None
    times: list[float] | None = None
    lane: int | None = None
    child: str | None = None
    child_incarnation: int | None = None
    restarts_in_window: int | None = None
    dead_boot: str | None = None
    reason: str | None = None
    pid: int | None = None


class Times(msgspec.Struct, gc=False):
    """When the steps were that a line sums up."""

    times: list[float] = []


@dataclass(frozen=True, slots=True)
class Held:
    """A running job, and who has it."""

    job_id: str
    job_name: str
    claim_no: int
    since: float
    boot: str
    started: bool = False
    lane: int | None = None
    incarnation: int | None = None

    def after(self, line: Moment) -> Held:
        """The same once a line has said that its function is called."""
        if line.claim_no != self.claim_no:
            return self
        return replace(self, since=line.ts, boot=line.boot, started=True, lane=line.lane, incarnation=line.incarnation)


@dataclass(slots=True)
class Digest:
    """What remains of a stretch of a log.

    Attributes:
        met: jobs that took a step.
        open: those of them that had not ended after it: None in the queue, or who held them.
        ended: by how many there were more in each final state, if none of `met` was open before.
        left: final states that the first step of a job led out of.
        started: job.started of jobs that had taken no step before it.
        system: lines about boots, actors and lanes.
        later: lines from after the instant that sum up steps before it.
        is_loud: whether a boot told more than ends.
        spoke: when each boot said its last line.
        bereft: boots of which the server has given a job to another one, and when.
        first: the time of the first line.
        last: the latest time up to the instant.
    """

    met: set[str] = field(default_factory=set)
    open: dict[str, Held | None] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=lambda: dict.fromkeys(sorted(ENDED), 0))
    left: dict[str, str] = field(default_factory=dict)
    started: dict[str, list[Moment]] = field(default_factory=dict)
    system: list[Moment] = field(default_factory=list)
    later: list[Moment] = field(default_factory=list)
    is_loud: bool = False
    spoke: dict[str, float] = field(default_factory=dict)
    bereft: dict[str, float] = field(default_factory=dict)
    first: float | None = None
    last: float = 0.0


_glance = msgspec.json.Decoder(Glance)
_moment = msgspec.json.Decoder(Moment)
_times = msgspec.json.Decoder(Times)

BORN, QUEUED, BACK, REQUEUED, CLAIMED, STARTED, ENDS, OTHER, SILENT = range(9)

KINDS = {
    **dict.fromkeys(EVENTS, SILENT),
    **dict.fromkeys(SYSTEM, OTHER),
    **{event: ENDS if state in ENDED else BACK for event, state in AFTER.items()},
    **dict.fromkeys(QUIET, QUEUED),
    "job.queued": BORN,
    "job.claimed": CLAIMED,
    "job.started": STARTED,
    "job.requeued": REQUEUED,
}
"""What each event does to what is known of a job, or of the system."""


def digest(lines: Iterable[bytes], at: float) -> Digest:
    """What these lines, whoever wrote them, say of the system at an instant."""
    found = Digest()
    # Of each job that has not ended after a step: the lines of its claim and its starts, or none if it is in the queue.
    claims: dict[str, tuple[bytes, ...]] = {}
    strays: dict[str, tuple[bytes, ...]] = {}
    born: set[str] = set()
    met, spoke, last, is_loud = found.met, found.spoke, 0.0, False
    for raw in lines:
        # `find` takes half as long as `in`.
        if raw.find(b"boot") < 0:
            continue
        try:
            glance, body = _glance.decode(raw), raw
        except (msgspec.MsgspecError, UnicodeDecodeError):
            within = _glance_within(raw)
            if within is None:
                continue
            glance, body = within
        kind, ts, job_id = KINDS.get(glance.event), glance.ts, glance.job_id
        if kind is None:
            continue
        if found.first is None:
            found.first = ts
        if ts > at:
            if kind in (ENDS, BACK, REQUEUED) and any(one <= at for one in _times_of(body)):
                found.later.append(_moment_of(body))
            continue
        if ts > last:
            last = ts
        spoke[glance.boot] = ts
        if kind == STARTED:
            claim = claims.get(job_id)
            if claim:
                claims[job_id] = (*claim, body)
            elif claim is None and job_id not in met:
                strays[job_id] = (*strays.get(job_id, ()), body)
        elif kind == ENDS:
            claims.pop(job_id, None)
            met.add(job_id)
            found.ended[AFTER[glance.event]] += 1
        elif kind == CLAIMED:
            if glance.redeliveries:
                found.bereft.update(_holder_of(claims.get(job_id), ts))
            claims[job_id], is_loud = (body,), True
        elif kind == QUEUED:
            claims[job_id], is_loud = (), True
        elif kind == BORN:
            # Whoever claimed it may have said so before it was said that it is stored.
            is_late = job_id not in born and (job_id in claims or job_id in met)
            born.add(job_id)
            is_loud = True
            if not is_late:
                claims[job_id] = ()
        elif kind == BACK:
            claims[job_id] = ()
        elif kind == REQUEUED:
            if job_id not in claims:
                _leave(found, job_id, _moment_of(body).before)
            claims[job_id] = ()
        elif kind == OTHER:
            found.system.append(_moment_of(body))
    found.last, found.is_loud = last, is_loud
    found.open = {job_id: _held(claim) for job_id, claim in claims.items()}
    found.started = {job_id: [_moment_of(body) for body in bodies] for job_id, bodies in strays.items()}
    met.update(claims)
    return found


def _glance_within(raw: bytes) -> tuple[Glance, bytes] | None:
    """Of a line that is not JSON as a whole: a glance, and the JSON object in it. None if it is none of ours."""
    body = body_of(raw)
    if body is not None:
        with contextlib.suppress(msgspec.MsgspecError):
            return _glance.decode(body), body
    return None


def _moment_of(body: bytes) -> Moment:
    """A line that a glance has fitted; a field whose value is of the wrong kind is left out."""
    try:
        return _moment.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = {key: value for key, value in typed(event_in(body) or {}).items() if value is not None}
        return msgspec.convert({"event": "", "boot": "", "seq": 0, **said}, Moment)


def _times_of(body: bytes) -> list[float]:
    try:
        return _times.decode(body).times
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []


def _holder_of(claim: tuple[bytes, ...] | None, ts: float) -> dict[str, float]:
    """Who had a job that is delivered again."""
    return {_moment_of(claim[0]).boot: ts} if claim else {}


def _leave(found: Digest, job_id: str, before: str | None) -> None:
    if before in ENDED:
        assert before is not None
        found.ended[before] -= 1
        if job_id not in found.met:
            found.left[job_id] = before


def _held(claim: tuple[bytes, ...]) -> Held | None:
    if not claim:
        return None
    line, *starts = map(_moment_of, claim)
    held = Held(line.job_id or "", line.job_name or "?", line.claim_no or 0, line.ts, line.boot)
    for start in starts:
        held = held.after(start)
    return held
