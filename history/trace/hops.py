"""The moves that the ledger tells, each as one line: with what a line of its own says besides, where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from ...rules.lifecycle import MOVES
from ..log_files.fields import Said
from ..log_files.lines import LoggedMove

LAST_SEQ = 1 << 62
"""The place of what a boot has not said itself among its lines: after them."""

NAMES = {
    "j": "job_id",
    "n": "job_name",
    "r": "rev",
    "f": "from",
    "o": "outcome",
    "u": "run_at",
    "s": "schedule",
    "t": "slot",
    "d": "digest",
    "p": "redeliveries",
    "b": "boot_was",
    "q": "then_of",
    "x": "then",
    "m": "parents",
    "step": "step",
    "steps": "steps",
    "until": "until",
    "by": "by",
    "via": "via",
    "why": "reason",
}
"""The names that other lines have for the keys of a move."""

OF_JOBS = frozenset({*MOVES, "job.stepped", "job.deferred"})
"""The events of what the ledger tells of jobs."""


def with_hops(found: Iterable[Said], wanted: Callable[[LoggedMove], bool]) -> list[Said]:
    """Lines, and in the place of the ledger's the moves of jobs that are wanted, each once.

    A line about a move of the same turn is one with it.
    """
    lines = list(found)
    own: dict[tuple[Any, ...], Said] = {}
    for said in lines:
        if said.get("event") in OF_JOBS and {"boot", "turn"} <= said.keys():
            own.setdefault(_place(said), said)
    hops: dict[tuple[Any, ...], Said] = {}
    joined: set[tuple[Any, ...]] = set()
    # Each line of the ledger has a checksum: beside those, what has none is not the ledger's.
    has_sums = any("crc" in said for said in lines)
    for said in lines:
        for move, hop in _hops(said) if "crc" in said or not has_sums else ():
            if not wanted(move):
                continue
            place = _place(hop)
            beside = own.get(place)
            if beside is not None:
                joined.add(place)
                # In the order of the ledger: what a turn did has one, whoever of it says more than that.
                hop |= {**beside, "seq": hop["seq"], "ts": hop["ts"], "line_ts": beside.get("ts", hop["ts"])}
                hop.pop("told_by", None)
                hop.pop("untold", None)
            key = (*place, move.r)
            known = hops.get(key)
            if known is None or ("told_by" in known and "told_by" not in hop):
                hops[key] = hop
    rest = [said for said in lines if "moves" not in said and _place(said) not in joined]
    return [*rest, *hops.values()]


def moves_told(said: Said) -> Iterator[LoggedMove]:
    """The moves that a line of the ledger tells, without those that cannot be read."""
    for raw in said["moves"]:
        try:
            move = msgspec.convert(raw, LoggedMove)
        except msgspec.MsgspecError:
            continue
        yield move


def _place(said: Said) -> tuple[Any, ...]:
    """The subject of one line alone: several steps or calls in one turn have a line each."""
    match event := said.get("event"):
        case "job.stepped":
            which = said.get("step")
        case "job.replaced":
            which = said.get("run_at"), said.get("digest")
        case _:
            which = None
    return said.get("boot"), said.get("turn"), event, said.get("job_id"), which


def _hops(said: Said) -> Iterator[tuple[LoggedMove, Said]]:
    if "moves" not in said or "turn" not in said or "boot" not in said:
        return
    is_told = "told_by" in said
    common: Said = {
        name: said[name]
        for name in ("boot", "seq", "ts", "turn", "actor", "incarnation", "source", "offset", "store_id", "beside_ts")
        if name in said
    }
    if is_told:
        common |= {"boot": said.get("of", said["boot"]), "seq": LAST_SEQ, "told_by": said["told_by"], "untold": True}
        common["ts"] = said.get("at", said.get("ts", 0.0))
    for move in moves_told(said):
        event = f"job.{move.k}"
        if event in OF_JOBS and move.j:
            hop = {name: value for key, name in NAMES.items() if (value := getattr(move, key)) is not None}
            if move.y and event != "job.freed":
                hop["fate_of"] = str(move.y[0][0])
            hop |= {"claim_no": move.c, "event": event}
            if event in MOVES:
                hop |= {"attempt": move.a, "to": MOVES[event][1].value}
            else:
                # It is no move of its job, and has no number among them.
                del hop["rev"]
            yield move, {**hop, **common}
