"""The supervisor: what a child may become, and how all of them stop."""

from __future__ import annotations

import threading

import pytest
from lamplighter.environment import Environment
from lamplighter.supervisor import FOLLOWING, STOP_SECONDS_MAX, Child, ChildSpec, ChildStatus

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
