"""How lanes hand their places on, without a thread between them."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections import deque
from itertools import pairwise
from types import SimpleNamespace

import pytest
from lamplighter import UsageError
from lamplighter.environment import Environment
from lamplighter.environment.replies import Mailbox
from lamplighter.handlers.carriers import NO_CARRIERS
from lamplighter.handlers.handler import JobTimeout
from lamplighter.handlers.lane import Lane
from lamplighter.handlers.lanes import Backlog, LaneEnded, Lanes, Waiting
from lamplighter.handlers.payload import HandlerTypes
from lamplighter.handlers.pool import ThreadCounter
from lamplighter.handlers.tasks import TaskRunner
from lamplighter.messages.jobs import Claim, JobRecord
from lamplighter.messages.outcomes import Outcome, OutcomeKind, Policy
from lamplighter.rules.limits import Limits
from lamplighter.testing.draining import is_idle

from support.asked import Asked

DONE = Outcome(kind=OutcomeKind.SUCCEEDED)


def claim(row_id):
    return Claim(JobRecord(row_id, f"job {row_id}", "x", "null", "running", 0, 0.0, 0.0, f"job {row_id}", claim_no=1))


class House:
    """A backlog, and lanes whose places go to its claims."""

    def __init__(self):
        self.backlog = Backlog()
        self.told = []
        self.sent = []
        self.context = SimpleNamespace(
            clock=SimpleNamespace(now=lambda: 0.0, monotonic=lambda: 0.0),
            environment=Environment(),
            limits=Limits(),
            thread_counter=ThreadCounter(100),
            stopping=threading.Event(),
            carriers=NO_CARRIERS,
            tell=lambda to, body, root_id: self.sent.append(to) is None,
            ended=lambda lane, outcome, seconds, following: self.told.append((lane.id, following and following.id)),
        )

    def lane(self, claim, fn=None):
        handler = SimpleNamespace(
            name="x",
            fn=fn,
            kind="process",
            types=HandlerTypes(None, None),
            auto_done=True,
            policy=Policy(),
            timeout=None,
        )
        return Lane(claim.job.row_id, handler, claim, self.context, self.next_lane)

    def next_lane(self, _):
        return self.backlog.serve(lambda waiting: self.lane(waiting.claim))


@pytest.fixture
def house():
    return House()


def test_the_first_that_waits_gets_the_place_of_a_lane_that_ends(house):
    house.backlog.add([claim(2), claim(3)], 0.0)

    lane = house.lane(claim(1))
    following = lane.pass_on()
    lane.finish(DONE, following)

    assert following.claim == claim(2)
    assert house.told == [(1, 2)]
    assert house.backlog.keys() == [(3, 1)]


def test_an_end_that_could_not_be_reported_is_reported_by_who_finds_the_lane_lost(house):
    report, refused = house.context.ended, [MemoryError()]

    def ended(*end):
        if refused:
            raise refused.pop()
        report(*end)

    house.context.ended = ended
    lane, called = house.lane(claim(1)), []
    lane.when_ended(lambda: called.append(lane.id))
    lane.handle = SimpleNamespace(is_alive=lambda: False)

    with pytest.raises(MemoryError):
        lane.finish(DONE)
    lost, told_before = lane.is_lost, list(called)
    for _ in range(2):
        lane.finish(DONE)

    assert (lost, told_before, house.told, called, lane.is_lost) == (True, [], [(1, None)], [1], False)


def test_the_next_lane_of_a_job_is_known_though_it_opens_while_the_last_one_ends(house):
    lanes = Lanes(lambda **said: house.context)
    last, following = house.lane(claim(1)), house.lane(claim(1)._replace(job=claim(1).job._replace(claim_no=2)))
    opening = threading.Thread(target=lanes._note, args=(following,))

    class Newest(dict):
        def get(self, *key):
            found = super().get(*key)
            if found is last and opening.ident is None:
                lanes._newest_lock.meet(opening)
            return found

    lanes._newest, lanes._newest_lock = Newest(), Asked(lanes._newest_lock)
    lanes._note(last)
    lanes._forget(last)
    opening.join(60)

    assert lanes.of_job("job 1") is following


def test_claims_that_wait_for_older_lanes_are_those_of_the_boot_that_runs_alone(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)
    recorder.until(lambda: rt.boot.post.find("handler:work") and is_idle(rt), "it to be idle")
    actor = rt.boot.post.find("handler:work")
    mine, theirs = (Claim(claim(row_id).job._replace(boot=boot)) for row_id, boot in ((1, "now"), (2, "before")))
    actor._held_back.update({10: Waiting(mine, 0.0), 20: Waiting(theirs, 0.0)})

    actor._disown_others("now")
    left = actor._drop()

    assert (left, actor._held_back) == ([mine], {})


def test_a_lane_ends_once_and_gives_its_place_once(house):
    house.backlog.add([claim(2), claim(3)], 0.0)
    lane = house.lane(claim(1))
    lane.finish(DONE, lane.pass_on())
    lane.finish(DONE, lane.pass_on())

    assert house.told == [(1, 2)]
    assert house.backlog.keys() == [(3, 1)]


def test_a_lane_that_was_given_up_has_no_place_to_give(house):
    house.backlog.add([claim(2)], 0.0)
    lane = house.lane(claim(1))

    assert lane.abandon("timed out")
    assert lane.pass_on() is None
    assert house.backlog.keys() == [(2, 1)]


def test_a_lane_that_has_ended_cannot_be_given_up(house):
    """It may have given its place away already; giving it up too would make two of one."""
    lane = house.lane(claim(1))
    lane.pass_on()

    assert not lane.abandon("timed out")
    assert lane.abandoned_because is None


def test_one_caller_alone_closes_a_lane_and_so_finishes_it(house):
    lane = house.lane(claim(1))

    assert lane.close()
    assert not lane.close()
    assert lane.pass_on() is None


def test_a_lane_that_is_given_up_is_signalled(house):
    lane = house.lane(claim(1))
    lane.abandon("timed out")

    assert lane.cancelled
    assert lane.reason == "timed out"


def test_no_lane_takes_from_the_backlog_of_a_dead_actor(house):
    house.backlog.add([claim(2)], 0.0)
    house.backlog.close()

    assert house.lane(claim(1)).pass_on() is None
    assert house.backlog.keys() == [(2, 1)]


def test_a_claim_that_gets_no_lane_stays_where_it_is():
    backlog = Backlog()
    backlog.add([claim(2), claim(3)], 0.0)

    assert backlog.serve(lambda _: None) is None
    assert backlog.keys() == [(2, 1), (3, 1)]


def test_a_claim_is_in_line_until_its_lane_is_there():
    backlog, seen = Backlog(), []
    backlog.add([claim(2)], 0.0)
    backlog.serve(lambda first: seen.append((first.claim, len(backlog.waiting))))

    assert seen == [(claim(2), 1)]


def test_whoever_takes_claims_out_waits_for_a_lane_that_is_just_opening():
    """A handler that is removed relies on it: what its last lane has opened is then there, to be interrupted."""
    backlog, opening, there, order = Backlog(), threading.Event(), threading.Event(), []
    backlog.add([claim(2)], 0.0)

    def open_lane(_):
        opening.set()
        there.wait(30)
        order.append("opened")

    threads = [threading.Thread(target=backlog.serve, args=[open_lane])]
    threads.append(threading.Thread(target=lambda: (backlog.remove(lambda _: False), order.append("looked"))))
    threads[0].start()
    opening.wait(30)
    threads[1].start()
    there.set()
    for thread in threads:
        thread.join(30)

    assert order == ["opened", "looked"]


def test_those_that_must_go_leave_and_the_rest_keeps_its_order():
    backlog = Backlog()
    backlog.add([claim(1), claim(2), claim(3)], 0.0)
    backlog.put_first(claim(4), 1.0)

    assert backlog.remove(lambda one: one.claim.job.row_id in (1, 3)) == [claim(1), claim(3)]
    assert backlog.keys() == [(4, 1), (2, 1)]
    assert backlog.remove(lambda _: True) == [claim(4), claim(2)]
    assert backlog.take() is None


def test_an_actor_is_told_of_the_first_ending_only_until_it_has_looked(house):
    lanes = Lanes(lambda ended: house.context)
    one, two, three = (LaneEnded(house.lane(claim(row_id)), DONE, 0.0, None) for row_id in (1, 2, 3))

    lanes.ended(*one)
    lanes.ended(*two)

    assert house.sent == ["handler:x"]
    assert lanes.take_ended("x") == [one, two]
    lanes.ended(*three)
    assert house.sent == ["handler:x", "handler:x"]
    assert lanes.take_ended("x") == [three]
    assert lanes.take_ended("x") == []


def test_names_whose_lanes_have_ended_keep_the_order_of_these_ends(house):
    lanes = Lanes(lambda ended: house.context)
    names = [f"name {number}" for number in range(30)]

    for name in names:
        lane = house.lane(claim(1))
        lane.handler.name = name
        lanes.ended(lane, DONE, 0.0, None)

    assert lanes.unread == names


def test_an_ending_whose_message_could_not_be_sent_is_told_with_the_next(house):
    lanes = Lanes(lambda ended: house.context)
    one, two = (LaneEnded(house.lane(claim(row_id)), DONE, 0.0, None) for row_id in (1, 2))
    send = house.context.tell

    def fail(*_, **__):
        raise MemoryError

    house.context.tell = fail
    with pytest.raises(MemoryError):
        lanes.ended(*one)
    house.context.tell = send
    lanes.ended(*two)

    assert house.sent == ["handler:x"]
    assert lanes.take_ended("x") == [one, two]


def test_an_ending_whose_actor_is_dead_is_no_news_and_is_told_with_the_next(house):
    # After a quarantine no caller took the direct lane any more, for any name.
    lanes = Lanes(lambda ended: house.context)
    one, two = (LaneEnded(house.lane(claim(row_id)), DONE, 0.0, None) for row_id in (1, 2))
    send = house.context.tell

    house.context.tell = lambda *_, **__: False
    lanes.ended(*one)
    is_news = lanes.is_news_due
    house.context.tell = send
    lanes.ended(*two)

    assert not is_news
    assert house.sent == ["handler:x"]
    assert lanes.take_ended("x") == [one, two]


def test_a_finalizer_that_queues_while_a_lane_is_opened_is_refused(house, runtime):
    # It waited for an actor that waits for the backlog, or for itself.
    rt = runtime()
    house.backlog.add([claim(1)], 0.0)

    with pytest.raises(UsageError, match="in the midst of the runtime's own work"):
        house.backlog.serve(lambda _: rt.jobs.queue("work"))

    assert rt.jobs.queue("work").state == "queued"
    assert house.backlog.keys() == [(1, 1)]


def test_an_ending_that_comes_while_the_actor_looks_is_either_taken_or_told(house):
    """Whoever ends between the two steps of a look must not count on a message that has been read already."""
    lanes = Lanes(lambda ended: house.context)
    one, two = (LaneEnded(house.lane(claim(row_id)), DONE, 0.0, None) for row_id in (1, 2))
    late = [two]

    class LookedAt(deque):
        def popleft(self):
            if late:
                lanes.ended(*late.pop())
            return super().popleft()

    lanes._unread["x"] = LookedAt()
    lanes.ended(*one)
    taken = lanes.take_ended("x")

    assert taken + (lanes.take_ended("x") if len(house.sent) == 2 else []) == [one, two]


def test_an_end_is_told_at_once_if_another_thread_has_made_the_claim_that_follows(house):
    lanes = Lanes(lambda ended: house.context)
    handler = SimpleNamespace(name="x", kind="thread")
    first, second = (lanes.open_lane(handler, claim(row_id), lambda _: None) for row_id in (1, 2))

    lanes.ended(first, DONE, 0.001, second)

    assert (house.sent, lanes.unread, lanes.is_news_due) == (["handler:x"], ["x"], True)


@pytest.mark.parametrize(("kind", "is_own"), [("process", False), ("thread", True)])
def test_an_end_whose_place_is_taken_is_told_soon_with_the_others(house, kind, is_own):
    now, due = [0.0], []
    time = {"now": lambda: now[0], "monotonic": lambda: now[0]}
    house.context.clock = SimpleNamespace(**time, after=lambda *call: due.append(call))
    lanes = Lanes(lambda ended: house.context)
    handler = SimpleNamespace(name="x", kind=kind)

    def end(lane, following, seconds=0.001):
        lane.started_monotonic, now[0] = now[0], now[0] + seconds
        lanes.ended(lane, DONE, seconds, following)

    def time_is_over():
        seconds, call = due.pop()
        now[0] += seconds
        call()

    ends = [lanes.open_lane(handler, claim(row_id), lambda _: None) for row_id in (1, 2, 3, 4)]
    for lane in ends:
        lane.is_own = is_own
    for lane, following in pairwise(ends):
        end(lane, following)
    assert (house.sent, len(due), due[0][0] < 0.01, lanes.is_news_due) == ([], 1, True, True)
    assert lanes.unread == ["x"]

    time_is_over()
    assert (house.sent, len(lanes.take_ended("x")), lanes.is_news_due) == (["handler:x"], 3, False)

    end(ends[0], ends[1])
    assert not lanes.is_news_due, "it has not waited yet"
    lanes.take_ended("x")
    now[0] += 0.001
    end(ends[1], ends[2])
    seconds, call = due.pop()
    now[0] += 0.0005
    call()
    assert (len(house.sent), len(due), due[0][0] < seconds) == (1, 1, True), "a younger one waits on"
    time_is_over()
    assert (len(house.sent), len(lanes.take_ended("x"))) == (2, 1)

    end(ends[0], ends[1])
    now[0] += 0.9 * due[0][0]
    due.pop()[1]()
    assert (len(house.sent), due, len(lanes.take_ended("x"))) == (3, [], 1), "the clock may not tell so short a wait"

    end(ends[0], ends[1])
    end(ends[3], None)
    assert (len(house.sent), len(lanes.take_ended("x"))) == (4, 2), "one whose place is free does not wait"

    time_is_over()
    assert (len(house.sent), due) == (4, []), "nothing is left to be told"


def test_of_two_threads_of_a_job_the_newest_counts_until_it_has_had_its_grace():
    lanes = Lanes(lambda ended: House().context)
    handler = SimpleNamespace(name="x", on_timeout="signal")
    old = lanes.open_lane(handler, claim(1), lambda _: None)
    old.abandon("timed out")
    given_up = lanes.of_job("job 1")
    old.grace_is_over = True
    before = lanes.of_job("job 1")
    new = lanes.open_lane(handler, claim(1), lambda _: None)
    lanes.ended(old, DONE, 0.0, None)
    during = lanes.of_job("job 1")
    lanes.ended(new, DONE, 0.0, None)

    assert (given_up, before, during, lanes.of_job("job 1")) == (old, None, new, None)


@pytest.mark.parametrize("first", [True, False], ids=["the first on its loop", "one that follows another"])
def test_a_task_that_was_signalled_before_it_began_ends_all_the_same(house, first):
    """asyncio never enters a coroutine that was cancelled before its first step, so nothing told of the lane's end."""
    ended = threading.Event()
    house.context.ended = lambda lane, *_: ended.set() if lane.claim == claim(1) else None
    lane = house.lane(claim(1), fn=lambda job: asyncio.sleep(60))
    lane.signal("cancelled")
    runner = TaskRunner()
    if first:
        runner.start(lane)
    else:
        house.next_lane = lambda _: lane
        runner.start(house.lane(claim(2), fn=lambda job: asyncio.sleep(0)))

    assert ended.wait(30)
    runner.close()


def test_a_loop_that_was_given_up_and_has_gone_on_can_be_closed(house):
    blocks, goes_on = threading.Event(), threading.Event()

    async def block(job):
        blocks.set()
        goes_on.wait(30)

    runner = TaskRunner()
    lane = house.lane(claim(1), fn=block)
    runner.start(lane)
    blocks.wait(30)
    loop = runner._loop
    loop._give_up(lane)
    goes_on.set()
    loop._thread.join(30)

    runner.close()
    assert house.told == [(1, None)]


def test_a_lane_that_is_struck_as_it_tells_something_leaves_no_mail_unread():
    """JobTimeout came between the two steps of `put`, and from then on the broker was one message behind."""

    class Struck(deque):
        def append(self, mail):
            super().append(mail)
            raise JobTimeout

    mailbox = Mailbox()
    mailbox.mail = Struck()
    with pytest.raises(JobTimeout):
        mailbox.put("progress")

    assert mailbox.take() == "progress"
    assert (mailbox.take(), mailbox.empty()) == (None, True)


def test_a_stack_that_changes_while_it_is_read_harms_nobody(monkeypatch):
    """The HandlerActor looked at a lane that was just returning, and died of it: a frame had turned into a bool."""

    def unreadable(frame):
        raise AttributeError("'bool' object has no attribute 'f_lineno'")

    monkeypatch.setattr(traceback, "format_stack", unreadable)
    ended = threading.Event()
    thread = Environment().spawn(ended.wait, "lane")

    assert "could not be read" in thread.stack()
    ended.set()
    thread.join(30)
    assert thread.stack() == ""


@pytest.mark.parametrize("on_timeout", ["signal", "raise"])
def test_a_host_may_trace_the_threads_that_run_its_jobs(runtime, on_timeout):
    """Each call took back an error that nobody had raised. CPython 3.11 and 3.12 then look for one at every step: an
    empty call took a third longer, and on 3.11 a traced thread never took another step."""
    seen = set()
    threading.setprofile(lambda frame, *_: seen.add(frame.f_code.co_name))
    try:
        rt = runtime()
        rt.jobs.add_handler("traced", lambda job: job.data, on_timeout=on_timeout)
        jobs = [rt.jobs.queue("traced", number) for number in range(3)]
        results = [rt.jobs.join(job, timeout=10).result for job in jobs]
    finally:
        threading.setprofile(None)

    assert results == [0, 1, 2]
    assert "pass_on" in seen


def test_an_error_that_is_taken_back_leaves_its_thread_as_it_was():
    steps = []

    def go_on():
        steps.append("went on")

    def work():
        thread = threading.current_thread()
        sys.setprofile(lambda *_: None)
        thread.strike(None)
        go_on()
        sys.setprofile(None)

    Environment().spawn(work, "struck").join(10)

    assert steps == ["went on"]
