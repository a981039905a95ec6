"""Handlers in child processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest
from lamplighter import JobFailed
from lamplighter.environment.environment import Environment
from lamplighter.environment.threads import spawn
from lamplighter.handlers import child
from lamplighter.handlers.processes import ProcessRunner
from lamplighter.messages.jobs import ClaimKey

from ...faults.kit import eventually
from ...handlers.test_lanes import House, claim

PROCESS_FUNCTIONS = """
import os
import signal
import subprocess
import sys
import threading

from lamplighter import Job, JobSpec


def doubled(job: Job[int]):
    return job.data * 2


class Incomparable:
    def __eq__(self, other):
        raise RuntimeError("no comparison")


def waits_for_nothing_known(job):
    if job.data == "one":
        job.queue("other", after=Incomparable())
    job.queue_many([JobSpec(name="other", after=Incomparable())])


def asks_badly(job):
    if job.data == "badly":
        job.queue("other", at="tomorrow")
    return "fine"


def pid(job):
    return os.getpid()


def dies_within_a_line(job):
    *_, orders, words = open("/proc/self/cmdline").read().split("\\0")[:7]
    os.write(int(orders), b"[[1, 1], ")
    os._exit(9)


def dies_first(job):
    return os._exit(3) if job.id == "job 1" else "fine"


def outlives_stops(job):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.raise_signal(number)
    forked = os.fork()
    if forked == 0:
        signal.raise_signal(signal.SIGTERM)
        os._exit(0)
    started = subprocess.run([sys.executable, "-c", "import signal; signal.raise_signal(signal.SIGTERM)"])
    return [os.waitpid(forked, 0)[1], started.returncode]


def handles_stop_itself(job):
    signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
    got = []
    signal.raise_signal(signal.SIGTERM)
    return got


def asks_late(job):
    if job.id == "job 2":
        go.set()
        left.join(30)
        return refused
    globals().update(go=threading.Event(), refused=[], left=threading.Thread(target=asks, args=(job,), daemon=True))
    left.start()


def asks(job):
    go.wait(30)
    try:
        job.queue("other")
    except Exception as error:
        refused.append(str(error))
"""


class Keepers(House):
    """One process lane, and what becomes of its jobs."""

    def __init__(self, fn):
        super().__init__()
        self._fn = fn
        self._over = threading.Event()
        self.outcomes = {}
        self.between = lambda lane, outcome: None
        self.context.ended = self._ended

    def lane(self, claim, fn=None):
        return super().lane(claim, self._fn)

    def run(self, *claims):
        """Run one claim while the others wait: their outcomes, by their numbers."""
        self.backlog.add(claims[1:], 0.0)
        runner = ProcessRunner()
        runner.start(self.lane(claims[0]))
        assert self._over.wait(60)
        runner.close()
        return self.outcomes

    def _ended(self, lane, outcome, seconds, following):
        self.outcomes[lane.id] = outcome
        if following is not None:
            self.between(lane, outcome)
        self.told.append((lane.id, following and following.id))
        if following is None:
            self._over.set()


@pytest.fixture
def functions(importable):
    return importable("process_functions", PROCESS_FUNCTIONS)


def test_a_child_that_has_ended_a_job_is_given_the_next_that_waits(functions):
    keepers = Keepers(functions.pid)

    outcomes = keepers.run(claim(1), claim(2), claim(3))

    assert keepers.told == [(1, 2), (2, 3), (3, None)]
    assert len({outcome.result for outcome in outcomes.values()}) == 1, "one process ran them all"


def test_a_child_that_dies_takes_only_the_job_that_it_had_begun(functions):
    keepers = Keepers(functions.dies_first)

    died, ran = keepers.run(claim(1), claim(2)).values()

    assert (died.kind, died.error, died.blamed) == ("interrupted", "its process exited with code 3", True)
    assert (ran.kind, ran.result) == ("succeeded", '"fine"')


def test_half_a_line_of_a_child_that_has_died_is_the_end_of_its_process_and_no_error(functions):
    (died,) = Keepers(functions.dies_within_a_line).run(claim(1)).values()

    assert (died.kind, died.error, died.blamed) == ("interrupted", "its process exited with code 9", True)


def test_a_child_that_dies_between_two_jobs_costs_the_next_one_nothing(functions):
    def kill(lane, outcome):
        waiting = [thread for thread in threading.enumerate() if "child exit" in thread.name]
        os.kill(json.loads(outcome.result), signal.SIGKILL)
        eventually(lambda: not any(thread.is_alive() for thread in waiting), what="the end of the child to be known")

    keepers = Keepers(functions.pid)
    keepers.between = kill
    first, second = keepers.run(claim(1), claim(2)).values()

    assert (first.kind, second.kind) == ("succeeded", "succeeded")
    assert first.result != second.result


def test_who_gives_a_job_up_that_has_just_ended_does_not_end_the_process_of_the_next(functions):
    keepers = Keepers(functions.pid)
    keepers.between = lambda lane, outcome: lane.handle.kill(lane)
    first, second = keepers.run(claim(1), claim(2)).values()

    assert (first.kind, second.kind) == ("succeeded", "succeeded")
    assert first.result == second.result, "one process ran both"


def test_a_signal_that_stops_the_whole_service_is_left_to_the_runtime(functions):
    outcomes = Keepers(functions.outlives_stops).run(claim(1))

    assert json.loads(outcomes[1].result) == [signal.SIGTERM, -signal.SIGTERM], "what a job forks and starts heeds it"


def test_a_job_in_a_child_may_handle_a_signal_itself(functions):
    outcomes = Keepers(functions.handles_stop_itself).run(claim(1))

    assert json.loads(outcomes[1].result) == [signal.SIGTERM]


def test_a_thread_that_a_job_has_left_is_refused_and_takes_no_answer_of_the_next(functions):
    outcomes = Keepers(functions.asks_late).run(claim(1), claim(2))

    assert json.loads(outcomes[2].result) == ["expected this before the handler has returned, got it after that"]


@pytest.fixture
def parent(monkeypatch):
    """A parent as its child sees it, and the end of the socket by which it speaks while a job runs."""
    monkeypatch.setattr(child, "die_with_parent", lambda: True)
    monkeypatch.setattr(os, "register_at_fork", lambda **_: None)
    monkeypatch.setattr(os, "_exit", lambda code: None)
    (ours, orders), (said, words) = socket.socketpair(), socket.socketpair()
    parent = child.Parent(os.getppid(), orders.detach(), words.detach())
    listening = threading.Thread(target=parent.listen)
    listening.start()
    yield parent, said
    ours.close()
    said.close()
    listening.join(30)
    # In a child they stay open until its process ends.
    parent._orders.close()
    parent._words.close()


def test_a_signal_that_comes_before_its_job_is_kept_for_it_and_wakes_no_other(parent):
    parent, said = parent
    first, second = ClaimKey(1, 1), ClaimKey(2, 1)
    parent.begin(first)
    for message in ({"signal": "cancelled", "claim": second}, {"now": 0.0}):
        said.sendall(json.dumps(message).encode() + b"\n")

    parent.ask(first, {"now": True})
    assert (parent.reason(first), parent.woken.is_set()) == (None, False)

    parent.begin(second)
    assert (parent.reason(second), parent.woken.is_set()) == ("cancelled", True)


def test_a_child_that_queues_with_a_bad_option_gets_an_error_and_its_lane_goes_on(runtime, functions):
    rt = runtime()
    rt.jobs.add_handler("work", functions.asks_badly, isolation="process", max_attempts=1)

    with pytest.raises(JobFailed) as caught:
        rt.jobs.join(rt.jobs.queue("work", "badly"), timeout=10)
    after = rt.jobs.join(rt.jobs.queue("work", "well"), timeout=10)

    assert "tomorrow" in caught.value.job.error
    assert after.result == "fine"
    assert rt.jobs.counts("other")["queued"] == 0


@pytest.mark.parametrize("how_many", ["one", "several"])
def test_a_child_compares_what_after_is_given_with_nothing_before_it_is_checked(runtime, functions, how_many):
    rt = runtime()
    rt.jobs.add_handler("work", functions.waits_for_nothing_known, isolation="process", max_attempts=1)

    with pytest.raises(JobFailed) as caught:
        rt.jobs.join(rt.jobs.queue("work", how_many), timeout=10)

    assert "expected after to hold Jobs, ids or JobSpecs of this call, got: <" in caught.value.job.error
    assert "no comparison" not in caught.value.job.error


def test_a_job_that_can_have_no_child_process_uses_no_attempt(timed, time, recorder, functions, monkeypatch):
    rt = timed()
    rt.jobs.add_handler("work", functions.asks_badly, isolation="process", max_attempts=1)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/nonexistent/python")
        job = rt.jobs.queue("work")
        for again in (1, 2):
            recorder.wait_for("job.released", job_id=job.id, count=again)
            kept, health = rt.jobs.get(job), rt.health()
            assert (kept.state, kept.attempt, kept.record.claim_no, rt.jobs.attempts(job)) == ("queued", 0, again, [])
            assert health.status == "yellow"
            (reason,) = health.reasons
            assert reason.startswith("jobs of 'work' wait: no child process could be started: [Errno 2] ")
            if again == 1:
                time.advance(1)

    time.advance(1)
    done = rt.jobs.join(job, timeout=20)
    assert (done.result, done.attempt) == ("fine", 1)
    recorder.until(lambda: rt.health().status == "green", "the end of the shortage to be seen")
    (line,) = recorder.of("lane.refused")
    assert "/nonexistent/python" in line["reason"]


def test_a_child_process_ends_for_whose_exit_no_thread_can_wait(runtime, time, recorder, functions, monkeypatch):
    refused, made, begin = [], [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **options: made.append(begin(*args, **options)) or made[-1])

    def start(work, name):
        if name == "child exit" and not refused:
            refused.append(name)
            raise RuntimeError("can't start new thread")
        return spawn(work, name)

    rt = runtime(environment=Environment(clock=time.clock, spawn=start))
    rt.jobs.add_handler("work", functions.pid, isolation="process", max_attempts=1)
    job = rt.jobs.queue("work")
    recorder.wait_for("job.released", job_id=job.id)

    (line,) = recorder.of("lane.refused")
    assert line["reason"] == "no child process could be started: can't start new thread"
    assert [one.returncode for one in made] == [-signal.SIGKILL]
    time.advance(1)
    done = rt.jobs.join(job, timeout=20)
    assert (done.attempt, done.result) == (1, made[1].pid)


def test_a_child_is_given_data_that_an_upcast_has_made(runtime, functions):
    rt = runtime()
    rt.jobs.add_handler("double", functions.doubled, isolation="process", upcast=int, max_attempts=1)

    jobs = rt.jobs.queue_many([("double", 4), ("double", "4")])

    assert [job.result for job in rt.jobs.join_many(jobs, timeout=20)] == [8, 8]
