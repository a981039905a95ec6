"""The audit of logs from a RabbitMQ: silent about what is well, and what it can judge of what is not."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from lamplighter import JobFailed, Runtime
from lamplighter.history.audit.audit import Audit
from lamplighter.history.audit.report import Report
from lamplighter.history.audit.same_path_stores import audit_logs
from lamplighter.stores.rabbitmq.turn import RabbitTurn

from ...faults.kit import Host, count
from ...history.kit import HOST, Said, audited, changed, kinds, logger_to, without
from .test_simulation import TROUBLES, campaign

WAIT_SECONDS = 20.0
KILLS = count(2, 20)
LEVELS = ("debug", "info")
UNJUDGED = "each job counts its own revisions"


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
        each.scheduler.add("work", "@every 1s")
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
    lines = [json.loads(line) for number in range(2) for line in (folder / f"{number}.log").open()]
    return sorted(lines, key=lambda line: float(line["ts"]))


def transitions(lines: list[Said], *events: str) -> list[int]:
    """Where lines of steps of jobs stand; of these events, if some are given."""
    return [index for index, line in enumerate(lines) if "rev" in line and (not events or line["event"] in events)]


def is_last(lines: list[Said], index: int) -> bool:
    """Whether its boot says nothing after it."""
    return all(line["boot"] != lines[index]["boot"] for line in lines[index + 1 :])


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_is_found_in_a_clean_run_and_what_cannot_be_judged_is_said(logs: Logs, level: str) -> None:
    report = audited(getattr(logs, level))

    assert report.ok, report.findings
    assert (report.boots, report.unfinished) == (2, 0)
    assert report.jobs >= 21
    assert any(UNJUDGED in note for note in report.notes)


def test_each_transition_line_that_is_deleted_is_missed(logs: Logs) -> None:
    lines = logs.debug

    missed = [lines[index] for index in transitions(lines) if audited(without(lines, index)).ok]

    assert not missed


@pytest.mark.parametrize(
    ("field", "events"),
    [
        ("from", ("job.claimed", "job.done", "job.retried", "job.dead", "job.requeued")),
        ("to", ()),
        ("rev", ()),
        ("claim_no", ()),
        ("attempt", ()),
    ],
)
def test_each_field_of_a_transition_that_is_flipped_is_found(logs: Logs, field: str, events: tuple[str, ...]) -> None:
    lines = logs.debug

    missed = [
        lines[index]
        for index in transitions(lines, *events)
        if field in lines[index] and audited(changed(lines, index, **{field: flipped(lines[index][field])})).ok
    ]

    assert not missed


def flipped(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, str):
        return "cancelled" if value != "cancelled" else "dead"
    return (value or 0) + 1


def test_at_info_a_line_amid_a_job_is_missed_and_a_job_without_its_beginning_is_said(logs: Logs) -> None:
    lines = logs.info

    first, *later = transitions(lines, "job.retried", "job.requeued")

    beheaded = audited(without(lines, first))
    assert beheaded.ok
    assert any("1 job began before this log" in note for note in beheaded.notes)
    assert later
    assert all(not audited(without(lines, index)).ok for index in later)


def test_a_job_that_ends_twice_by_one_claim_is_found(logs: Logs) -> None:
    lines = logs.info
    index = transitions(lines, "job.done")[0]
    again = {**lines[index], "seq": 1_000_000}

    assert kinds(audited([*lines[: index + 1], again, *lines[index + 1 :]])) == ["finished twice"]


def test_a_job_that_another_runtime_ends_again_is_found_unless_it_was_redelivered(logs: Logs) -> None:
    lines = logs.info
    index = next(index for index in transitions(lines, "job.done") if lines[index]["revs"] == [1, 2, 3])
    boots = {line["boot"] for line in lines}
    (elsewhere,) = boots - {lines[index]["boot"]}
    again = {**lines[index], "seq": 1_000_000, "boot": elsewhere}
    redelivered = {**again, "claim_no": 2, "rev": 4, "revs": [1, 3, 4]}

    def with_line(line: Said) -> Report:
        return audited([*lines[: index + 1], line, *lines[index + 1 :]])

    assert kinds(with_line(again)) == ["finished twice"]
    allowed = with_line(redelivered)
    assert allowed.ok, allowed.findings
    assert any("1 job ended more than once" in note for note in allowed.notes)


def test_an_ending_by_an_older_claim_is_found(logs: Logs) -> None:
    lines = logs.info
    index = next(index for index in transitions(lines, "job.dead") if lines[index]["claim_no"] > 1)

    assert "fence going back" in kinds(audited(changed(lines, index, claim_no=0)))


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


def verdict(log: str) -> Report:
    """What the audit says of a simulation's log."""
    audit = Audit()
    for line in log.splitlines():
        audit.feed(json.loads(line))
    return audit.finish()


@pytest.mark.parametrize("name", TROUBLES)
def test_whatever_befalls_the_audit_finds_nothing_where_nothing_is_wrong(name: str) -> None:
    for seed in range(3):
        report = verdict(campaign(TROUBLES[name], seed, 2).log)

        assert report.ok, (seed, report.findings)


def test_two_runtimes_that_both_fire_though_one_leads_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RabbitTurn, "leads", property(lambda self: True, lambda self, leads: None), raising=False)

    found = [kinds(verdict(campaign(TROUBLES["none"], seed).log)) for seed in range(5)]

    assert any("fired twice" in kind for kind in found)
