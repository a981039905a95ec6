"""A real log with kills: whatever is changed in it is found, and however it is cut and mixed, nothing else is."""

from __future__ import annotations

import gzip
import json
import os
import random
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from lamplighter.history.audit.audit import audit_logs
from lamplighter.history.audit.store_view import StoreView
from lamplighter.history.log_files.lines import read
from lamplighter.rules.lifecycle import MOVES

from ..kit import Said, Talker, audited, write_log

TORTURE = os.environ.get("LAMPLIGHTER_TORTURE") == "1"
EDITS, MIXES = (3_000, 1_000) if TORTURE else (150, 30)
KILLS = 2
LEVELS = pytest.mark.parametrize("level", ["debug", "info"])


class Logs(NamedTuple):
    """Of two processes on one store, some of which were killed."""

    paths: tuple[Path, ...]
    store: Path


@pytest.fixture(scope="module")
def storms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Logs]:
    return {level: storm(tmp_path_factory.mktemp(level), level) for level in ("debug", "info")}


def storm(folder: Path, level: str) -> Logs:
    store, paths = folder / "jobs.db", (folder / "0.log", folder / "1.log")
    hosts = [Talker(store, path, level, f"p{number}") for number, path in enumerate(paths)]
    for host in hosts:
        host.started()
    for kill in range(KILLS):
        # Not a wait for something: the instant of the kill is what the test is about.
        threading.Event().wait(0.15)
        hosts[kill % 2].kill()
        hosts[kill % 2] = Talker(store, paths[kill % 2], level, f"k{kill}")
        hosts[kill % 2].started()
    for host in hosts:
        host.stop()
    return Logs(paths, store)


def lines_of(logs: Logs) -> list[Said]:
    return [json.loads(line.raw) for line in read([str(path) for path in logs.paths])]


KEYS = ("k", "j", "n", "r", "f", "c", "a", "s", "t")
"""Of a move, what the log proves by itself. How an attempt ended, and when the next is due, its own line says too."""

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
        what = chance.choice(["delete", "key", "turn", "boot_no", "swap"])
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


@LEVELS
@pytest.mark.timeout(3600 if TORTURE else 300)
def test_every_edit_deletion_and_swap_is_found(storms, level):
    logs, chance = storms[level], random.Random(level)
    lines = lines_of(logs)
    assert audited(lines, logs.store).ok, audited(lines, logs.store).findings[:5]

    missed, tried = [], 0
    while tried < EDITS:
        index = chance.randrange(len(lines))
        spoiled = spoil(lines, index, chance)
        if spoiled is None:
            continue
        tried += 1
        if audited(spoiled[1], logs.store).ok:
            missed.append((spoiled[0], lines[index]))

    assert missed == []


def mixed(logs: Logs, folder: Path, chance: random.Random) -> list[str]:
    """The logs cut at both ends, rotated, compressed, put behind one another and given in any order, some twice."""
    texts = [[(json.loads(raw), raw) for raw in path.read_text().splitlines(keepends=True)] for path in logs.paths]
    times = sorted(said["ts"] for lines in texts for said, _ in lines if "ts" in said)
    first, last = sorted(chance.choices(times, k=2)) if chance.random() < 0.7 else (times[0], times[-1])
    parts: list[str] = []
    for lines in texts:
        kept = [raw for said, raw in lines if first <= said.get("ts", first) <= last]
        cuts = sorted(chance.randrange(len(kept) + 1) for _ in range(chance.randrange(4))) if kept else []
        parts += ["".join(kept[a:b]) for a, b in zip([0, *cuts], [*cuts, len(kept)], strict=True)]
    parts += chance.sample(parts, chance.randrange(2))
    chance.shuffle(parts)
    paths = []
    while parts:
        together = [parts.pop() for _ in range(min(len(parts), chance.choice([1, 1, 2, 3])))]
        path = folder / f"{len(paths)}.log{chance.choice(['', '.gz'])}"
        raw = "".join(together).encode()
        path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
        paths.append(str(path))
    return paths


@LEVELS
@pytest.mark.timeout(3600 if TORTURE else 300)
def test_no_cut_rotation_or_mixture_is_a_finding(storms, level, tmp_path):
    logs = storms[level]
    for number in range(MIXES):
        chance = random.Random(f"{level} {number}")
        folder = tmp_path / str(number)
        folder.mkdir()
        paths = mixed(logs, folder, chance)
        if not any(Path(path).stat().st_size > 40 for path in paths):
            continue

        report = audit_logs(paths)

        assert report.ok, (number, report.findings[:5])


@LEVELS
def test_several_hosts_logs_agree_with_the_store_in_any_order(storms, level):
    logs = storms[level]
    for paths in (logs.paths, logs.paths[::-1]):
        report = audit_logs([str(path) for path in paths], StoreView(logs.store))
        assert report.ok, report.findings[:5]


def test_two_stores_in_one_log_are_two(storms, tmp_path):
    one, other = (lines_of(storms[level]) for level in ("debug", "info"))
    log = write_log(tmp_path / "log", sorted([*one, *other], key=lambda line: line["ts"]))

    report = audit_logs([str(log)], StoreView(storms["info"].store))

    assert report.ok, report.findings[:5]
    assert report.jobs == audited(one).jobs + audited(other).jobs
