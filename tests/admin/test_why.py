"""Why a job is not running: each reason alone, and which of two is said."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import get_args

import pytest
from lamplighter.admin.views import job_view
from lamplighter.admin.why import Code, WaitContext, reasons, why
from lamplighter.messages.jobs import WAITS_FOR_JOBS
from lamplighter.messages.names import PauseRecord
from lamplighter.messages.steps import StepRecord
from lamplighter.messages.views import QuietView
from lamplighter.stores.places import LockHolder
from lamplighter.stores.ports import DependencyStatus, QueuePosition

from .kit import (
    CLEAR,
    NOW,
    STORE,
    a_boot,
    a_handler,
    a_job,
    a_lane,
    a_situation,
    a_view,
    an_actor,
    waiting_to_write,
)

QUIET = QuietView(since=NOW - 60, by="ada", via="cli", reason=None)
BUSY = a_view(lanes=(a_lane("j8", 180.0), a_lane("j9", 3.0)), lanes_open=2)


def working(**changed: object) -> tuple[object, ...]:
    """What a boot says of its actors when something is the matter with those of `mail`."""
    return an_actor("supervisor"), an_actor("broker"), an_actor(**changed)


CASES: list[tuple[Code, WaitContext, str]] = [
    (
        "expired",
        a_situation(a_job(expires_at=NOW - 3)),
        "it expired 3 s ago, and the next write batch cancels it",
    ),
    (
        "waits_for",
        a_situation(a_job(waits=WAITS_FOR_JOBS), awaited=DependencyStatus(10, 5, ("a", "b", "c"))),
        "it waits for 5 of 10 jobs: a, b, c and 2 more",
    ),
    (
        "signal",
        a_situation(
            a_job(run_at=NOW + 90, reason="waits for signal approval"),
            waited=StepRecord("wait:approval", f"{NOW + 90}", 1, NOW - 60),
        ),
        "it waits for signal 'approval', since 1970-01-12T13:45:40Z, until 1970-01-12T13:48:10Z",
    ),
    (
        "not_due",
        a_situation(a_job(run_at=NOW + 90, attempt=1, reason="failed")),
        "it is due in 90 s, at 1970-01-12T13:48:10Z, since it failed",
    ),
    (
        "no_runtime",
        a_situation(None, a_boot(is_alive=False)),
        "no process runs jobs on app.db",
    ),
    (
        "store_locked",
        a_situation(lock_holder=LockHolder("process 4711", 4711)),
        "process 4711 keeps the write lock of app.db: no job can be taken",
    ),
    (
        "quiet",
        a_situation(None, a_boot(stopping=True)),
        "every process that runs jobs is about to stop: boot b1 (pid 7 on h)",
    ),
    (
        "paused",
        a_situation(pause=PauseRecord("mail", since=NOW - 60, by="ada", reason="the server is down", until=NOW + 60)),
        "'mail' has been paused since 1970-01-12T13:45:40Z by ada until 1970-01-12T13:47:40Z: the server is down",
    ),
    (
        "parked",
        a_situation(a_job(name="send_mail"), a_boot(names=("send-mail", "resize"))),
        "no running process on app.db has a handler for 'send_mail'; did you mean 'send-mail'?",
    ),
    (
        "restarting",
        a_situation(None, a_boot(view=a_view(actors=working(status="waiting", last_crash="KeyError: 'x'")))),
        "what takes jobs of 'mail' has died and is being restarted on boot b1 (pid 7 on h): KeyError: 'x'",
    ),
    (
        "halted",
        a_situation(None, a_boot(view=a_view(actors=working(is_halted=True)))),
        "the handlers of 'mail' are halted on boot b1 (pid 7 on h): too many of its threads hang",
    ),
    (
        "quarantined",
        a_situation(None, a_boot(view=a_view(actors=working(status="quarantined", last_crash="KeyError: 'x'")))),
        "what takes jobs of 'mail' has died too often and is quarantined on boot b1 (pid 7 on h): KeyError: 'x'",
    ),
    (
        "untold",
        a_situation(a_job(move_no=0)),
        "an application's own transaction has moved it, and no write batch has counted that yet",
    ),
    (
        "solo",
        a_situation(a_job(schedule="s", one_at_a_time=1), before=CLEAR._replace(same_schedule="s-60")),
        "job s-60 of its schedule runs, and overlap='queue_one' has one run at a time",
    ),
    (
        "suspect",
        a_situation(
            a_job(suspect_until=NOW + 9, interruptions=2),
            a_boot(view=a_view()),
            before=CLEAR._replace(suspects={"b1": "j0"}),
        ),
        "its process died 2 times while it ran, so it runs alone among such jobs, and job j0 is one",
    ),
    (
        "limit",
        a_situation(None, a_boot(view=a_view(handlers=(a_handler(total=3),))), before=QueuePosition(0, False, 3)),
        "3 of 3 jobs of 'mail' run that may run at once over the whole store (concurrency_total)",
    ),
    (
        "group",
        a_situation(
            a_job(group_key="acme"),
            a_boot("b1", view=a_view(handlers=(a_handler(per_group=2), a_handler(per_group=5)))),
            before=CLEAR._replace(of_group=2),
        ),
        "its group 'acme' has 2 of 2 jobs of 'mail' that may run at once (concurrency_per_group)",
    ),
    (
        "rate",
        a_situation(
            None,
            a_boot("b1", view=a_view(handlers=(a_handler(rate="6/60s"),))),
            a_boot("b2", view=a_view(handlers=(a_handler(rate="1/60s"),))),
            before=CLEAR._replace(spent_to=NOW + 5.005),
        ),
        "'mail' may start 1/60s, and the rate opens in 5 s, at 1970-01-12T13:46:45Z",
    ),
    (
        "lanes_full",
        a_situation(None, a_boot(view=BUSY)),
        "all 2 lanes of 'mail' are busy on boot b1 (pid 7 on h), the longest for 3 min 0 s with job j8",
    ),
    (
        "behind",
        a_situation(before=QueuePosition(12, False, 0)),
        "12 due jobs of 'mail' come before it",
    ),
    (
        "just_now",
        a_situation(a_job(run_at=NOW - 0.5)),
        "it is due for 500 ms, and nothing is known to hold it back",
    ),
    (
        "unknown",
        a_situation(None, a_boot()),
        "unknown, because boot b1 (pid 7 on h) may take it and has not said what it is at (it was not asked)",
    ),
    (
        "claimed",
        a_situation(a_job(state="running", boot="b1", claim_no=1, claimed_at=NOW - 1)),
        "it is claimed on boot b1 (pid 7 on h), and about to begin",
    ),
    (
        "old_lane",
        a_situation(
            a_job(state="running", boot="b1", claim_no=2),
            a_boot(view=a_view(lanes=(a_lane("j1", cancelled="it timed out"),), lanes_open=1)),
        ),
        "claim 1 of it still runs on boot b1 (pid 7 on h), though it does not count any more; claim 2 begins when that "
        "has ended, or has had its 5 s of grace",
    ),
    (
        "running",
        a_situation(a_job(state="running", boot="b1", claim_no=1, claimed_at=NOW - 4), a_boot()),
        "attempt 1 has held it for 4 s on boot b1 (pid 7 on h)",
    ),
    (
        "deferred",
        a_situation(
            a_job(state="running", boot="b1", claim_no=1, deferred=1, expires_at=NOW + 60), a_boot(is_alive=False)
        ),
        "its handler has returned, and nobody has marked it done yet (auto_done=False); its timeout is over in 60 s",
    ),
    (
        "orphaned",
        a_situation(a_job(state="running", boot="b1", claim_no=1), a_boot(is_alive=False)),
        "boot b1 (pid 7 on h), which has claimed it, is dead",
    ),
    (
        "done",
        a_situation(a_job(state="done", ended_at=NOW - 5)),
        "it has been done for 5 s",
    ),
    (
        "dead",
        a_situation(a_job(state="dead", ended_at=NOW - 5, reason="failed in attempt 3 of 3", error="ValueError: no")),
        "it has been dead for 5 s: failed in attempt 3 of 3: ValueError: no",
    ),
    (
        "cancelled",
        a_situation(a_job(state="cancelled", ended_at=NOW - 5, reason="expired")),
        "it has been cancelled for 5 s: expired",
    ),
]


@pytest.mark.parametrize(("code", "situation", "sentence"), CASES, ids=[case[0] for case in CASES])
def test_each_reason_is_said_where_it_is_so(code: Code, situation: WaitContext, sentence: str) -> None:
    said = why(situation)

    assert (said.code, said.sentence) == (code, sentence)


@pytest.mark.parametrize(
    ("wait", "said"),
    [
        (90.2345678, "it is due in 90 s, at 1970-01-12T13:48:10Z"),
        (0.1234567, "it is due in 123 ms, at 1970-01-12T13:46:40Z"),
    ],
)
def test_no_fractions_are_said_that_nobody_who_waits_can_use(wait: float, said: str) -> None:
    assert why(a_situation(a_job(run_at=NOW + wait))).sentence == said


@pytest.mark.parametrize(("most", "running", "limited"), [(3, 3, True), (3, 5, True), (3, 2, False), (None, 9, False)])
def test_a_limit_of_the_name_over_the_store_is_told_while_it_is_reached(most, running, limited) -> None:
    situation = a_situation(before=QueuePosition(0, False, running), pause=PauseRecord("mail", limit=most))

    said = [one.sentence for one in reasons(situation) if one.code == "limit"]

    assert said == [f"{running} of 3 jobs of 'mail' run that may run at once over the whole store"] * limited


def test_a_pause_whose_time_has_passed_keeps_nothing_waiting() -> None:
    situation = a_situation(pause=PauseRecord("mail", since=NOW - 60, until=NOW))

    assert "paused" not in {one.code for one in reasons(situation)}


def test_a_dead_job_whose_error_has_its_reason_tells_it_once():
    dead = a_job(state="dead", ended_at=NOW - 5, reason="no field x", error="Discard: no field x")

    assert why(a_situation(dead)).sentence == "it has been dead for 5 s: Discard: no field x"


@pytest.mark.parametrize("state", ["running", "queued"])
def test_a_job_that_runs_again_shows_no_snooze(state):
    seen = job_view(a_job(state=state, reason="snoozed for 0 s"), None, shows_data=False)

    assert seen.reason == (None if state == "running" else "snoozed for 0 s")


def test_there_is_a_case_of_each_code_in_the_order_in_which_they_are_listed() -> None:
    assert tuple(case[0] for case in CASES) == get_args(Code)


TOGETHER = a_situation(
    a_job(run_at=NOW - 60, move_no=0, schedule="s", one_at_a_time=1, suspect_until=NOW + 9, interruptions=2),
    a_boot(view=BUSY),
    before=QueuePosition(5, False, 2, same_schedule="s-60", suspects={"b1": "j0"}),
    pause=PauseRecord("mail", since=NOW - 60),
    lock_holder=LockHolder("process 4711", 4711),
)
"""As many reasons as can be at once."""


def test_of_several_reasons_the_one_that_must_go_first_is_said_first() -> None:
    codes = [one.code for one in reasons(TOGETHER)]

    assert codes == ["store_locked", "paused", "untold", "solo", "suspect", "lanes_full", "behind"]


def test_reasons_come_in_the_order_of_the_list_of_codes() -> None:
    order = get_args(Code)
    late = replace(TOGETHER, job=TOGETHER.job._replace(run_at=NOW + 5, expires_at=NOW - 1))

    for situation in (TOGETHER, late, replace(late, boots=()), *(case[1] for case in CASES)):
        places = [order.index(one.code) for one in reasons(situation)]
        assert all(first < second for first, second in pairwise(places))


@pytest.mark.parametrize(
    ("boots", "code"),
    [
        ([a_boot("b1", view=BUSY), a_boot("b2", view=a_view())], "unknown"),
        ([a_boot("b1", view=BUSY), a_boot("b2")], "unknown"),
        ([a_boot("b1", view=BUSY), a_boot("b2", view=BUSY)], "lanes_full"),
        ([a_boot("b1", view=BUSY), a_boot("b2", is_alive=False)], "lanes_full"),
        ([a_boot("b1", view=BUSY), a_boot("b2", stopping=True)], "lanes_full"),
        ([a_boot("b1", view=BUSY), a_boot("b2", kind="producer", names=())], "lanes_full"),
        ([a_boot("b1", view=BUSY), a_boot("b2", view=a_view(actors=working(status="quarantined")))], "lanes_full"),
        ([a_boot("b1", view=a_view(actors=working(status="quarantined"))), a_boot("b2")], "unknown"),
        ([a_boot("b1", names=("other",)), a_boot("b2", stopping=True)], "parked"),
        ([a_boot("b1", kind="operator", names=())], "no_runtime"),
        ([a_boot("b1", is_alive=None)], "unknown"),
    ],
)
def test_a_boot_that_might_take_the_job_keeps_others_from_being_the_reason(boots, code) -> None:
    assert why(a_situation(None, *boots)).code == code


def test_a_store_on_which_processes_only_queue_is_said_to_have_no_worker() -> None:
    said = why(a_situation(None, a_boot(kind="producer", names=())))

    assert (said.code, said.sentence) == (
        "no_runtime",
        "no process runs jobs on app.db: boot b1 (pid 7 on h) only queues",
    )


def test_a_boot_that_cannot_write_says_that_the_store_is_locked() -> None:
    said = why(a_situation(None, a_boot(view=a_view(turns=waiting_to_write(12.0)))))

    assert (said.code, said.sentence) == (
        "store_locked",
        f"somebody else keeps the write lock of {STORE} for 12 s: no job can be taken",
    )


def test_a_broker_that_hangs_is_told_where_nothing_else_is_known() -> None:
    stuck = (an_actor("supervisor"), an_actor("broker", busy_seconds=42.0), an_actor())

    said = why(a_situation(None, a_boot(view=a_view(actors=stuck))))

    assert said.sentence == "unknown, because the broker of boot b1 (pid 7 on h) has been at one message for 42 s"


def test_what_nothing_holds_back_and_does_not_run_is_not_explained_away() -> None:
    said = why(a_situation())

    assert said.sentence == "unknown, because nothing that can be seen holds it back, though it is due for 60 s"


def test_a_store_that_cannot_say_what_comes_first_is_no_reason_to_guess() -> None:
    said = why(a_situation(None, a_boot(view=a_view()), before=None))

    assert said.sentence == "unknown, because this store does not say which jobs come before it"


def test_a_name_that_is_handled_elsewhere_is_neither_parked_nor_without_a_runtime() -> None:
    alone = a_situation(before=None, is_handled_elsewhere=True, has_all_boots=False)

    assert why(replace(alone, boots=())).code == "unknown"
    assert why(replace(alone, boots=(a_boot(names=("other",)),))).code == "unknown"


def test_a_running_job_of_no_known_boot_is_orphaned_where_all_boots_are_known() -> None:
    job = a_job(state="running", boot="b0", claim_no=1)

    assert why(a_situation(job)).code == "orphaned"
    assert why(a_situation(job, has_all_boots=False)).code == "running"


def test_jobs_of_all_names_may_hold_every_worker_of_a_process() -> None:
    busy = a_view(lanes=(a_lane("j8", 9.0, job_name="resize"),), lanes_open=1, limits={"workers_max": 1})

    assert why(a_situation(None, a_boot(view=busy))).sentence == (
        "all places (workers_max=1) are busy on boot b1 (pid 7 on h), the longest for 9 s with job j8"
    )


def test_a_hung_thread_holds_no_lane() -> None:
    hung = a_view(lanes=(a_lane("j8", 9.0, abandoned="it timed out"), a_lane("j9")), lanes_open=2)

    assert why(a_situation(None, a_boot(view=hung))).code == "unknown"


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        ([], "every process that runs jobs is quiet: boot b1 (pid 7 on h)"),
        (
            [a_boot("b2", stopping=True)],
            "every process that runs jobs stops or is quiet: boot b1 (pid 7 on h) and boot b2 (pid 7 on h)",
        ),
    ],
)
def test_a_job_waits_for_a_boot_that_somebody_had_be_quiet(others, sentence):
    found = why(a_situation(None, a_boot(view=a_view(quiet=QUIET)), *others))

    assert (found.code, found.sentence) == ("quiet", sentence)
    assert found.changes == "`lamplighter runtimes go b1`"


@pytest.mark.parametrize(
    ("awaited", "says"),
    [
        (DependencyStatus(1, 1, ("a",)), "it waits for a job: a"),
        (DependencyStatus(12_000, 2, ("a", "b")), "it waits for 2 of 12,000 jobs: a and b"),
        (
            DependencyStatus(2, 1, ("a",), ("b", "dead")),
            "it waits for 1 of 2 jobs: a; it does not start then either, as b is dead",
        ),
        (DependencyStatus(1, 0), "the job that it has waited for has ended"),
        (DependencyStatus(7, 0), "all 7 jobs that it has waited for have ended"),
    ],
)
def test_what_a_job_waits_for_is_counted_and_the_first_are_named(awaited, says):
    assert why(a_situation(a_job(waits=WAITS_FOR_JOBS), awaited=awaited)).sentence == says


def test_a_job_that_has_shared_a_fate_is_revived_by_a_requeue_of_the_other():
    alone, with_another = (a_situation(a_job(state="dead", waits=waits)) for waits in (0, WAITS_FOR_JOBS))

    assert why(alone).changes == "a requeue"
    assert why(with_another).changes.startswith("a requeue of that job, for which this one then waits again")


def test_a_job_of_many_calls_says_until_when_they_put_it_off_at_most() -> None:
    situation = a_situation(a_job(run_at=NOW + 5, debounce_key="doc-7", debounce_until=NOW + 60))

    assert why(situation).sentence == (
        "it is due in 5 s, at 1970-01-12T13:46:45Z; each call with its debounce key 'doc-7' puts it off, until "
        "1970-01-12T13:47:40Z at most"
    )


def test_a_requeue_is_said_to_make_due_only_what_does_not_snooze_by_a_step():
    """The instant at which a job.snooze ends is kept, so a requeued job waits for it as before."""
    changes = {
        reason: why(a_situation(a_job(run_at=NOW + 90, reason=reason))).changes
        for reason in ("failed", "snoozed for 90 s")
    }

    assert changes == {
        "failed": "time does; a requeue makes it due at once",
        "snoozed for 90 s": "time does; a requeue runs it at once, but a job.snooze() in it lasts until its own end, "
        "unless it is requeued --afresh",
    }
