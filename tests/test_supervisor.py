"""The supervisor: what a child may become, and how all of them stop."""

from __future__ import annotations

import threading

import pytest
from lamplighter import RestartBudget, Runtime, RuntimeFailed, supervisor
from lamplighter.actors.base import Died
from lamplighter.environment import Environment
from lamplighter.environment.threads import spawn
from lamplighter.supervisor import FOLLOWING, STOP_SECONDS_MAX, Child, ChildSpec, ChildStatus
from lamplighter.testing.draining import is_idle

FINAL = {ChildStatus.STOPPED, ChildStatus.ABANDONED}


def child_that_is(status: ChildStatus) -> Child:
    return Child(ChildSpec(id="work", start=lambda incarnation: None), status=status)


def test_every_status_can_come_and_only_a_child_stopped_for_good_keeps_its_status():
    reached = {ChildStatus.NEW}.union(*FOLLOWING.values())

    assert reached == set(ChildStatus) == FOLLOWING.keys()
    assert {status for status, following in FOLLOWING.items() if not following} == FINAL


@pytest.mark.parametrize("status", ChildStatus)
def test_a_child_that_is_up_stops_when_asked_and_one_that_is_not_is_stopped_at_once(status):
    assert (ChildStatus.STOPPING in FOLLOWING[status]) == (status is ChildStatus.UP)
    assert (ChildStatus.STOPPED in FOLLOWING[status]) == (status not in {ChildStatus.UP, *FINAL})


@pytest.mark.parametrize(("status", "next_one"), [(one, other) for one in ChildStatus for other in ChildStatus])
def test_a_child_becomes_what_the_table_has_and_nothing_else(status, next_one):
    child = child_that_is(status)

    if next_one in FOLLOWING[status]:
        child.become(next_one)
        assert child.status is next_one
        return
    with pytest.raises(ValueError, match=f"after {status}, got: {next_one}"):
        child.become(next_one)


def test_children_stop_in_the_reverse_order_of_their_start(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("first", lambda job: None)
    rt.jobs.add_handler("second", lambda job: None)
    recorder.wait_for("actor.started", child="handler:second")

    rt.stop()

    stopped = [event["child"] for event in recorder.of("actor.stopped")]
    # The scheduler is told at the beginning of the drain.
    assert "scheduler" in stopped
    assert [child for child in stopped if child != "scheduler"] == ["handler:second", "handler:first", "broker"]


def test_a_child_that_does_not_stop_in_time_is_left_behind_and_the_others_stop(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)
    recorder.wait_for("actor.started", child="handler:work")
    boot, release = rt.boot, threading.Event()
    hung = boot.post.find("handler:work")
    child = boot._supervision.family.children["handler:work"]
    child.spec = child.spec._replace(stop_seconds_max=0.05)
    hung.on_down = lambda: release.wait(STOP_SECONDS_MAX)

    rt.stop()
    left = [name for name in boot.post.names() if boot.post.find(name).thread.is_alive()]
    release.set()

    assert left == ["handler:work"]
    assert child.status is ChildStatus.ABANDONED


def test_a_stop_waits_for_the_whole_family_as_long_as_all_of_it_may_take(runtime, recorder, monkeypatch):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)
    recorder.wait_for("actor.started", child="handler:work")
    supervision, waits = rt.boot._supervision, []
    family = supervision.family
    for place, child in enumerate(family.children.values()):
        child.spec = child.spec._replace(stop_seconds_max=10.0**place)
    wait = family.has_stopped.wait
    monkeypatch.setattr(family.has_stopped, "wait", lambda most: waits.append(most) or wait(most))

    rt.stop()

    assert waits == [111.0 + STOP_SECONDS_MAX]
    # The watchdog has ended as it should.
    assert supervision.unheard() == []


def test_a_supervisor_that_dies_while_its_children_stop_leaves_them_to_its_successor(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)
    recorder.wait_for("actor.started", child="handler:work")
    boot = rt.boot
    first = boot.post.find("supervisor")

    def die() -> None:
        raise SystemExit

    first._stop_family = die
    rt.stop()

    assert recorder.of("supervisor.restarted")
    assert not [name for name in boot.post.names() if boot.post.find(name).thread.is_alive()]


def test_a_supervisor_that_is_just_being_started_ends_with_the_family(runtime, recorder):
    # It had stopped all others before it was known to have a thread, and stayed itself.
    ordinary, is_slow, has_stopped = Environment(), threading.Event(), threading.Event()

    def spawn(work, name):
        thread = ordinary.spawn(work, name)
        if name == "supervisor" and is_slow.is_set():
            boot._supervision.family.has_stopped.wait(10)
            has_stopped.wait(0.3)
        return thread

    def die() -> None:
        is_slow.set()
        raise SystemExit

    rt = runtime(environment=Environment(spawn=spawn))
    recorder.wait_for("actor.started", child="scheduler")
    boot = rt.boot
    boot.post.find("supervisor")._stop_family = die
    rt.stop()
    has_stopped.set()

    supervisor = boot.post.find("supervisor")
    assert supervisor.incarnation == 2
    assert supervisor.actor_stopped.wait(10)
    assert not supervisor.thread.is_alive()


def test_a_family_without_a_supervisor_is_stopped_all_the_same(runtime, recorder):
    rt = runtime()
    recorder.wait_for("actor.started", child="scheduler")
    boot = rt.boot
    # There are no more threads, say.
    boot._supervision._start = lambda: None
    supervisor = boot.post.find("supervisor")
    supervisor.actor_ref.stop(block=True)
    for child in boot._supervision.family.children.values():
        child.spec = child.spec._replace(stop_seconds_max=0.5)

    rt.stop()

    assert not [name for name in boot.post.names() if boot.post.find(name).thread.is_alive()]


def test_a_host_is_told_of_a_failure_as_soon_as_there_are_threads_again(runtime, recorder, monkeypatch):
    monkeypatch.setattr(supervisor, "WATCH_AGAIN_SECONDS", 0.01)
    to_refuse, told = [], []

    def start(work, name):
        if name in to_refuse:
            to_refuse.remove(name)
            raise RuntimeError("can't start new thread")
        return spawn(work, name)

    rt = runtime(environment=Environment(spawn=start), restarts_max=1, on_failure=told.append)
    recorder.wait_for("actor.started", child="scheduler")

    to_refuse += ["scheduler", "failure", "supervisor"]
    rt.boot.post.find("scheduler").actor_ref.tell("this is no Mail")
    recorder.until(lambda: told, "on_failure to be called")

    assert not to_refuse
    assert len(recorder.of("runtime.failed")) == len(told) == 1
    with pytest.raises(RuntimeFailed, match="scheduler died"):
        rt.wait(timeout=10)


def test_a_supervisor_that_could_not_be_started_is_started_later(runtime, recorder, monkeypatch):
    # The watchdog's thread ended with it, and health was green.
    monkeypatch.setattr(supervisor, "WATCH_AGAIN_SECONDS", 0.01)
    ordinary, refusals = Environment(), iter([False, True, True])

    def spawn(work, name):
        if name == "supervisor" and next(refusals, False):
            raise RuntimeError("can't start new thread")
        return ordinary.spawn(work, name)

    rt = runtime(environment=Environment(spawn=spawn))
    recorder.wait_for("actor.started", child="scheduler")
    rt.boot.post.find("supervisor").actor_ref.tell("no mail")
    recorder.wait_for("supervisor.restarted")
    rt.jobs.add_handler("work", lambda job: "done")

    crashes = [(event["child"], event["reason"]) for event in recorder.of("actor.crashed")]
    assert crashes == [("watchdog", "RuntimeError: can't start new thread")] * 2
    assert rt.jobs.join(rt.jobs.queue("work"), timeout=10).result == "done"
    assert rt.health().status == "green"


class NoThread:
    """A thread that has ended without a word."""

    def is_alive(self) -> bool:
        return False

    def join(self, timeout: float | None = None) -> None:
        pass


@pytest.mark.parametrize("name", ["supervisor", "broker", "watchdog"])
def test_a_part_whose_thread_has_ended_without_a_word_is_told_by_health(runtime, recorder, name):
    rt = runtime()
    recorder.wait_for("actor.started", child="scheduler")
    owner, attribute = rt.boot._supervision, "_watchdog"
    if name != "watchdog":
        owner, attribute = rt.boot.post.find(name), "thread"
    thread = getattr(owner, attribute)

    setattr(owner, attribute, NoThread())
    health = rt.health()
    setattr(owner, attribute, thread)

    assert (health.status, len(health.reasons)) == ("red", 1)
    assert health.reasons[0].startswith(f"the thread of the {name} has ended")
    assert rt.health().status == "green"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("install", [threading.settrace, threading.setprofile])
@pytest.mark.parametrize("name", ["clock", "supervisor", "watchdog"])
def test_a_tracer_that_raises_at_once_fails_the_start(tmp_path, install, name):
    # The thread ended before it had begun, so that nobody knew of its death.
    def raising(frame, event, arg):
        # A thread that is asked for by `current_thread` as it ends would leave another in its place.
        if frame.f_code.co_name == "run" and frame.f_locals["self"].name == f"lamplighter {name}":
            raise ValueError("a tracer's bug")

    rt = Runtime(tmp_path / "jobs.db")
    install(raising)
    try:
        with pytest.raises(RuntimeError, match=f"the thread 'lamplighter {name}' to begin"):
            rt.start()
    finally:
        install(None)

    assert rt.health().status == "red"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_part_that_a_tracer_ends_at_once_has_died(runtime, recorder):
    rt = runtime()
    recorder.wait_for("actor.started", child="scheduler")

    def raising(frame, event, arg):
        raise ValueError("a tracer's bug")

    threading.setprofile(raising)
    try:
        rt.jobs.add_handler("work", lambda job: "done")
        crash = recorder.wait_for("actor.crashed", child="handler:work")
    finally:
        threading.setprofile(None)

    assert crash["reason"].startswith("could not be started: expected the thread 'lamplighter handler:work' to begin")
    assert rt.jobs.join(rt.jobs.queue("work"), timeout=10).result == "done"


def test_the_death_of_an_older_incarnation_that_is_told_late_counts_for_nothing(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)
    recorder.wait_for("actor.started", child="handler:work")
    child = rt.boot._supervision.family.children["handler:work"]
    first = Died("handler:work", child.incarnation, "killed by the test", traceback=None, over=None)
    rt.boot._supervision.died(first)
    recorder.wait_for("actor.restarted", child="handler:work")

    rt.boot._supervision.died(first)
    recorder.until(lambda: is_idle(rt), "the supervisor to have heard it")

    assert (child.incarnation, len(child.deaths), child.status) == (2, 1, ChildStatus.UP)
    assert len(recorder.of("actor.crashed")) == 1


def test_a_quarantined_child_that_is_asked_for_again_has_a_whole_budget(runtime, recorder):
    # Spent, given anew, and spent again: each time the same number of deaths.
    rt = runtime()
    budget = RestartBudget(restarts_max=2, window_seconds=3600.0, backoff_seconds_max=0.0)
    rt.jobs.add_handler("work", lambda job: None, restart=budget)
    child = rt.boot._supervision.family.children["handler:work"]

    for spent in (1, 2):
        recorder.until(lambda: child.status is ChildStatus.UP, "it to be up")
        before = child.incarnation
        while child.status is not ChildStatus.QUARANTINED:
            died = child.incarnation
            rt.boot._supervision.died(Died("handler:work", died, "killed", traceback=None, over=None))
            # The next death counts only if it names the incarnation that then lives.
            recorder.until(
                lambda died=died: (
                    child.status is ChildStatus.QUARANTINED
                    or (child.status is ChildStatus.UP and child.incarnation > died)
                ),
                "it to be started, or left",
            )
        assert child.incarnation - before == 2
        recorder.wait_for("actor.quarantined", count=spent)
        rt.boot.start_handler("work")
