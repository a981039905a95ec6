"""The system at an instant: the replay says what a plain fold of every line does, however the log is cut."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from lamplighter.history.log_files.lines import fields_of, read
from lamplighter.history.trace.snapshot import Snapshot, snapshot
from lamplighter.log.events import EVENTS
from lamplighter.rules.lifecycle import MOVES

from ....history.kit import Said, Story, Talker, write_log

INSTANTS = 8
KILLS = 2


class Plain:
    """Every line up to an instant, parsed and folded one by one."""

    def __init__(self, lines: list[Said], at: float) -> None:
        self.turns: dict[tuple[str, int, int], Said] = {}
        self.starts: dict[tuple[str, int], tuple[Any, ...]] = {}
        self.boots: dict[str, Any] = {}
        self.gone: set[str] = set()
        self.actors: dict[tuple[str, str], tuple[Any, ...]] = {}
        self.abandoned: dict[tuple[str, int], str] = {}
        # What somebody else has told late was done before.
        ours = [line for line in lines if line["event"] in EVENTS]
        for line in sorted(ours, key=lambda line: (line["boot"], line["seq"])):
            if line.get("at" if "moves" in line else "ts", line["ts"]) <= at:
                self.hear(line)
        self.last = max((line["ts"] for line in ours if line["ts"] <= at), default=0.0)
        newest: dict[str, tuple[Said, Said]] = {}
        for line in self.turns.values():
            for move in line["moves"]:
                if f"job.{move['k']}" in MOVES and (move["j"] not in newest or newest[move["j"]][0]["r"] < move["r"]):
                    newest[move["j"]] = (move, line)
        states = [MOVES[f"job.{move['k']}"][1].value for move, _ in newest.values()]
        self.states = Counter(states)
        self.held = {
            job_id: self.starts.get(
                (job_id, move["c"]), (move["c"], line["at"], line.get("of", line["boot"]), False, None, None)
            )
            for job_id, (move, line) in newest.items()
            if move["k"] == "claimed"
        }

    def hear(self, line: Said) -> None:
        event, boot = line["event"], line["boot"]
        if event == "turn.committed":
            self.turns.setdefault((line.get("of", boot), line["turn"], line.get("part", 1)), line)
        elif event == "job.started":
            start = (line["claim_no"], line["ts"], boot, True, line["lane"], line["incarnation"])
            self.starts[line["job_id"], line["claim_no"]] = start
        elif event == "runtime.started" and boot not in self.gone:
            self.boots[boot] = line["pid"]
        elif event in ("runtime.stopped", "runtime.failed", "runtime.recovered"):
            gone = line.get("dead_boot", boot)
            self.gone.add(gone)
            self.boots.pop(gone, None)
            self.actors = {key: actor for key, actor in self.actors.items() if key[0] != gone}
            self.abandoned = {key: job for key, job in self.abandoned.items() if key[0] != gone}
        elif event == "lane.abandoned" and boot not in self.gone:
            self.abandoned[boot, line["lane"]] = line["job_id"]
        elif event == "lane.returned":
            self.abandoned.pop((boot, line["lane"]), None)
        elif "child" in line and boot not in self.gone:
            self.boots.setdefault(boot, None)
            up = event in ("actor.started", "actor.restarted")
            if up or event in ("actor.stopped", "actor.crashed", "actor.quarantined"):
                self.actors[boot, line["child"]] = (line["child_incarnation"], up, line["ts"])


def told(seen: Snapshot) -> dict[str, Any]:
    """A snapshot, to be compared."""
    return {
        "states": {state: number for state, number in seen.states.items() if number},
        "held": {
            held.job_id: (held.claim_no, held.since, held.boot, held.started, held.lane, held.incarnation)
            for held in seen.held
        },
        "boots": seen.boots,
        "actors": {key: (actor.incarnation, actor.status == "up", actor.since) for key, actor in seen.actors.items()},
        "abandoned": {key: held.job_id for key, held in seen.abandoned.items()},
        "last": seen.last,
    }


def plainly(lines: list[Said], at: float) -> dict[str, Any]:
    """The same of the plain fold."""
    plain = Plain(lines, at)
    states = {state: number for state, number in plain.states.items() if number}
    return {
        **{name: getattr(plain, name) for name in ("held", "boots", "actors", "abandoned", "last")},
        "states": states,
    }


def instants(lines: list[Said]) -> list[float]:
    """Before, between, exactly at, and after these lines."""
    times = sorted(line["ts"] for line in lines)
    chance = random.Random(3)
    between = [first + (last - first) / 2 for first, last in pairwise(times)]
    return [times[0] - 1, times[-1] + 1, *chance.sample(times, INSTANTS), *chance.sample(between, INSTANTS)]


@pytest.fixture(scope="module", params=["debug", "info"])
def logs(request, tmp_path_factory) -> list[Path]:
    """Of two processes on one store, one of them killed and started again."""
    folder = tmp_path_factory.mktemp("run")
    paths = [folder / "0.log", folder / "1.log"]
    hosts = [Talker(folder / "jobs.db", path, request.param, f"p{path.stem}") for path in paths]
    for host in hosts:
        host.started()
    for kill in range(KILLS):
        # Not a wait for something: how much is logged before the kill does not matter.
        threading.Event().wait(0.3)
        hosts[0].kill()
        hosts[0] = Talker(folder / "jobs.db", paths[0], request.param, f"k{kill}")
        hosts[0].started()
    for host in hosts:
        host.stop()
    return paths


def lines_of(paths: list[Path]) -> list[Said]:
    """Every line of ours, parsed as a whole, in the order in which they followed one another."""
    return [fields_of(line.raw) or {} for line in read([str(path) for path in paths])]


def assert_plain(paths: list[Path]) -> None:
    lines = lines_of(paths)
    for at in instants(lines):
        assert told(snapshot([str(path) for path in paths], at)) == plainly(lines, at)


def test_a_log_says_what_its_lines_do(logs):
    for log in logs:
        assert_plain([log])


def test_logs_of_several_processes_are_one(logs):
    assert_plain(logs)


def test_the_order_in_which_lines_lie_in_a_file_changes_nothing(logs, tmp_path):
    texts = [line for log in logs[::-1] for line in log.read_text().splitlines(keepends=True)]
    behind, mixed = tmp_path / "behind.log", tmp_path / "mixed.log"
    behind.write_text("".join(texts))
    mixed.write_text("".join(random.Random(4).sample(texts, len(texts))))

    lines = lines_of(logs)
    for at in instants(lines):
        for log in (behind, mixed):
            assert told(snapshot([str(log)], at)) == plainly(lines, at)


def test_a_turn_that_is_told_late_was_done_at_its_instant(tmp_path):
    hung, heir = Story(), Story("b2", 2)
    hung.move("queued", None, 0, 0)
    heir.tell(hung, 2, hung.hop("claimed", "queued", 1, 0), at=1005.0, ts=1050.0)
    log = str(write_log(tmp_path / "log", [*hung.lines, *heir.lines]))

    (held,) = snapshot([log], 1010.0).held

    assert (held.job_id, held.boot, held.since) == ("j", "b1", 1005.0)
    assert snapshot([log], 1004.5).held == []


def test_two_stores_may_each_have_a_job_of_one_id_that_runs(tmp_path):
    stories = [Story("b1", store="one"), Story("b2", store="other")]
    for story in stories:
        story.move("queued", None, 0, 0).move("claimed", "queued", 1, 0)
        story.said("job.started", job_id="j", claim_no=1, lane=int(story.boot[1]), incarnation=1)
    log = str(write_log(tmp_path / "log", [line for story in stories for line in story.lines]))

    seen = snapshot([log], 2000.0)

    assert [(held.job_id, held.boot, held.lane) for held in seen.held] == [("j", "b1", 1), ("j", "b2", 2)]
    assert seen.states == {"running": 2}


def test_a_claim_after_a_requeue_may_start_before_the_end_of_the_one_before_is_read(tmp_path):
    story = Story()
    story.move("queued", None, 0, 0).move("claimed", "queued", 1, 0).move("dead", "running", 1, 1)
    dead = story.lines[-2:]
    story.move("requeued", "dead", 1, 0).move("claimed", "queued", 2, 0)
    story.said("job.started", job_id="j", claim_no=2, lane=7, incarnation=1)
    log = str(write_log(tmp_path / "log", [*(line for line in story.lines if line not in dead), *dead]))

    (held,) = snapshot([log], 2000.0).held

    assert (held.claim_no, held.started, held.lane) == (2, True, 7)


def test_what_stands_between_and_is_torn_changes_nothing(logs, tmp_path):
    log, chance = tmp_path / "app.log", random.Random(5)
    lines = logs[0].read_text().splitlines(keepends=True)
    with log.open("w") as out:
        for line in lines:
            torn, foreign = line[: chance.randrange(1, len(line) - 1)], {**json.loads(line), "seq": None}
            out.write(chance.choice(["", "", f"{torn}\n", "GET /boot?seq=1 200\n", json.dumps(foreign) + "\n", torn]))
            wrapped = json.dumps({"log": line, "stream": "stdout"}) + "\n"
            out.write(chance.choice([line, line, f"web-1 {{production}} [info] {line}", wrapped]))

    assert_plain([log])
    assert len(lines_of([log])) == len([line for line in lines if '"seq"' in line])


def test_cut_off_lines_are_missing_and_no_more(logs, tmp_path):
    chance = random.Random(6)
    cut = [line if chance.random() < 0.9 else line[:-30] + "\n" for line in logs[0].open()]
    log = tmp_path / "app.log"
    log.write_text("".join(cut))

    assert_plain([log])


def test_a_rotated_log_is_one(logs, tmp_path):
    lines = logs[0].read_bytes().splitlines(keepends=True)
    third = len(lines) // 3
    rotated = [tmp_path / "app.log", tmp_path / "app.log.1", tmp_path / "app.log.2.gz"]
    rotated[0].write_bytes(b"".join(lines[2 * third :]))
    rotated[1].write_bytes(b"".join(lines[third : 2 * third]))
    with gzip.open(rotated[2], "wb") as out:
        out.writelines(lines[:third])

    assert_plain(rotated)
    whole = lines_of([logs[0]])
    for at in instants(whole):
        assert told(snapshot([str(path) for path in rotated], at)) == plainly(whole, at)


def test_a_job_that_comes_back_after_it_had_ended_is_counted_once(tmp_path):
    story = Story().done().move("requeued", "done", 1, 0).move("claimed", "queued", 2, 0)
    story.said("job.started", job_id="j", claim_no=1, lane=1, incarnation=1)
    story.said("job.started", job_id="j", claim_no=2, lane=2, incarnation=1)
    story.move("dead", "running", 2, 1)
    for lost in (None, *range(len(story.lines))):
        kept = [line for index, line in enumerate(story.lines) if index != lost]
        log = str(write_log(tmp_path / "log", kept))
        for line in kept:
            assert told(snapshot([log], line["ts"])) == plainly(kept, line["ts"]), (lost, line)


PARALLEL = """
import sys
from lamplighter.history.log_files import files as blocks
from lamplighter.history.log_files import search
from lamplighter.history.log_files.search import find

blocks.BLOCK_BYTES = 5_000
path, at = sys.argv[1], float(sys.argv[2])
for processes in (1, 3):
    print([(said["seq"], said["offset"]) for said in find([path], [b'"job.done"', b'"actor.'], processes=processes)])
"""


def test_several_processes_find_what_one_does(logs):
    lines = lines_of([logs[0]])
    at = lines[len(lines) * 3 // 4]["ts"]

    done = subprocess.run(
        [sys.executable, "-c", PARALLEL, str(logs[0]), str(at)], capture_output=True, text=True, check=True
    )

    found_by_one, found_by_three = done.stdout.splitlines()
    assert found_by_three == found_by_one
    assert found_by_one.count("(") > 1
