"""What a handler raises to end its job on purpose: `Cancel`, because it is not needed any more, and `Discard`, because
trying again would not help. Whatever the function runs on.
"""

from __future__ import annotations

import pytest
from lamplighter import Cancel, Discard, JobFailed, JobSpec, Runtime
from lamplighter.handlers.outcomes import raised
from lamplighter.messages.outcomes import OutcomeKind
from lamplighter.testing import Faults, Inline, Script, Simulation, cancel


class Gone(Cancel):
    def __init__(self, what):
        self.what = what


class Silent(Cancel):
    def __init__(self):
        pass


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Cancel(), "cancelled by its handler"),
        (Gone("file"), "file"),
        (Silent(), "cancelled by its handler"),
        (Cancel({"missing": "x"}), "{'missing': 'x'}"),
        (Cancel("caf\udce9.zip"), "caf\ufffd.zip"),
        (Cancel("x" * 5000), "x" * 1000),
    ],
)
def test_a_cancel_is_one_whatever_its_reason_is(error, reason):
    outcome = raised(error, 1000)

    assert (outcome.kind, outcome.reason, outcome.error) == (OutcomeKind.CANCELLED, reason, None)


def test_a_discard_is_one_whatever_its_cause_is():
    class Unreadable(Exception):
        def __str__(self):
            raise KeyboardInterrupt

    endless: BaseException = ValueError("the last")
    for _ in range(3000):
        outer = ValueError("one more")
        outer.__cause__ = endless
        endless = outer
    for cause in (Unreadable(), endless):
        error = Discard("no use")
        error.__cause__ = cause

        outcome = raised(error, 1000)

        assert (outcome.kind, outcome.reason) == (OutcomeKind.DISCARDED, "no use")
        assert "Discard" in str(outcome.traceback)


def test_a_long_traceback_of_a_discard_is_cut_at_its_beginning():
    error = Discard("no use")
    error.__cause__ = ValueError("x" * 5000)

    traceback = raised(error, 1000).traceback

    assert traceback is not None
    assert (len(traceback), traceback[-16:]) == (1000, "Discard: no use\n")


def test_a_handler_that_leaves_its_jobs_open_may_cancel_them(runtime):
    rt = runtime()

    def ask(job):
        raise Cancel("nobody is left to ask")

    rt.jobs.add_handler("ask", ask, auto_done=False)

    with pytest.raises(JobFailed, match="nobody is left to ask") as caught:
        rt.jobs.join(rt.jobs.queue("ask"), timeout=15)

    assert caught.value.job.state == "cancelled"


def test_a_job_that_its_handler_cancelled_may_be_requeued(runtime):
    rt = runtime()
    needed = []

    def work(job):
        if not needed:
            raise Cancel("not needed")
        return "done"

    rt.jobs.add_handler("work", work)
    with pytest.raises(JobFailed):
        rt.jobs.join(job := rt.jobs.queue("work"), timeout=15)
    needed.append(True)

    assert rt.jobs.join(rt.jobs.requeue(job), timeout=15).result == "done"


def test_a_job_that_was_marked_done_stays_so_though_its_handler_cancels_it(runtime):
    rt = runtime()

    def work(job):
        rt.jobs.mark_done(job, "marked")
        raise Cancel("too late")

    rt.jobs.add_handler("work", work)
    first, second = rt.jobs.queue("work"), rt.jobs.queue("work")

    # The lane has the second only after the first has come to its end.
    assert [rt.jobs.join(job, timeout=15).result for job in (second, first)] == ["marked", "marked"]
    assert rt.jobs.get(first).state == "done"


def test_inline_gives_a_cancelled_job_as_it_ended() -> None:
    script = Script("mail", [cancel("the order was deleted")])

    with Inline(script.add_to, at_once=False) as app:
        app.jobs.queue("mail")
        (job,) = app.drain()

    assert (job.state, job.reason, [call.step for call in script.calls]) == (
        "cancelled",
        "the order was deleted",
        ["cancel"],
    )


def test_cancelled_jobs_stay_so_through_every_fault_and_the_audit_agrees() -> None:
    def register(runtime: Runtime) -> None:
        Script("mail", [cancel("not needed")]).add_to(runtime)

    faults = Faults(crash_actor=0.01, kill_process=0.005, commit_unknown=0.01)
    with Simulation(register, seed=5, faults=faults) as simulation:
        jobs = simulation.runtime.jobs.queue_many([JobSpec(name="mail", delay=number) for number in range(20)])
        simulation.run(minutes=2)
        simulation.settle()

        assert {simulation.runtime.jobs.get(job).state for job in jobs} == {"cancelled"}
        simulation.check()
