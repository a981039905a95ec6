"""In which order a turn lets out what it has done: its lines, its messages, the answers, the hints to neighbours.

What was answered, or done by a handler, must be in the log of a process that is killed right after it.
"""

from __future__ import annotations

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from lamplighter.environment import Environment
from lamplighter.environment.failpoints import Failpoints
from lamplighter.environment.replies import ActorMailbox, ThreadReply
from lamplighter.messages.jobs import JobRecord
from lamplighter.messages.mail import Run, Settled
from lamplighter.stores.hints import SocketHints
from lamplighter.stores.presence import FilePresence, folder_of

SECONDS_MAX = 15.0


class Seen(list):
    """Everything that comes out of a runtime, in order."""

    def turn_of(self, line):
        """What came out of the turn that wrote a line."""
        at = self.index(line)
        first = max(place for place, what in enumerate(self[:at]) if what == "commit")
        later = [place for place, what in enumerate(self) if what == "commit" and place > at]
        return self[first : later[0] if later else None]


@pytest.fixture
def seen():
    return Seen()


@pytest.fixture
def rt(runtime, recorder, seen):
    """A runtime beside a neighbour, all of whose effects are noted in `seen`."""

    class NotedCommits(Failpoints):
        def at(self, point, about=None):
            if point == "store.turn.committed":
                seen.append("commit")
            elif point == "direct.out":
                seen.append("direct")

    class NotedLines(logging.Handler):
        def emit(self, record):
            seen.append(json.loads(record.getMessage())["event"])

    class NotedMailbox(ActorMailbox):
        def put(self, envelope):
            if isinstance(getattr(getattr(envelope, "message", None), "body", None), Run | Settled):
                seen.append("run")
            super().put(envelope)

    class NotedReply(ThreadReply):
        def answer(self, value, error):
            seen.append("woken" if isinstance(value, JobRecord) else "answer")
            super().answer(value, error)

    class NotedHints(SocketHints):
        def send(self, addresses):
            seen.append("hint")
            super().send(addresses)

    def neighbours(store, boot):
        return FilePresence(folder_of(store.path)), NotedHints(folder_of(store.path), boot)

    logger = logging.Logger("noted", logging.DEBUG)
    logger.addHandler(NotedLines())
    one = runtime(
        logger=logger,
        environment=Environment(
            failpoints=NotedCommits(),
            actor_mailbox=NotedMailbox,
            reply=NotedReply,
            neighbours=neighbours,
            may_stand_in=lambda: False,
        ),
    )
    runtime()
    recorder.until(
        lambda: (broker := one.boot.post.find("broker")) is not None and broker._state.others,
        "it to know its neighbour",
    )
    return one


EFFECTS = ("commit", "turn.committed", "job.queued", "job.claimed", "job.done", "run", "answer", "woken", "hint")


def effects_of_turn(recorder, seen, line):
    """What came out of the turn that wrote a line, once all of it has."""
    recorder.until(lambda: "hint" in seen.turn_of(line), "the hint")
    return [what for what in seen.turn_of(line) if what in EFFECTS]


def test_a_queued_job_is_logged_then_answered_then_hinted_at(rt, recorder, seen):
    rt.jobs.queue("mail")

    effects = effects_of_turn(recorder, seen, "job.queued")
    assert effects == ["commit", "turn.committed", "job.queued", "answer", "hint"]


def test_a_job_of_the_direct_lane_is_logged_then_answered_then_hinted_at(rt, recorder, seen):
    rt.jobs.queue("mail")
    effects_of_turn(recorder, seen, "job.queued")
    seen.clear()

    rt.jobs.queue("mail")

    assert effects_of_turn(recorder, seen, "job.queued") == ["commit", "turn.committed", "job.queued", "hint", "answer"]
    assert "direct" in seen


def test_a_claim_and_an_end_are_in_the_log_before_anybody_acts_on_them(rt, recorder, seen):
    go = threading.Event()
    rt.jobs.add_handler("work", lambda job: go.wait(SECONDS_MAX))
    recorder.until(lambda: "work" in rt.boot.post.find("broker")._state.capacities, "the handler to be there")
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)
    with ThreadPoolExecutor(1) as pool:
        joined = pool.submit(rt.jobs.join, job, timeout=SECONDS_MAX)
        recorder.until(rt.boot.joins.awaited, "the caller to wait")
        go.set()
        joined.result()

    claimed = [what for what in seen.turn_of("job.claimed") if what in EFFECTS]
    assert claimed == ["commit", "turn.committed", "job.queued", "job.claimed", "run", "answer"]
    ended = effects_of_turn(recorder, seen, "job.done")
    assert ended == ["commit", "turn.committed", "job.done", "run", "woken", "hint"]


def test_each_act_on_a_name_or_a_schedule_is_hinted_at(rt, recorder, seen):
    acts = {
        "schedule.added": lambda: rt.scheduler.add("mail", "0 0 1 1 *", key="daily", durable=True),
        "schedule.changed": lambda: rt.scheduler.add("mail", "0 0 2 1 *", key="daily", durable=True),
        "schedule.paused": lambda: rt.scheduler.pause("mail", key="daily"),
        "schedule.resumed": lambda: rt.scheduler.resume("mail", key="daily"),
        "schedule.removed": lambda: rt.scheduler.remove("mail", key="daily"),
        "name.paused": lambda: rt.jobs.pause("mail"),
        "name.resumed": lambda: rt.jobs.resume("mail"),
    }

    for line, act in acts.items():
        act()
        recorder.until(lambda line=line: line in seen and "hint" in seen.turn_of(line), f"the hint of {line}")
