"""A real log with kills: whatever is changed in it is found, and however it is cut and mixed, nothing else is."""

from __future__ import annotations

import gzip
import json
import os
import random
import threading
from pathlib import Path
from typing import NamedTuple

import pytest
from lamplighter.history.audit.audit import audit_logs
from lamplighter.history.audit.store_check import StoreView
from lamplighter.history.log_files.lines import read

from ....history.edits import missed_edits
from ....history.kit import Said, Talker, audited, write_log

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


@LEVELS
@pytest.mark.timeout(3600 if TORTURE else 300)
def test_every_edit_deletion_and_swap_is_found(storms, level):
    logs = storms[level]

    assert missed_edits(lines_of(logs), random.Random(level), EDITS, logs.store) == []


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
