"""Whole pages about one thing, each of whose facts has a value of its own."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from lamplighter.admin.graphs import GraphHold, GraphNode, GraphView
from lamplighter.admin.views import JobPage, LoggedLine, ScheduleName, job_view
from lamplighter.admin.why import Why
from lamplighter.cli.job_pages import row, show_graph, show_job
from lamplighter.cli.options import Times
from lamplighter.cli.page import Page
from lamplighter.cli.runtimes import _show_jobs, _show_trees
from lamplighter.cli.trace import SCHEDULES_MAX, _other_schedules, _show_instant
from lamplighter.history.trace.snapshot import ActorState, Held, Snapshot
from lamplighter.messages.jobs import Attempt
from lamplighter.messages.steps import StepMark
from lamplighter.messages.views import Abandoned, Health

from ..admin.kit import NOW, a_boot, a_job, a_lane, a_view, an_actor

UTC = Times(is_utc=True)
DEAD = Why(code="dead", sentence="it has been dead for 10 s: failed", changes="a requeue")
FULL = Why(code="lanes_full", sentence="the one lane of 'mail' is busy", changes="the end of this job")


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def told(text: str) -> list[str]:
    return textwrap.dedent(text).strip("\n").splitlines()


def other(job_id: str, **changed: Any) -> Any:
    return job_view(a_job(id=job_id, **changed), FULL, shows_data=False)


JOB = a_job(
    data='{"to":"ada"}',
    state="dead",
    attempt=3,
    max_attempts=5,
    claim_no=4,
    priority=6,
    timeout=70.0,
    unique_key="key",
    group_key="acme",
    debounce_key="doc-7",
    queued_at=NOW - 900,
    run_at=NOW - 800,
    claimed_at=NOW - 30,
    ended_at=NOW - 10,
    expires_at=NOW + 60,
    boot="b1",
    root_id="root",
    schedule="s1",
    slot=NOW - 700,
    reason="failed in attempt 3",
    error="ValueError: no",
    result="7",
    progress='{"done":1,"total":4}',
)

PAGE = JobPage(
    at=NOW,
    job=job_view(JOB, None, shows_data=False),
    traceback="Traceback\n  in send",
    reasons=(DEAD, FULL),
    attempts=(
        Attempt(
            job_id="j1",
            claim_no=2,
            attempt=1,
            outcome="timed_out",
            boot="b0",
            begun=True,
            claimed_at=NOW - 600,
            ended_at=NOW - 530,
            error="it timed out",
            traceback=None,
        ),
    ),
    output=(LoggedLine(claim_no=4, at=NOW - 20, level="info", text="begun"),),
    output_unheard="nobody answers",
    steps=(
        StepMark(name="charge", bytes=1_234, claim_no=3, at=NOW - 40),
        StepMark(name="pack", bytes=56, claim_no=4, at=NOW - 25),
    ),
    steps_kept=9,
    children=(other("child"),),
    has_more_children=True,
    parents=(other("parent"),),
    has_more_parents=True,
    gone_parents=({"no": 1, "id": "gone", "name": "part", "state": "done", "rev": 5},),
    waiting=(other("waits"),),
    has_more_waiting=False,
    schedule=ScheduleName(id="s1", key="daily", when="30 6 * * *", words="at 06:30 every day"),
)


def test_a_job_is_shown_with_all_that_is_known_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    show_job(Page(), PAGE, UTC)

    assert lines(capsys) == told(
        """
        id               j1
        name             mail
        state            dead
        why              it has been dead for 10 s: failed
        would change it  a requeue
        and then         the one lane of 'mail' is busy
        attempt          3 of 5
        claims           4
        priority         6
        unique           key
        group            acme
        debounce         doc-7
        queued           1970-01-12 13:31:40Z (15 min 0 s ago)
        due              1970-01-12 13:33:20Z (13 min 20 s ago)
        claimed          1970-01-12 13:46:10Z (30 s ago)
        took             20 s
        ended            1970-01-12 13:46:30Z (10 s ago)
        expires          1970-01-12 13:47:40Z (in 60 s)
        timeout          70 s
        boot             b1
        schedule         daily (s1), at 06:30 every day, slot 1970-01-12 13:35:00Z
        descends from    root
        data             object of 1: to (text), 12 bytes (--show-data shows it)
        result           number, 1 byte (--show-data shows it)
        progress         object of 2: done (number), total (number), 20 bytes (--show-data shows it)
        reason           failed in attempt 3
        error            ValueError: no
        traceback        Traceback
                           in send

        claim  attempt  outcome    ran   ended           boot  error
            2        1  timed_out  70 s  8 min 50 s ago  b0    it timed out

        what it has logged:
        claim  at                    level  line
            4  1970-01-12 13:46:20Z  info   begun

        what the attempt that runs has logged is not known: nobody answers

        9 steps kept; the last 2:
        step    claim  kept      bytes
        charge      3  40 s ago  1,234
        pack        4  25 s ago     56

        jobs that it waits for, or has waited for:
        id      name  state   what        attempt  queued    due       took
        parent  mail  queued  lanes_full        0  60 s ago  60 s ago
        job gone (part), done, which retention has removed
        ... and more

        jobs that wait for it, or have:
        id     name  state   what        attempt  queued    due       took
        waits  mail  queued  lanes_full        0  60 s ago  60 s ago

        jobs that descend from it:
        id     name  state   what        attempt  queued    due       took
        child  mail  queued  lanes_full        0  60 s ago  60 s ago
        ... and more; `lamplighter jobs list corr:j1` lists them
        """
    )


@pytest.mark.parametrize("kind", ["parents", "waiting", "children"])
def test_of_a_job_it_is_said_of_which_others_there_are_more(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    flags = {f"has_more_{one}": one == kind for one in ("parents", "waiting", "children")}

    show_job(Page(), replace(PAGE, gone_parents=(), **flags), UTC)

    said = lines(capsys)
    (more,) = (place for place, line in enumerate(said) if line.startswith("... and more"))
    assert said[more - 1].split()[0] == {"parents": "parent", "waiting": "waits", "children": "child"}[kind]


@pytest.mark.parametrize(
    ("progress", "what"),
    [
        ('{"done":1,"total":4,"note":"half"}', "1 of 4: half"),
        ('{"done":1.5,"total":null,"note":null}', "1.5"),
        ('{"done":3,"total":null,"note":"soon"}', "3: soon"),
    ],
)
def test_a_job_that_runs_is_listed_with_how_far_it_is(progress: str, what: str) -> None:
    job = a_job(state="running", boot="b1", claimed_at=NOW - 5, progress=progress)
    why = Why(code="running", sentence="it runs")

    assert row(job_view(job, why, shows_data=True), NOW)[3] == what
    assert row(job_view(job, why, shows_data=False), NOW)[3] == ""


GRAPH = GraphView(
    at=NOW,
    id="album",
    state="waiting",
    total=1_234,
    is_capped=True,
    of={"queued": 1_200, "running": 0, "done": 30, "dead": 0, "cancelled": 4},
    names={},
    nodes=(
        GraphNode(level=0, name="mail", of={"done": 30, "cancelled": 4}),
        GraphNode(level=1, name="album", of={"queued": 1_200}),
    ),
    edges=(),
    held_up_by=(
        GraphHold(jobs=5, names=("a", "b", "c", "d", "e"), first=other("part0")),
        GraphHold(jobs=1, names=("mail",), first=other("part1")),
    ),
)


def test_a_graph_is_shown_with_its_levels_and_each_that_holds_it_up(capsys: pytest.CaptureFixture[str]) -> None:
    show_graph(Page(), GRAPH)

    assert lines(capsys) == told(
        """
        waiting: 34 of 1,234+ jobs have ended

        name      jobs  queued  done  cancelled
        mail        34            30          4
          album  1,200   1,200

        held up by 5 queued jobs, as part0 (a, b, c and 2 more): the one lane of 'mail' is busy
        what would change it: the end of this job

        held up by queued job part1 (mail): the one lane of 'mail' is busy
        what would change it: the end of this job

        `lamplighter jobs requeue --where 'graph:album state:dead state:cancelled fate:no'` mends it
        """
    )


def test_the_jobs_of_a_runtime_are_shown_with_how_many_more_and_with_hung_threads(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hung = Abandoned(job_id="j7", job_name="mail", lane=7, why="it timed out", seconds=9.0, stack="in send\nin post")
    health = Health(status="yellow", reasons=(), boot="b1", abandoned=(hung, replace(hung, job_id="j8", stack="")))

    _show_jobs(Page(), a_view(lanes=(a_lane("j1", 3.0), a_lane("j2", 4.0)), lanes_open=5, health=health), UTC)

    assert lines(capsys)[1:] == told(
        """

        job  name  attempt  for  until  is to end because
        j1   mail  1        3 s
        j2   mail  1        4 s
        and 3 more jobs

        hung thread: job j7 (mail), it timed out, runs for 9 s
          in send
          in post

        hung thread: job j8 (mail), it timed out, runs for 9 s
          it does not run now
        """
    )


def test_the_trees_of_runtimes_stand_below_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    heard = a_boot("b1", view=a_view(actors=(an_actor("broker", mailbox=2),)))

    _show_trees(Page(), [heard, a_boot("b2")], UTC)

    assert lines(capsys) == told(
        """
        boot b1 (pid 7 on h): green
        actor   life  status  mail  oldest  busy  restarts  jobs  last death
        broker     1  up         2                0

        boot b2 (pid 7 on h): unknown
        it was not asked
        """
    )


BUSY, SILENT = "0a1b2c3d4e", "5f6a7b8c9d"
SEEN = Snapshot(
    NOW,
    boots={BUSY: 7, SILENT: None},
    spoke={BUSY: NOW - 3, SILENT: NOW - 50},
    bereft={SILENT},
    states=Counter(running=22, queued=5, done=0),
    held=[
        Held(f"j{number}", "mail", claim_no=number, since=NOW - 9, boot=BUSY, started=number > 1, lane=number + 100)
        for number in range(22)
    ],
    actors={
        (BUSY, "broker"): ActorState(1, "up", since=NOW - 60),
        (BUSY, "handler:mail"): ActorState(4, "waiting", since=NOW - 8, restarts_in_window=2, reason="KeyError: 'x'"),
    },
    abandoned={(BUSY, 12): Held("j99", "mail", claim_no=1, since=NOW - 4, boot=BUSY)},
    last=NOW - 2,
    has_ledger=True,
)


def test_an_instant_is_told_with_each_boot_actor_and_the_first_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    assert _show_instant(SEEN, ["one line cannot be read"], as_json=False) == 0

    assert lines(capsys) == [
        "at 1970-01-12T13:46:40Z (the last line before is 2 s older)",
        f"boots alive: {BUSY} (pid 7, last heard of 3 s before)",
        f"dead or without a connection: {SILENT} (last heard of 50 s before): a job that it had was delivered again, "
        "and it has said nothing since",
        "jobs: 5 queued, 22 running",
        "broker/1 · 0a1b2c  up for 60 s",
        "handler:mail/4 · 0a1b2c  waiting for 8 s, 2 restarts in its window: KeyError: 'x'",
        "    j0 claim 0 is claimed, not started since 9 s",
        "    j1 claim 1 is claimed, not started since 9 s",
        *(f"    j{number} claim {number} runs on lane {number + 100} since 9 s" for number in range(2, 20)),
        "    ... and 2 more",
        "abandoned lane 12 · 0a1b2c of job j99, given up 4 s before",
        "note: one line cannot be read",
    ]


def test_an_instant_is_told_to_programs_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert _show_instant(SEEN, ["one line cannot be read"], as_json=True) == 0

    seen = json.loads(capsys.readouterr().out)
    running, (broker, handler) = seen.pop("running"), seen.pop("actors")
    assert running[3] == {"job_id": "j3", "claim_no": 3, "since": NOW - 9, "boot": BUSY, "lane": 103}
    assert (len(running), broker["jobs"], handler["jobs"]) == (22, [], [one["job_id"] for one in running])
    assert handler == {
        "boot": BUSY,
        "actor": "handler:mail",
        "incarnation": 4,
        "status": "waiting",
        "since": NOW - 8,
        "restarts_in_window": 2,
        "reason": "KeyError: 'x'",
        "jobs": handler["jobs"],
    }
    assert seen == {
        "at": NOW,
        "last": NOW - 2,
        "boots": {BUSY: 7, SILENT: None},
        "spoke": {BUSY: NOW - 3, SILENT: NOW - 50},
        "bereft": [SILENT],
        "has_ledger": True,
        "jobs": {"running": 22, "queued": 5},
        "abandoned": [{"boot": BUSY, "lane": 12, "job_id": "j99"}],
        "notes": ["one line cannot be read"],
    }


@pytest.mark.parametrize(("count", "more"), [(0, None), (SCHEDULES_MAX, ""), (SCHEDULES_MAX + 3, " and 3 more")])
def test_where_no_schedule_has_the_id_some_that_there_are_are_named(
    monkeypatch: pytest.MonkeyPatch, count: int, more: str | None
) -> None:
    known = {f"s{number}": "of mail" for number in range(count)}
    monkeypatch.setattr("lamplighter.cli.trace.schedules_in", lambda paths: known)

    named = ", ".join(f"{one} (of mail)" for one in list(known)[:SCHEDULES_MAX])
    assert _other_schedules([]) == ("" if more is None else f"; the schedules in them are {named}{more}")
