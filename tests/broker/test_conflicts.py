"""Another writer in the way of a turn: the same mail is applied again, and one message that stays in conflict waits
apart from the others.
"""

from __future__ import annotations

import contextlib
import threading
import time as walltime
from contextlib import closing

import pytest
from lamplighter import JobSpec, StoreUnavailable
from lamplighter.actors.job_broker import APART_SECONDS, BATCH_TRIES_MAX, RETRY_SECONDS
from lamplighter.admin.operator import Operator
from lamplighter.environment import Environment
from lamplighter.environment.failpoints import Failpoints
from lamplighter.environment.replies import ThreadReply
from lamplighter.messages.mail import CheckDue, Pause, Queue
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.tables.dependencies import TableLinks
from lamplighter.stores.tables.jobs import TableJobs
from lamplighter.stores.troubles import TRIES_MAX, BootLost, TurnConflict, again
from lamplighter.stores.turn_ports import HELD_UP_SECONDS, HELD_UP_SECONDS_MAX, Claimed
from lamplighter.testing import drain
from lamplighter.testing.draining import is_idle

SECONDS_MAX = 15.0
TURNS_MAX = 20
CONFLICT = "raise(lamplighter.stores.troubles.TurnConflict: a row is locked)"


class ContestedStore(SqliteStore):
    """Another writer is in the way of each turn of which `conflicts` says so, when its work is done."""

    conflicts = staticmethod(lambda turn: False)

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.births = None

    @contextlib.contextmanager
    def turn(self, boot, now):
        with super().turn(boot, now) as turn:
            yield turn
            if type(self).conflicts(turn):
                raise TurnConflict("a row is locked")


@pytest.fixture
def contested():
    """A kind of store, so that each test has its own."""
    return type("Contested", (ContestedStore,), {})


@pytest.fixture
def points():
    return Failpoints()


@pytest.fixture
def answers():
    return []


@pytest.fixture
def rt(runtime, points, contested, time, answers):
    class NotedReply(ThreadReply):
        def answer(self, value, error):
            answers.append(error)
            super().answer(value, error)

    environment = Environment(store=contested, failpoints=points, clock=time.clock, reply=NotedReply)
    made = runtime(environment=environment)
    drain(made)
    answers.clear()
    return made


def touches(name):
    """Whether a turn moves a job of this name."""
    return staticmethod(lambda turn: any(move.job.name == name for move in turn.transitions))


def test_a_turn_is_tried_again_so_often_and_no_more():
    tries = []

    def turn():
        tries.append(None)
        raise TurnConflict("in the way")

    with pytest.raises(TurnConflict):
        again(turn)
    assert len(tries) == TRIES_MAX


@pytest.mark.parametrize("times", [1, 2])
def test_a_call_that_meets_conflicts_is_answered_once_and_nothing_is_logged_of_them(
    rt, recorder, points, answers, times
):
    points.arm("store.turn.commit", f"{times}*{CONFLICT}")

    job = rt.jobs.queue("mail")

    assert [one.id for one in rt.jobs.list()] == [job.id]
    assert answers == [None]
    rt.stop()
    assert len(recorder.of("job.queued")) == 1
    assert not recorder.of("store.waiting") and not recorder.of("store.unavailable")


def test_a_conflict_on_the_direct_lane_leaves_the_job_to_an_ordinary_turn(runtime, recorder, points, unwatched):
    rt = runtime(environment=Environment(failpoints=points), logger=unwatched)
    rt.jobs.queue("mail")
    drain(rt)
    points.arm("direct.commit", f"1*{CONFLICT}")

    job = rt.jobs.queue("mail")

    assert rt.jobs.get(job).state == "queued"
    rt.stop()
    assert len(recorder.of("job.queued", job_id=job.id)) == 1
    assert not recorder.of("store.waiting") and not recorder.of("store.unavailable")


def tell_together(rt, recorder, names, *first):
    """Send `Queue` messages that the broker takes out of its mailbox together, behind others. Returns where they are
    answered.
    """
    broker, checks = rt.boot.post.find("broker"), rt.boot.checks(None)
    replies = [rt.environment.reply() for _ in names]

    def tell():
        for body in first:
            rt.boot.post.tell("broker", body)
        for name, reply in zip(names, replies, strict=True):
            rt.boot.post.tell("broker", Queue((checks.spec(JobSpec(name=name)),), reply))

    recorder.until(lambda: broker.mailbox.lend(tell), "the broker to wait for mail")
    return replies


def raised(error):
    raise error


def stored(rt):
    return sorted(job.name for job in rt.jobs.list())


def test_a_batch_that_conflicts_twice_is_taken_one_message_a_turn(rt, recorder, contested, answers):
    sizes = []

    def conflicts(turn):
        sizes.append(len(turn.transitions))
        return sizes[-1] > 1

    contested.conflicts = staticmethod(conflicts)

    for reply in tell_together(rt, recorder, ["a", "b", "c"]):
        reply.wait(SECONDS_MAX)

    # The second time without mail comes before the messages alone.
    assert sizes[:6] == [3, 3, 0, 1, 1, 1]
    assert (stored(rt), answers) == (["a", "b", "c"], [None, None, None])
    rt.stop()
    assert [event["job_name"] for event in recorder.of("job.queued")] == ["a", "b", "c"]
    assert not recorder.of("store.waiting") and not recorder.of("store.unavailable")


def test_a_message_that_stays_in_conflict_waits_and_the_others_go_on(rt, recorder, contested, time, answers):
    contested.conflicts, asked_at = touches("held"), time.now.timestamp()

    held, *others = tell_together(rt, recorder, ["held", "a", "b"])
    for reply in others:
        reply.wait(SECONDS_MAX)
    recorder.wait_for("store.waiting", reason="a row is locked")
    for _ in range(3):
        time.advance(APART_SECONDS)
        drain(rt)
    assert (stored(rt), answers) == (["a", "b"], [None, None])

    contested.conflicts = staticmethod(lambda turn: False)
    time.advance(APART_SECONDS)
    held.wait(SECONDS_MAX)

    assert (stored(rt), answers) == (["a", "b", "held"], [None, None, None])
    assert [(job.queued_at.timestamp(), job.run_at.timestamp()) for job in rt.jobs.list("held")] == [(asked_at,) * 2]
    rt.stop()
    assert len(recorder.of("store.waiting")) == len(recorder.of("store.available")) == 1
    assert not recorder.of("store.unavailable")


def test_an_ending_that_stays_in_conflict_is_kept_and_stored_once(rt, recorder, contested, time):
    go = threading.Event()
    rt.jobs.add_handler("held", lambda job: go.wait(SECONDS_MAX))
    job = rt.jobs.queue("held")
    recorder.wait_for("job.started", job_id=job.id)
    contested.conflicts = touches("held")
    go.set()
    recorder.wait_for("store.waiting")

    rt.jobs.queue("mail")
    assert rt.jobs.get(job).state == "running"
    contested.conflicts = staticmethod(lambda turn: False)
    time.advance(APART_SECONDS)

    recorder.wait_for("job.done", job_id=job.id)
    drain(rt)
    rt.stop()
    assert len(recorder.of("job.done")) == 1
    assert recorder.audit().findings == ()


def test_a_message_that_waits_apart_is_kept_when_the_store_becomes_unavailable(rt, recorder, contested, time, points):
    contested.conflicts = touches("held")
    (held,) = tell_together(rt, recorder, ["held"])
    recorder.wait_for("store.waiting")
    contested.conflicts = staticmethod(lambda turn: False)
    points.arm("store.turn.begin", "1*raise(sqlite3.OperationalError: disk I/O error)")

    (mail,) = tell_together(rt, recorder, ["mail"])
    recorder.wait_for("store.unavailable")
    drain(rt)
    time.advance(RETRY_SECONDS)

    for reply in (held, mail):
        reply.wait(SECONDS_MAX)
    assert stored(rt) == ["held", "mail"]


@pytest.mark.parametrize("error", [StoreUnavailable("it is away"), BootLost("its row is gone")])
def test_of_mail_that_is_taken_one_by_one_only_the_rest_waits_for_the_store(
    rt, recorder, contested, time, answers, error
):
    errors = [error, *[TurnConflict("in the way")] * BATCH_TRIES_MAX]

    def conflicts(turn):
        if errors and any(move.job.name == "b" for move in turn.transitions):
            raise errors.pop()
        return False

    contested.conflicts = staticmethod(conflicts)
    # Nobody waits for its answer, and it would be carried out again.
    replies = tell_together(rt, recorder, ["a", "b", "c"], Pause("held", True, None))
    recorder.wait_for("store.unavailable" if isinstance(error, StoreUnavailable) else "runtime.renewed")
    contested.conflicts = staticmethod(lambda turn: False)
    drain(rt)
    time.advance(RETRY_SECONDS)
    for reply in replies:
        reply.wait(SECONDS_MAX)

    assert (stored(rt), answers) == (["a", "b", "c"], [None, None, None])
    rt.stop()
    assert [event["job_name"] for event in recorder.of("job.queued")] == ["a", "b", "c"]
    assert [event["job_name"] for event in recorder.of("name.paused")] == ["held"]


def test_a_message_in_the_middle_of_which_the_store_goes_away_waits_for_it(rt, recorder, time, answers, monkeypatch):
    errors, insert = [StoreUnavailable("it is away")], TableJobs.insert
    monkeypatch.setattr(TableJobs, "insert", lambda *given: insert(*given) if not errors else raised(errors.pop()))

    (reply,) = tell_together(rt, recorder, ["mail"])
    recorder.wait_for("store.unavailable")
    drain(rt)
    assert answers == []
    time.advance(RETRY_SECONDS)
    reply.wait(SECONDS_MAX)

    assert (stored(rt), answers) == (["mail"], [None])


def test_where_a_turn_without_mail_conflicts_all_messages_wait_in_their_order(rt, recorder, contested, time, answers):
    contested.conflicts = staticmethod(lambda turn: True)
    replies = tell_together(rt, recorder, ["a", "b"])
    recorder.wait_for("store.waiting")
    time.advance(RETRY_SECONDS)
    drain(rt)
    assert (stored(rt), answers) == ([], [])

    contested.conflicts = staticmethod(lambda turn: False)
    time.advance(RETRY_SECONDS)
    for reply in replies:
        reply.wait(SECONDS_MAX)

    assert answers == [None, None]
    rt.stop()
    assert [event["job_name"] for event in recorder.of("job.queued")] == ["a", "b"]
    assert len(recorder.of("store.waiting")) == len(recorder.of("store.available")) == 1
    assert not recorder.of("store.unavailable")


def test_a_caller_who_gives_up_is_told_of_the_conflict_and_nothing_is_stored_later(runtime, contested, time):
    rt = runtime(environment=Environment(store=contested, clock=time.clock), reply_seconds_max=0.5)
    contested.conflicts = touches("mail")

    with pytest.raises(StoreUnavailable, match="a row is locked"):
        rt.jobs.queue("mail")

    contested.conflicts = staticmethod(lambda turn: False)
    time.advance(APART_SECONDS)
    drain(rt)
    assert rt.jobs.list() == []


def test_a_caller_whose_message_waits_apart_asks_the_next_broker(rt, recorder, contested, time, caller, points):
    contested.conflicts = touches("mail")
    asked = caller(rt.jobs.queue, "mail")
    recorder.wait_for("store.waiting")
    contested.conflicts = staticmethod(lambda turn: False)
    points.arm("actor.receive", "1*raise(OSError)")

    rt.boot.post.tell("broker", CheckDue())

    assert asked.result(SECONDS_MAX).name == "mail"
    rt.stop()
    assert len(recorder.of("job.queued")) == 1


def test_an_act_of_an_operator_is_tried_again(rt, recorder, tmp_path):
    job = rt.jobs.queue("mail")
    environment = Environment(failpoints=Failpoints(f"store.turn.commit=2*{CONFLICT}"))

    Operator(tmp_path / "jobs.db", by="ada", via="cli", environment=environment).cancel(job)

    assert rt.jobs.get(job).state == "cancelled"


@pytest.mark.parametrize("times", [1, 2])
def test_a_stop_that_meets_conflicts_leaves_no_row(rt, contested, times, tmp_path):
    left = [times]

    def conflicts(turn):
        """The row of the boot is being removed."""
        if not left[0] or turn.boots.all():
            return False
        left[0] -= 1
        return True

    contested.conflicts = staticmethod(conflicts)
    rt.stop()

    assert left == [0]
    with closing(SqliteStore(str(tmp_path / "jobs.db"))) as store:
        store.open()
        assert store.surroundings("nobody").boots == []


def test_a_due_job_that_an_open_turn_of_another_holds_is_looked_at_again_soon(rt, recorder, time, monkeypatch):
    """The store claims nothing, and says when to look again."""
    claims = []

    def claim(self, wants, *, suspect):
        claims.append(self._turn.now)
        return Claimed({}, {want.name: self._turn.now + HELD_UP_SECONDS for want in wants})

    rt.jobs.add_handler("mail", lambda job: None)
    drain(rt)
    with monkeypatch.context() as patched:
        patched.setattr(TableJobs, "claim", claim)
        job = rt.jobs.queue("mail")
        tries = len(claims)
        time.advance(HELD_UP_SECONDS / 2)
        drain_mail(rt)
        assert len(claims) == tries

    time.advance(HELD_UP_SECONDS / 2)

    recorder.wait_for("job.done", job_id=job.id)


def test_a_child_that_another_holds_is_looked_at_again_soon_and_then_less_often(rt, recorder, time, monkeypatch):
    """The store frees nothing, and says that jobs are held."""
    looks = []

    def free(self, most):
        looks.append(most)
        assert self._turn.has_ripe
        return False

    parent = rt.jobs.queue("parent")
    child = rt.jobs.queue("child", after=[parent])
    rt.jobs.add_handler("child", lambda job: None)
    drain(rt)
    with monkeypatch.context() as patched:
        patched.setattr(TableLinks, "free", free)
        rt.jobs.add_handler("parent", lambda job: None)
        recorder.wait_for("job.done", job_id=parent.id)
        drain_mail(rt)
        assert len(looks) < TURNS_MAX
        looks.clear()
        for _ in range(16):
            time.advance(HELD_UP_SECONDS)
            drain_mail(rt)
        assert len(looks) == 5, "expected looks after 1, 2, 4, 8 and 16 times as long"

    time.advance(HELD_UP_SECONDS_MAX)

    recorder.wait_for("job.done", job_id=child.id)


def drain_mail(rt):
    """Wait until no actor has mail."""
    give_up_at = walltime.monotonic() + SECONDS_MAX
    while not is_idle(rt):
        assert walltime.monotonic() < give_up_at, "the actors send each other mail without an end"
