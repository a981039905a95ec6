"""The reasons why a job waited before it was freed or claimed: other jobs, its group, its rate. They come from logs
alone; a reason that the logs do not show is left out, or called unknown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

from ...messages.jobs import ENDED, Instant
from ...rules.rates import rate_read, room_of, spent
from ...rules.wording import attributed, clock, many, span
from ..log_files.lines import LoggedMove, Said
from ..log_files.search import find, in_order, needles_of
from ..replay.findings import named
from ..replay.logged_moves import AFTER
from .others import is_of_ledger, moves_told
from .sentences import Entry
from .snapshot import Snapshot, snapshot

NEEDLES = (b'"name.', b'"handler.', b'"actor.quarantined', b'"actor.restarted')

EVENTS_OF_NAMES = frozenset(
    {"name.paused", "name.resumed", "name.parked", "handler.added", "handler.removed", "handler.halted"}
)

PAUSES = ("name.paused", "name.resumed")

FATES = frozenset({"actor.quarantined", "actor.restarted", "handler.halted"})
"""Events that tell whether the handlers of a name take jobs; the last one counts."""

LINKING = frozenset({"job.queued", "job.requeued", "job.freed"})
"""Events that tell whether a job waits for others; the last one counts."""

SILENT_SECONDS_MIN = 1.0
"""A boot that has said nothing for so long, when others have, is worth a look."""


def why_unfinished(logs: StoreLogs, lines: Sequence[Said]) -> list[Entry]:
    """The sentences about a job that waits or runs when its log ends.

    Args:
        lines: the job's own, in order.
    """
    again = logs.paths
    moves = [said for said in lines if "to" in said]
    if not again or not moves or moves[-1]["to"] not in ("queued", "running"):
        return []
    seen = snapshot(again, math.inf)
    name = next((said["job_name"] for said in lines if "job_name" in said), None)
    child = f"handler:{name}"
    found = list(find(again, NEEDLES, processes=logs.processes))
    about = [
        said
        for said in in_order(list(found))
        if (said.get("job_name") == name and said.get("event") in EVENTS_OF_NAMES) or said.get("child") == child
    ]
    paused = _pause(found, about, name)
    if lines[-1].get("event") == "job.deferred":
        return [Entry(at=None, who="", says="when these logs end, it waits to be marked done", tone="warning")]
    reasons = _running(seen, moves[-1]) if moves[-1]["to"] == "running" else _queued(seen, logs, lines, about, paused)
    return [Entry(at=None, who="", says=f"when these logs end, {says}", tone="warning") for says in reasons]


def _running(seen: Snapshot, last: Said) -> Iterator[str]:
    boot = str(last.get("boot"))
    since = max(0.0, seen.last - seen.spoke.get(boot, seen.last))
    if boot in seen.bereft:
        yield f"it belongs to boot {boot[:6]}, which lost another job to a redelivery and has said nothing since"
    elif boot in seen.boots:
        silent = f", which has said nothing for {span(since)}" if since >= SILENT_SECONDS_MIN else ""
        yield f"it runs on boot {boot[:6]} (pid {seen.boots[boot]}){silent}"
    elif boot in seen.gone:
        yield f"it runs on boot {boot[:6]}, which has ended and has not given it back"


def _pause(found: Sequence[Said], about: Sequence[Said], name: str | None) -> Said | None:
    """The last line about a pause of a name: the ledger's, which includes operators, or any line where there is no
    ledger.
    """
    told = [
        {**move, "ts": said.get("at", said.get("ts", 0.0)), "event": move["k"]}
        for said in found
        for move in said.get("moves", ())
        if isinstance(move, dict) and move.get("k") in PAUSES and move.get("n") == name
    ]
    if told:
        return max(told, key=lambda said: said["ts"])
    return next((said for said in reversed(about) if said["event"] in PAUSES), None)


def _queued(
    seen: Snapshot, logs: StoreLogs, lines: Sequence[Said], about: Sequence[Said], paused: Said | None
) -> Iterator[str]:
    name = next((said["job_name"] for said in lines if "job_name" in said), "?")
    if paused is not None and paused["event"] == "name.paused" and paused.get("u", math.inf) > seen.last:
        told = attributed(paused.get("ts"), by=paused.get("by"), until=paused.get("u"), reason=paused.get("why"))
        yield f"{name} is paused{told}"
    parents = _parents(lines)
    if parents:
        yield _waits_for(parents, named_parents(lines), logs)
        return
    run_at = next((said["run_at"] for said in reversed(lines) if "run_at" in said), 0.0)
    if run_at > seen.last:
        yield f"it is not due for {span(run_at - seen.last)}"
        return
    handlers = {
        (said.get("boot"), said.get("handler")): said
        for said in about
        if said["event"] == "handler.added" and said.get("boot") in seen.boots
    }
    if not handlers and any(
        said["event"] in ("handler.added", "job.parked", "name.parked") for said in (*about, *lines)
    ):
        yield f"no runtime that lives has a handler for {name}"
    fates = {said.get("boot"): said for said in about if said["event"] in FATES and said.get("boot") in seen.boots}
    for boot, said in fates.items():
        if said["event"] != "actor.restarted":
            yield f"the handlers of {name} on boot {str(boot)[:6]} are {said['event'].partition('.')[2]}"
    yield from _full(seen, name, lines, list(handlers.values()))


def _parents(lines: Sequence[Said]) -> int:
    """How many jobs one waits for, by its own lines; 0 if none, or if it was freed."""
    last = next((said for said in reversed(lines) if said.get("event") in LINKING), None)
    return 0 if last is None or last["event"] == "job.freed" else int(last.get("parents") or 0)


def _waits_for(parents: int, known: Sequence[str], logs: StoreLogs) -> str:
    """The jobs that a job waits for.

    Args:
        parents: how many it waited for when it was queued.
        known: their ids, where lines at debug name them.
    """
    if len(known) != parents:
        return f"it waits for some of {many(parents, 'job')}, which only lines at debug name"
    moves = logs.moves_of(known)
    still = [one for one in known if one not in moves or AFTER[moves[one][-1].move.k] not in ENDED]
    # All have ended where the log ends before the turn that frees it.
    return f"it waits for {len(still):,} of {many(parents, 'job')}" + (f": {named(still)}" if still else "")


def _full(seen: Snapshot, name: str, lines: Sequence[Said], handlers: Sequence[Said]) -> Iterator[str]:
    """The jobs that hold all places."""
    group = next((said["group"] for said in lines if "group" in said), None)
    if group is not None and handlers and all("concurrency_per_group" in said for said in handlers):
        limit = min(said["concurrency_per_group"] for said in handlers)
        yield f"its group {group} may have {limit} running (concurrency_per_group)"
    held = [held.job_id for held in seen.held if held.job_name == name]
    if handlers and all("rate" in said for said in handlers):
        yield f"{name} may start {handlers[-1]['rate']} (rate)"
    total = min((said["concurrency_total"] for said in handlers if "concurrency_total" in said), default=math.inf)
    places = sum(said.get("concurrency", 1) for said in handlers)
    if not held or len(held) < min(total, places):
        return
    limit = f"concurrency_total={total}" if total <= places else f"{many(places, 'lane')} in all"
    yield f"{name} has {limit}, held by {'job' if len(held) == 1 else 'jobs'} {named(held)}"


WAITED_SECONDS_MIN = 0.1
"""A shorter wait of a claim needs no explanation, and no other job is looked for."""

UNKNOWN_SECONDS_MIN = 1.0
"""A longer wait is reported as unexplained."""

LOOK_BACK_SECONDS = 3600.0
"""Seconds before a job was due: earlier moves are not read to know which jobs ran then."""

SOUGHT_MAX = 10
"""So many jobs are searched by their ids; beyond that, the whole ledger is read once."""

ROUNDING_SECONDS = 0.001
"""Instants are not compared any closer where a rate opens."""

LEDGER = (b"turn.committed",)

Key = tuple[str, int, int]


class _MovePlace(NamedTuple):
    at: Instant
    boot: str
    turn: int
    part: int
    number: int


class _Step(NamedTuple):
    place: _MovePlace
    move: LoggedMove

    @property
    def key(self) -> Key:
        return self.place.boot, self.place.turn, self.move.r


class _Wait(NamedTuple):
    """A finished wait for other jobs.

    Attributes:
        begun: where the job was queued, or queued again.
        over: the move that ended it.
        parents: those jobs, each with the number of the move that ended it, or None where it is not logged.
        of: how many they are, of which some may be missing.
    """

    begun: _MovePlace
    over: _Step
    parents: Mapping[str, int | None]
    of: int


@dataclass(frozen=True, slots=True)
class StoreLogs:
    """The logs that may have the moves of one store's jobs.

    Attributes:
        store_id: an id may be a job in each of several stores.
        processes: how many may search a log.
    """

    paths: Sequence[str]
    store_id: str
    processes: int

    def moves(self, needles: Sequence[bytes], within: tuple[Instant, Instant] | None = None) -> Iterator[_Step]:
        """The moves in lines of the ledger that contain one of the needles; those of a repeated turn come twice."""
        steps = self.moves_in(find(self.paths, needles, within=within, processes=self.processes))
        return (one for one in steps if within is None or within[0] <= one.place.at <= within[1])

    def moves_in(self, lines: Iterable[Said]) -> Iterator[_Step]:
        for said in lines:
            if said.get("store_id") != self.store_id or not is_of_ledger(said):
                continue
            at: Instant = said["at"] if "at" in said else said.get("ts", 0.0)
            boot: str = said["of"] if "of" in said else said["boot"]
            for number, move in enumerate(moves_told(said)):
                yield _Step(_MovePlace(at, boot, said["turn"], said.get("part", 1), number), move)

    def moves_of(self, job_ids: Iterable[str]) -> dict[str, list[_Step]]:
        """The moves of jobs, in order."""
        wanted = frozenset(job_ids)
        few = len(wanted) <= SOUGHT_MAX
        needles = [needle for one in sorted(wanted) for needle in needles_of(one)] if few else LEDGER
        found: dict[str, list[_Step]] = {}
        for step in _in_order(one for one in self.moves(needles) if one.move.j in wanted and one.move.k in AFTER):
            found.setdefault(step.move.j, []).append(step)
        return found


def logs_of(paths: Sequence[str], lines: Sequence[Said], processes: int) -> StoreLogs:
    again = [path for path in paths if path != "-"]
    store_id = next((said["store_id"] for said in lines if "store_id" in said), "")
    return StoreLogs(again, store_id, processes)


def waits_told(logs: StoreLogs, lines: Sequence[Said], job_id: str) -> dict[Key, str]:
    """The sentences about the waits of a job, by the moves that ended them.

    Args:
        lines: all lines about the job, with the ledger's own.
    """
    own = _in_order(one for one in logs.moves_in(lines) if one.move.j == job_id)
    waits = list(_waits(own, named_parents(lines)))
    moves = logs.moves_of({parent for wait in waits for parent in wait.parents}) if waits else {}
    late = list(_late_claims(own))
    says = {wait.over.key: _of_parents(wait, moves) for wait in waits}
    return says | (_of_limits(logs, late) if late else {})


def named_parents(lines: Sequence[Said]) -> list[str]:
    """The jobs that one waits for, where lines at debug name them."""
    return list(
        dict.fromkeys(
            str(job_id) for said in lines if said.get("event") == "job.linked" for job_id in said.get("waits_for", ())
        )
    )


def _in_order(steps: Iterable[_Step]) -> list[_Step]:
    by_place = {step.place: step for step in steps}
    return [by_place[place] for place in sorted(by_place)]


def _waits(own: Sequence[_Step], known: Sequence[str]) -> Iterator[_Wait]:
    """The finished waits of a job for others; `known` are the ids of these others, where a line has them."""
    begun: _MovePlace | None = None
    linked: dict[str, int | None] = {}
    for step in own:
        move = step.move
        match move.k:
            case "queued" | "requeued":
                begun, linked = (step.place if move.m else None), {}
                if begun is not None and move.w is not None:
                    begun = begun._replace(at=move.w)
            case "linked":
                linked |= _ends_named(move)
            case "freed" if begun is not None:
                linked |= _ends_named(move)
                yield _Wait(begun, step, linked, move.m or len(linked))
            case "doomed" | "cancelled" if begun is not None and move.y:
                whole = len(known) == move.m
                yield _Wait(begun, step, dict.fromkeys(known) if whole else _ends_named(move), move.m or 1)


def _ends_named(move: LoggedMove) -> dict[str, int | None]:
    """The ends of other jobs that a move names."""
    return {str(one[0]): one[1] for one in move.y or () if isinstance(one[1], int)}


def _of_parents(wait: _Wait, moves: Mapping[str, Sequence[_Step]]) -> str:
    over = wait.over.place
    found = [end for parent, move_no in wait.parents.items() if (end := _end_of(moves.get(parent, ()), move_no, over))]
    during = sorted((end for end in found if end.place > wait.begun), key=attrgetter("place"))
    missing = wait.of - len(found)
    if not during:
        if missing:
            return f"when {'it' if wait.of == 1 else 'they'} ended these logs do not tell"
        return f"{'it' if wait.of == 1 else 'all of them'} had ended before"
    last = during[-1].move
    least = "at least " if missing else ""
    ids = named(end.move.j for end in during)
    unknown = f"; when {'another' if missing == 1 else f'{missing:,} others'} ended these logs do not tell"
    ended_last = f"; {last.j} ended last{', of these' if missing else ''}" if len(during) > 1 else ""
    return (
        f"it waited for {least}{len(during):,} of {wait.of:,} until {clock(over.at)}: {ids}"
        f"{ended_last} ({AFTER[last.k]}){unknown if missing else ''}"
    )


def _end_of(moves: Sequence[_Step], move_no: int | None, before: _MovePlace) -> _Step | None:
    """The end of a job that counts for another; None if it is not logged.

    Args:
        move_no: the number of its move; None if no line has it.
        before: where the other had its fate.
    """
    earlier = [one for one in moves if one.place < before and move_no in (None, one.move.r)]
    return earlier[-1] if earlier and AFTER[earlier[-1].move.k] in ENDED else None


def _late_claims(own: Sequence[_Step]) -> Iterator[tuple[Instant, _Step]]:
    """The claims later than their job was due, where a limit applies, each after the instant at which it was due."""
    due: Instant | None = None
    for step in own:
        move, at = step.move, step.place.at
        if move.k == "claimed":
            if due is not None and at - due >= WAITED_SECONDS_MIN and (move.e is not None or move.rate is not None):
                yield due, step
            due = None
        elif move.k in AFTER and AFTER[move.k] not in ENDED:
            begun = at if move.w is None else move.w
            # A freed job keeps the delay that it was born with.
            due = max(begun, move.u or 0.0, (due or 0.0) if move.k == "freed" else 0.0)


def _of_limits(logs: StoreLogs, late: Sequence[tuple[Instant, _Step]]) -> dict[Key, str]:
    within = min(due for due, _ in late) - LOOK_BACK_SECONDS, max(step.place.at for _, step in late)
    says: dict[Key, str] = {}
    groups: dict[tuple[str, str], list[_Step]] = {}
    starts: dict[str, list[_Step]] = {}
    for due, step in late:
        name, group, found = step.move.n, step.move.g, list[str | None]()
        if group is not None and step.move.e is not None:
            of_group = groups.get((name, group)) or _moves_of_group(logs, name, group, within)
            groups[name, group] = of_group
            found.append(_of_group(due, step, of_group))
        if step.move.rate is not None:
            starts[name] = starts.get(name) or _in_order(
                one for one in logs.moves(needles_of(name), within) if (one.move.k, one.move.n) == ("claimed", name)
            )
            found.append(_of_rate(due, step, starts[name]))
        if told := "; ".join(one for one in found if one is not None):
            says[step.key] = told
        elif step.place.at - due >= UNKNOWN_SECONDS_MIN:
            limits = [what for what, has in (("group", step.move.e), ("rate", step.move.rate)) if has is not None]
            says[step.key] = f"that its {' or its '.join(limits)} held it up these logs do not show"
    return says


def _moves_of_group(logs: StoreLogs, name: str, group: str, within: tuple[Instant, Instant]) -> list[_Step]:
    claims = [
        one
        for one in logs.moves(needles_of(group), within)
        if one.move.k == "claimed" and (one.move.n, one.move.g) == (name, group)
    ]
    members = {one.move.j for one in claims}
    ends = (one for one in logs.moves(LEDGER, within) if one.move.f == "running" and one.move.j in members)
    return _in_order(chain(claims, ends))


def _of_group(due: Instant, step: _Step, of_group: Sequence[_Step]) -> str | None:
    """The time until which the group of a claim had no room, after the job was due.

    It is counted backwards from the claim, which has the number of running jobs. An unlogged end makes the number too
    low, so a group is never called full that was not.
    """
    move, limit = step.move, step.move.e or 0
    running = (move.z or 1) - 1
    for place, other in reversed(of_group):
        if place >= step.place:
            continue
        if place.at < due:
            return None
        if other.k == "claimed":
            running = (other.z or running) - 1
            continue
        running += 1
        if running >= limit:
            return (
                f"its group {move.g} had {limit} of {limit} running until {clock(place.at)}, when {other.j} made room"
            )
    return None


def _of_rate(due: Instant, step: _Step, of_name: Sequence[_Step]) -> str | None:
    """The time until which the rate of a claim had no room, after the job was due.

    Jobs that started before these logs, or long ago, are not counted: then the logs show more room than there was. So a
    rate is never blamed wrongly.
    """
    move, said = step.move, step.move.rate or ""
    rate = rate_read(said)
    before = [one for one in of_name if one.place < step.place]
    if rate is None or not before or any(one.move.rate != said for one in before):
        return None
    spent_to: Instant | None = None
    until: Instant | None = None
    for at in (one.place.at for one in before):
        spent_to = spent(rate, spent_to, at, 1)
        free, opens = room_of(rate, spent_to, at)
        if not free and due < opens <= step.place.at + ROUNDING_SECONDS:
            until = opens
    return None if until is None else f"{move.n} may start {said}, and could start no more until {clock(until)}"
