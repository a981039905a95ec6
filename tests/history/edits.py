"""Changes of a log that an audit must find, made at random."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from lamplighter.rules.lifecycle import MOVES

from .kit import Said, audited

KEYS = ("k", "j", "n", "r", "f", "c", "a", "o", "s", "t")
"""Of a move, what the log proves, by itself or by a line of the move's own."""

FIELDS = ("job_id", "job_name", "claim_no", "attempt", "outcome", "turn")


def another(value: Any, chance: random.Random) -> Any:
    """Another value of the same kind."""
    if isinstance(value, str):
        return chance.choice([word for word in ("done", "queued", "dead", "another") if word != value])
    return value + chance.choice([-1, 1, 7])


def spoil(lines: list[Said], index: int, chance: random.Random) -> tuple[str, list[Said]] | None:
    """One change of one line, and what it is; None where a line proves nothing."""
    line = lines[index]
    if "moves" in line:
        what = chance.choice(["delete", "key", "turn", "swap", *(["boot_no"] if "boot_no" in line else [])])
        places = [place for place, move in enumerate(line["moves"]) if "j" in move]
        if what == "delete" and line.get("told_by") is None:
            return what, [*lines[:index], *lines[index + 1 :]]
        if what in ("turn", "boot_no"):
            return what, [*lines[:index], {**line, what: line[what] + 1}, *lines[index + 1 :]]
        if not places or line.get("told_by") is not None:
            return None
        place = chance.choice(places)
        move = line["moves"][place]
        key = chance.choice([key for key in KEYS if key in move])
        if what == "swap":
            others = [
                one for at, other in enumerate(lines) if "moves" in other and at != index for one in other["moves"]
            ]
            other = chance.choice([one for one in others if key in one and one[key] != move[key]] or [move])
            value = other[key]
        else:
            value = another(move[key], chance)
        if value == move[key]:
            return None
        moves = [*line["moves"][:place], {**move, key: value}, *line["moves"][place + 1 :]]
        return f"{what} {key}", [*lines[:index], {**line, "moves": moves}, *lines[index + 1 :]]
    if line["event"] not in MOVES or "turn" not in line:
        return None
    if chance.random() < 0.2:
        told = {(other["of"], other["turn"]) for other in lines if "told_by" in other}
        if (line["boot"], line["turn"]) in told:
            # Its boot or broker died after that turn, and perhaps before it had said all of it.
            return None
        return "delete", [*lines[:index], *lines[index + 1 :]]
    field = chance.choice([field for field in FIELDS if field in line])
    return field, [*lines[:index], {**line, field: another(line[field], chance)}, *lines[index + 1 :]]


def missed_edits(lines: list[Said], chance: random.Random, number: int, store: Path | None) -> list[tuple[str, Said]]:
    """Of so many changes of a log in which nothing is wrong, those that the audit does not find."""
    report = audited(lines, store)
    assert report.ok, report.findings[:5]
    missed: list[tuple[str, Said]] = []
    unproven = unproven_turns(lines) if store is None else set[tuple[str, int]]()
    while number:
        index = chance.randrange(len(lines))
        line = lines[index]
        spoiled = None if (line["boot"], line.get("turn")) in unproven else spoil(lines, index, chance)
        if spoiled is None or (store is None and is_beyond_a_server(lines, *spoiled, line)):
            continue
        if spoiled[0] == "delete" and is_told_by_two(lines, line):
            continue
        number -= 1
        if audited(spoiled[1], store).ok:
            missed.append((spoiled[0], lines[index]))
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


def is_beyond_a_server(lines: list[Said], what: str, spoiled: list[Said], line: Said) -> bool:
    """Whether a birth or a claim is told of another job or as of another kind, and no line at debug says what it was.

    A killed process may have told neither, and there is no table to be asked.
    """
    is_loud = any(other["event"] == "job.queued" for other in lines)
    kinds = {move["k"] for move in line.get("moves", ())}
    return what.endswith((" j", " k")) and not is_loud and bool(kinds & {"queued", "claimed"})
