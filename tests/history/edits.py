"""Changes of a log that an audit must find, made at random."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

from lamplighter.rules.lifecycle import MOVES

from .kit import Said, audited, changed

KEYS = ("k", "j", "n", "r", "f", "c", "a", "o", "s", "t", "q")
"""Of a move, what the log proves by itself or by a line of the move's own, also where the checksum was made anew."""

FIELDS = ("job_id", "job_name", "claim_no", "attempt", "outcome", "turn")

RETOLD = "retold "
"""Begins what is done to a line that keeps its checksum: that alone contradicts it."""


def another(value: Any, chance: random.Random) -> Any:
    """Another value of the same kind."""
    if isinstance(value, str):
        return chance.choice([word for word in ("done", "queued", "dead", "another") if word != value])
    return value + chance.choice([-1, 1, 7])


def spoil(lines: list[Said], index: int, chance: random.Random) -> tuple[str, list[Said]] | None:
    """One change of one line, and what it is; None where a line proves nothing."""
    line = lines[index]
    if "moves" in line:
        return (forge if chance.random() < 0.5 and "told_by" not in line else retell)(lines, index, chance)
    if line["event"] not in MOVES or "turn" not in line:
        return None
    if chance.random() < 0.2:
        told = {(other["of"], other["turn"]) for other in lines if "told_by" in other}
        if (line["boot"], line["turn"]) in told:
            # Its boot or broker died after that turn, and perhaps before it had said all of it.
            return None
        return "delete", [*lines[:index], *lines[index + 1 :]]
    field = chance.choice([field for field in FIELDS if field in line])
    return field, changed(lines, index, **{field: another(line[field], chance)})


def forge(lines: list[Said], index: int, chance: random.Random) -> tuple[str, list[Said]] | None:
    """A change of a line of the ledger that only other lines contradict."""
    line = lines[index]
    what = chance.choice(["delete", "key", "turn", "swap", *(["boot_no"] if "boot_no" in line else [])])
    if what == "delete":
        return what, [*lines[:index], *lines[index + 1 :]]
    if what in ("turn", "boot_no"):
        return what, changed(lines, index, **{what: line[what] + 1})
    places = [place for place, move in enumerate(line["moves"]) if "j" in move]
    if not places:
        return None
    place = chance.choice(places)
    move = line["moves"][place]
    key = chance.choice([key for key in KEYS if key in move])
    value = another(move[key], chance)
    if what == "swap":
        others = [one for at, other in enumerate(lines) if "moves" in other and at != index for one in other["moves"]]
        value = chance.choice([one for one in others if key in one and one[key] != move[key]] or [move])[key]
    if value == move[key]:
        return None
    moves = [*line["moves"][:place], {**move, key: value}, *line["moves"][place + 1 :]]
    return f"{what} {key}", changed(lines, index, moves=moves)


def retell(lines: list[Said], index: int, chance: random.Random) -> tuple[str, list[Said]] | None:
    """A change of anything that a line of the ledger tells, with the checksum that it has."""
    line = lines[index]
    place = chance.randrange(len(line["moves"]))
    move = line["moves"][place]
    before, after = line["moves"][:place], line["moves"][place + 1 :]
    what = chance.choice(["at", "turn", "take out", "add", "key", "key", "key", "key"])
    if what in ("at", "turn"):
        changes: Said = {what: another(line[what], chance)}
    elif what == "take out":
        changes = {"moves": [*before, *after]}
    elif what == "add":
        changes = {"moves": [*before, {"k": "queued", "j": "another", "n": "another", "r": 1}, move, *after]}
    else:
        key = chance.choice([*move, "u"])
        changes = {"moves": [*before, {**move, key: another(move.get(key, 1.0), chance)}, *after]}
        what = f"key {key}"
    return f"{RETOLD}{what}", changed(lines, index, crc=line["crc"], **changes)


def missed_edits(lines: list[Said], chance: random.Random, number: int, store: Path | None) -> list[tuple[str, Said]]:
    """Of so many changes of a log in which nothing is wrong, those that the audit does not find."""
    report = audited(lines, store)
    assert report.ok, report.findings[:5]
    missed: list[tuple[str, Said]] = []
    unproven = unproven_turns(lines)
    while number:
        index = chance.randrange(len(lines))
        line = lines[index]
        spoiled = spoil(lines, index, chance)
        if spoiled is None or (spoiled[0] == "delete" and is_told_by_two(lines, line)):
            continue
        if store is None and not spoiled[0].startswith(RETOLD):
            # No table can be asked what a killed process did last.
            is_last = (line["boot"], line.get("turn")) in unproven
            if is_last or is_beyond_a_server(lines, spoiled[0], line):
                continue
        number -= 1
        if audited(spoiled[1], store).ok:
            missed.append((spoiled[0], line))
    return missed


def is_told_by_two(lines: list[Said], line: Said) -> bool:
    """Whether a turn stands in the log twice: said before a kill, and said again by whoever buried the boot."""

    def turn_of(said: Said) -> tuple[str, int, int]:
        return said.get("of", said["boot"]), said["turn"], said.get("part", 1)

    return "moves" in line and sum("moves" in other and turn_of(other) == turn_of(line) for other in lines) > 1


def unproven_turns(lines: list[Said]) -> set[tuple[str, int]]:
    """The last turn of each boot that was killed on a server: nobody has its row, and says it in its place."""
    last = {line["boot"]: line["turn"] for line in lines if "moves" in line}
    stopped = {line["boot"] for line in lines if line["event"] == "runtime.stopped"}
    return {(boot, turn) for boot, turn in last.items() if boot not in stopped}


def is_beyond_a_server(lines: list[Said], what: str, line: Said) -> bool:
    """Whether a birth or a claim is told of another job or as of another kind, or a birth by another name where nothing
    else is told of its job; and no line at debug says what it was.

    A killed process may have told none of these.
    """
    if any(other["event"] == "job.queued" for other in lines):
        return False
    kinds = {move["k"] for move in line.get("moves", ())}
    if what.endswith(" n"):
        ids = {move["j"] for move in line.get("moves", ()) if move["k"] == "queued"}
        told = Counter(move.get("j") for other in lines for move in other.get("moves", ()))
        return any(told[job_id] == 1 for job_id in ids)
    return what.endswith((" j", " k")) and bool(kinds & {"queued", "claimed"})
