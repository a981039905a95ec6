"""The audit of logs from a RabbitMQ: silent about what is well, and what it can judge of what is not."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from lamplighter import JobFailed, Runtime
from lamplighter.history.audit.audit import Audit, Report, audit_logs
from lamplighter.stores.rabbitmq.turn import RabbitTurn

from ....faults.kit import Host, count, eventually
from ....history.edits import missed_edits
from ....history.kit import HOST, Said, audited, changed, kinds, logger_to, without
from .test_simulation import TROUBLES, campaign

WAIT_SECONDS = 20.0
KILLS = count(2, 20)
EDITS = count(40, 3_000)
SIMULATED_KILLS_MAX = 4
LEVELS = ("debug", "info")
UNJUDGED = "each job is judged by itself"


class Logs(NamedTuple):
    """What two runtimes on one server have logged, in the order of time."""

    debug: list[Said]
    info: list[Said]


def fail(job: Any) -> None:
    raise ValueError("broken")


@pytest.fixture(scope="module")
def logs(vhosts, tmp_path_factory: pytest.TempPathFactory) -> Logs:
    """A little of everything on a real server: endings, retries, a revival, a release, slots."""
    return Logs(*(run(vhosts.take(), tmp_path_factory.mktemp(level), level) for level in LEVELS))


def run(url: str, folder: Path, level: str) -> list[Said]:
    one, other = (Runtime(url, logger=logger_to(folder / f"{number}.log", level)) for number in range(2))
    for each in (one, other):
        each.jobs.add_handler("work", lambda job: job.data, concurrency=2)
        each.jobs.add_handler("bad", fail, max_attempts=2, backoff=[0.0])
    schedules = [each.scheduler.add("work", "@every 1s") for each in (one, other)]
    with one, other:
        jobs = one.jobs.queue_many([("work", number) for number in range(20)])
        for job in jobs:
            one.jobs.join(job, timeout=WAIT_SECONDS)
        bad = other.jobs.queue("bad")
        for _ in range(2):
            with pytest.raises(JobFailed):
                other.jobs.join(bad, timeout=WAIT_SECONDS)
            other.jobs.requeue(bad)
        with pytest.raises(JobFailed):
            other.jobs.join(bad, timeout=WAIT_SECONDS)
        for each, schedule in zip((one, other), schedules, strict=True):
            each.scheduler.remove(schedule)
        # A slot that fired just before the stop would leave its job in the queue.
        eventually(lambda: not one.scheduler.list() and not other.scheduler.list(), what="the end of the schedule")
        eventually(lambda: not sum(map(one.jobs.counts("work").get, ("queued", "running"))), what="the end of its jobs")
    lines = [json.loads(line) for number in range(2) for line in (folder / f"{number}.log").open()]
    return sorted(lines, key=lambda line: float(line["ts"]))


def moves(lines: list[Said], *kinds: str) -> list[tuple[int, int]]:
    """Where moves of jobs stand, by line and place; of these kinds, if some are given."""
    return [
        (index, place)
        for index, line in enumerate(lines)
        if "moves" in line
        for place, move in enumerate(line["moves"])
        if "j" in move and (not kinds or move["k"] in kinds)
    ]


def edited(lines: list[Said], index: int, place: int, **keys: Any) -> list[Said]:
    """All lines, one move with other keys."""
    told = list(lines[index]["moves"])
    told[place] = {**told[place], **keys}
    return changed(lines, index, moves=told)


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_is_found_in_a_clean_run_and_what_cannot_be_judged_is_said(logs: Logs, level: str) -> None:
    report = audited(getattr(logs, level))

    assert report.ok, report.findings
    assert (report.boots, report.unfinished) == (2, 0)
    assert report.jobs >= 21
    assert any(UNJUDGED in note for note in report.notes)


@pytest.mark.parametrize("level", LEVELS)
def test_each_line_of_the_ledger_that_is_deleted_is_missed(logs: Logs, level: str) -> None:
    lines = getattr(logs, level)

    missed = [lines[index] for index, place in moves(lines) if place == 0 and audited(without(lines, index)).ok]

    assert not missed


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("key", ["f", "r", "c", "a", "o", "k", "j"])
def test_each_key_of_a_move_that_is_flipped_is_found(logs: Logs, key: str, level: str) -> None:
    lines = getattr(logs, level)

    missed = [
        lines[index]["moves"][place]
        for index, place in moves(lines)
        if key in (move := lines[index]["moves"][place])
        and audited(edited(lines, index, place, **{key: flipped(move[key])})).ok
    ]

    assert not missed


def flipped(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, str):
        return "cancelled" if value != "cancelled" else "dead"
    return (value or 0) + 1


@pytest.mark.parametrize("level", LEVELS)
def test_a_job_that_another_runtime_ends_again_is_found_unless_it_was_redelivered(logs: Logs, level: str) -> None:
    lines = getattr(logs, level)
    index, place = moves(lines, "done")[0]
    line, move = lines[index], lines[index]["moves"][place]
    other = next(one for one in lines if one["boot"] != line["boot"] and "moves" in one)
    stop = next(
        at for at, one in enumerate(lines) if one["event"] == "runtime.stopped" and one["boot"] == other["boot"]
    )
    last = lines[stop]["turn"] + 1

    def with_moves(*told: Said) -> Report:
        again = {**other, "crc": None, "seq": 1_000_000, "turn": last, "moves": list(told), "ts": lines[stop]["ts"]}
        return audited([*lines[:stop], again, {**lines[stop], "turn": last}, *lines[stop + 1 :]])

    claimed = {"k": "claimed", "j": move["j"], "n": move["n"], "r": 3, "f": "queued", "c": 2, "a": 0, "p": 1}
    ended = {**move, "r": 4, "c": 2}
    found = [kind for kind in kinds(with_moves(move)) if kind != "missing lines"]
    assert "finished twice" in found
    allowed = with_moves(claimed, ended)
    assert [finding for finding in allowed.findings if finding.kind != "missing lines"] == []
    assert any("1 job ended more than once" in note for note in allowed.notes)


@pytest.mark.parametrize("level", LEVELS)
def test_after_kills_at_random_instants_nothing_is_found(url: str, tmp_path: Path, level: str) -> None:
    chance = random.Random(level)
    logs = [tmp_path / f"{number}.log" for number in range(2)]
    lives = itertools.count(1)

    def start(log: Path) -> Host:
        host = Host(str(HOST), url, log, level, f"p{next(lives)}", folder=tmp_path)
        host.expect("started")
        return host

    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(start(log)) for log in logs]
        for _ in range(KILLS):
            which = chance.randrange(len(hosts))
            for _ in range(chance.randrange(1, 6)):
                hosts[which].expect("queued")
            hosts[which].kill()
            hosts[which] = stack.enter_context(start(logs[which]))
        for host in hosts:
            host.expect("queued")
            assert host.end() == 0, host.errors()[-3000:]
    report = audit_logs([str(log) for log in logs], None)

    assert report.ok, report.findings[:10]
    assert report.boots == KILLS + 2


@pytest.mark.timeout(count(300, 3600))
@pytest.mark.parametrize("level", LEVELS)
def test_every_edit_deletion_and_swap_in_a_log_with_kills_is_found(level: str) -> None:
    lines = map(json.loads, log_with_kills().splitlines())
    kept = [line for line in lines if level == "debug" or line["level"] != "debug"]

    assert missed_edits(kept, random.Random(level), EDITS, None) == []


@functools.cache
def log_with_kills() -> str:
    """Of a simulation in which processes were killed, but not so often that its log is long."""
    simulations = (campaign(TROUBLES["kills"], seed, 2) for seed in itertools.count())
    return next(one.log for one in simulations if 1 <= one.reached["kill_process"] <= SIMULATED_KILLS_MAX)


def verdict(log: str) -> Report:
    """What the audit says of a simulation's log."""
    audit = Audit()
    for line in log.splitlines():
        audit.feed(json.loads(line))
    return audit.finish()


@pytest.mark.parametrize("name", TROUBLES)
def test_whatever_befalls_the_audit_finds_nothing_where_nothing_is_wrong(name: str) -> None:
    for seed in range(2):
        report = verdict(campaign(TROUBLES[name], seed, 2).log)

        assert report.ok, (seed, report.findings)


@pytest.mark.parametrize("name", ["kills", "all"])
def test_an_audit_says_the_same_in_whichever_order_the_logs_of_the_boots_lie(name: str) -> None:
    """Where they lay one after another in one file, the audit found a job that had `finished twice`."""
    for seed in range(2):
        lines = campaign(TROUBLES[name], seed, 2).log.splitlines()
        boots = sorted({json.loads(line)["boot"] for line in lines})
        random.Random(seed).shuffle(boots)
        shuffled = [line for boot in boots for line in lines if json.loads(line)["boot"] == boot]

        reports = [verdict("\n".join(each)) for each in (lines, shuffled)]

        assert reports[1].ok, (seed, reports[1].findings)
        assert reports[0].summary == reports[1].summary


def test_two_runtimes_that_both_fire_though_one_leads_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RabbitTurn, "leads", property(lambda self: True, lambda self, leads: None), raising=False)

    found = [kinds(verdict(campaign(TROUBLES["none"], seed).log)) for seed in range(5)]

    assert any("fired twice" in kind for kind in found)
