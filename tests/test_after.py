"""`after` and `after_ended`: jobs that wait for others, and share their fate."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing

import pytest
from lamplighter import Discard, JobFailed, JobSpec, KeyTaken, NotSupported, Runtime, UnknownJob, UsageError
from lamplighter.admin.error_groups import Failures
from lamplighter.messages.jobs import FAILED_END
from lamplighter.rules.limits import Limits
from lamplighter.rules.new_jobs import JobChecks
from lamplighter.testing import Inline

JOIN_SECONDS_MAX = 20


@pytest.fixture
def told():
    """What handlers were called with, in order."""
    return []


@pytest.fixture
def app(told):
    """Handlers that do what their data says: "die", or nothing but return it."""

    def work(job):
        told.append(job.data)
        if job.data == "die":
            raise Discard("no")
        return job.data

    def gather(job):
        told.append("gathered")
        return [[one.state.value, one.result] for one in job.parents()]

    def register(runtime):
        runtime.jobs.add_handler("work", work)
        runtime.jobs.add_handler("gather", gather)

    with Inline(register, at_once=False) as app:
        yield app


def spec(data=None, **options):
    return JobSpec(name="work", data=data, **options)


def states(app, *jobs):
    return [app.jobs.get(job).state.value for job in jobs]


def moves_of(app, job, event):
    return [line for line in app.log.splitlines() if f'"event":"{event}"' in line and f'"job_id":"{job.id}"' in line]


@pytest.mark.parametrize("how", ["dies", "is cancelled", "expires", "shares a fate"])
def test_a_job_follows_the_failure_of_another_whatever_it_fails_of(app, told, how):
    cause = app.jobs.queue("work", "die" if how == "shares a fate" else "fine", delay=60)
    options = {"after": cause} if how == "shares a fate" else {"expires": 50, "delay": 40}
    sale = app.jobs.queue("work", "die" if how == "dies" else "sale", **options)
    mend = app.jobs.queue("gather", after_failed=sale)
    if how == "is cancelled":
        app.jobs.cancel(sale)
    app.advance(seconds=45 if how == "dies" else 70)
    app.drain()

    assert app.jobs.get(sale).state in ("dead", "cancelled")
    assert app.jobs.get(mend).result == [[app.jobs.get(sale).state.value, None]]


def test_a_job_that_was_to_follow_a_failure_is_cancelled_when_there_was_none(app, told):
    sale = app.jobs.queue("work", "sale")
    mend, after = app.jobs.queue("gather", after_failed=sale), spec("then")
    app.drain()

    assert (told, states(app, sale, mend)) == (["sale"], ["done", "cancelled"])
    assert app.jobs.get(mend).reason == f"not needed: job {sale.id} (work) is done"
    (line,) = moves_of(app, mend, "job.cancelled")
    assert f'"fate_of":"{sale.id}"' in line
    # It has failed after all, the second time.
    app.jobs.requeue(sale, delay=60)
    app.drain()
    assert app.jobs.get(mend).waits
    app.jobs.cancel(sale)
    app.drain()
    assert app.jobs.get(mend).result == [["cancelled", None]]
    assert after.after_failed == ()


def test_of_several_jobs_one_failure_is_enough_and_what_must_be_done_comes_first(app, told):
    fine, dies = app.jobs.queue("work", "fine"), app.jobs.queue("work", "die")
    mends = app.jobs.queue("gather", after_failed=[fine, dies])
    both = app.jobs.queue("gather", after=fine, after_failed=dies)
    neither = app.jobs.queue("gather", after=dies, after_failed=fine)
    unneeded = app.jobs.queue("gather", after_ended=dies, after_failed=fine)
    app.drain()

    assert states(app, mends, both, neither, unneeded) == ["done", "done", "dead", "cancelled"]
    assert app.jobs.get(neither).reason == f"shares the fate of job {dies.id} (work), which is dead"
    assert app.jobs.get(unneeded).reason == f"not needed: job {fine.id} (work) is done"
    (line,) = moves_of(app, unneeded, "job.cancelled")
    assert '"parents":2' in line
    # The audit holds the end of that job against how it was waited for.
    moves = [move for line in app.log.splitlines() for move in json.loads(line).get("moves", ())]
    (move,) = [move for move in moves if (move["k"], move.get("j")) == ("cancelled", unneeded.id)]
    assert move["y"] == [[fine.id, app.jobs.get(fine).record.move_no, FAILED_END]]
    with pytest.raises(UsageError, match="expected each job in one of after, after_ended and after_failed, got in two"):
        app.jobs.queue("gather", after_failed=dies, after_ended=[dies])


def test_a_job_starts_when_all_it_waits_for_are_done_and_reads_them_in_order(app, told):
    parts = [spec(n) for n in (3, 1, 2)]
    *queued, gather = app.jobs.queue_many([*parts, JobSpec(name="gather", after=parts)])
    assert app.jobs.get(gather).waits and gather.waits

    app.drain()

    assert app.jobs.get(gather).result == [["done", 3], ["done", 1], ["done", 2]]
    assert [one.id for one in app.jobs.parents(gather)] == [one.id for one in queued]
    assert told == [3, 1, 2, "gathered"]
    assert not app.jobs.get(gather).waits


def test_one_parent_that_has_not_ended_keeps_it_waiting(app):
    parts = [app.jobs.queue("work", 1), app.jobs.queue("work", 2, delay=60)]
    child = app.jobs.queue("gather", after=parts)
    app.drain()

    assert states(app, *parts, child) == ["done", "queued", "queued"]

    app.advance(seconds=61)
    app.drain()
    assert states(app, child) == ["done"]


def test_a_child_of_a_dead_job_is_dead_and_one_of_a_cancelled_job_is_cancelled(app, told):
    dies, wanted, late = app.jobs.queue("work", "die"), app.jobs.queue("work", 1, delay=9), app.jobs.queue("work", 2)
    of_both = app.jobs.queue("gather", after=[dies, wanted])
    of_cancelled = app.jobs.queue("gather", after=[wanted, late])
    app.drain()
    assert states(app, of_both, of_cancelled) == ["queued", "queued"]

    app.jobs.cancel(wanted)
    app.drain()

    assert states(app, of_both, of_cancelled) == ["dead", "cancelled"]
    assert app.jobs.get(of_both).reason == f"shares the fate of job {dies.id} (work), which is dead"
    assert app.jobs.get(of_cancelled).reason == f"shares the fate of job {wanted.id} (work), which is cancelled"
    with pytest.raises(JobFailed, match="shares the fate of job"):
        app.jobs.join(of_both)
    assert len(moves_of(app, of_both, "job.doomed")) == 1
    assert "gathered" not in told


def test_fates_go_down_a_chain_in_the_turn_of_the_first(app):
    first = app.jobs.queue("work", "die")
    chain = [first]
    for _ in range(5):
        chain.append(app.jobs.queue("work", after=chain[-1]))

    app.drain()

    assert states(app, *chain) == ["dead"] * 6


def test_a_chain_takes_one_turn_a_link(app):
    chain = [app.jobs.queue("work", 0)]
    for number in range(1, 10):
        chain.append(app.jobs.queue("work", number, after=chain[-1]))
    begun = app.log.count('"event":"turn.committed"')

    app.drain()

    assert states(app, *chain) == ["done"] * 10
    assert app.log.count('"event":"turn.committed"') - begun <= 12


def test_after_ended_asks_for_an_end_alone(app):
    dies, cancelled = app.jobs.queue("work", "die"), app.jobs.queue("work", 1)
    clean_up = app.jobs.queue("gather", after_ended=[dies, cancelled])
    app.jobs.cancel(cancelled)

    app.drain()

    assert app.jobs.get(clean_up).result == [["dead", None], ["cancelled", None]]


def test_a_job_may_wait_for_one_end_as_done_and_for_another_however_it_comes(app):
    dies, works = app.jobs.queue("work", "die"), app.jobs.queue("work", 1)
    runs = app.jobs.queue("gather", after=works, after_ended=dies)
    never = app.jobs.queue("gather", after=dies, after_ended=works)

    app.drain()

    assert states(app, runs, never) == ["done", "dead"]


def test_parents_that_have_ended_before_do_not_keep_it_waiting(app):
    done, dead = app.jobs.queue("work", 1), app.jobs.queue("work", "die")
    app.drain()

    ready, doomed = app.jobs.queue("work", after=done.id), app.jobs.queue("work", after=[done, dead])

    assert not ready.waits
    assert (doomed.state, doomed.reason) == ("dead", f"shares the fate of job {dead.id} (work), which is dead")
    app.drain()
    assert states(app, ready) == ["done"]


def test_a_delay_counts_from_queueing_and_a_priority_from_freeing(app, told):
    parent = app.jobs.queue("work", "parent", delay=30)
    later = app.jobs.queue("work", "later", after=parent, delay=60)
    urgent = app.jobs.queue("work", "urgent", after=parent, delay=10, priority=5)
    app.advance(seconds=31)
    app.drain()
    assert told == ["parent", "urgent"]
    assert states(app, later, urgent) == ["queued", "done"]

    app.advance(seconds=30)
    app.drain()

    assert states(app, later) == ["done"]


def test_a_parent_queued_again_before_its_child_is_judged_is_waited_for_again(app):
    first, second = app.jobs.queue("work", 1), app.jobs.queue("work", 2, delay=60)
    child = app.jobs.queue("gather", after=[first, second])
    app.drain()

    app.jobs.requeue(first, delay=120)
    app.advance(seconds=61)
    app.drain()
    assert states(app, first, second, child) == ["queued", "done", "queued"]

    app.advance(seconds=61)
    app.drain()
    assert states(app, child) == ["done"]


def test_a_parent_that_is_queued_again_revives_all_that_died_of_it(app, told):
    dies = app.jobs.queue("work", "die")
    child = app.jobs.queue("gather", after=dies)
    grandchild = app.jobs.queue("work", "end", after=child)
    app.drain()
    assert states(app, child, grandchild) == ["dead", "dead"]

    app.jobs.requeue(dies, delay=10)
    app.drain()
    assert states(app, child, grandchild) == ["queued", "queued"]
    assert app.jobs.get(child).waits and app.jobs.get(grandchild).waits
    assert f'"reason":"{dies.id} was queued again"' in moves_of(app, child, "job.requeued")[0]

    app.jobs.mark_done(dies, "by hand")
    app.drain()
    assert states(app, child, grandchild) == ["done", "done"]
    assert app.jobs.get(child).result == [["done", "by hand"]]


def dead_graph(app):
    """A job that has died, one that has died of it, and one that has died of that."""
    dies = app.jobs.queue("work", "die")
    child = app.jobs.queue("gather", after=dies)
    grandchild = app.jobs.queue("work", "end", after=child)
    app.drain()
    return dies, child, grandchild


@pytest.mark.parametrize("query", [None, "state:dead"])
def test_of_a_whole_graph_that_is_queued_again_each_waits_for_its_parents_again(app, told, query):
    graph = dead_graph(app)

    count = app.jobs.requeue_dead(delay=10) if query is None else app.jobs.requeue_many(query, delay=10)

    assert count == 3
    app.drain()
    assert told == ["die"] and [app.jobs.get(job).waits for job in graph] == [False, True, True]


def test_one_that_is_queued_again_without_its_parents_waits_for_nobody(app):
    dies, child, grandchild = dead_graph(app)
    app.jobs.cancel(grandchild)

    assert app.jobs.requeue_many("name:gather") == 1

    app.drain()
    assert states(app, dies, child, grandchild) == ["dead", "done", "done"]
    assert app.jobs.get(child).result == [["dead", None]]


def test_of_a_graph_that_is_cancelled_no_job_is_freed_by_the_end_of_another(app, told):
    """One that waited with after_ended was freed by it, ran, and was counted as cancelled."""
    part = JobSpec(name="nobody", data={"campaign": 7})
    last = JobSpec(name="work", data={"campaign": 7}, after_ended=part)
    jobs = app.jobs.queue_many([part, last, JobSpec(name="work", data={"campaign": 7}, after=last)])

    count = app.jobs.cancel_many("data.campaign=7")
    app.drain()

    assert (count, states(app, *jobs), told) == (3, ["cancelled"] * 3, [])


def test_a_graph_that_is_cancelled_as_a_whole_waits_again_when_it_is_queued_again(app):
    parent = app.jobs.queue("work", 1, delay=60)
    child = app.jobs.queue("gather", after=parent)

    assert app.jobs.cancel_many("state:queued") == 2
    assert states(app, parent, child) == ["cancelled", "cancelled"]
    assert app.jobs.requeue_many("state:cancelled", delay=10) == 2

    app.drain()
    assert states(app, parent, child) == ["queued", "queued"] and app.jobs.get(child).waits


def test_nothing_starts_before_its_parents_however_few_links_a_turn_looks_at(told, monkeypatch):
    monkeypatch.setattr("lamplighter.broker.jobs.ROUNDS_MAX", 1)

    def register(runtime):
        runtime.jobs.add_handler("work", lambda job: told.append(job.data))

    with Inline(register, at_once=False, freed_links_max=1) as app:
        first = app.jobs.queue("work", 0, delay=60)
        second = app.jobs.queue_many([spec(1, after=first)] * 3)
        third = app.jobs.queue_many([spec(2, after=second)] * 3)
        last = app.jobs.queue("work", 3, after=third)
        app.jobs.cancel(first)
        app.drain()
        assert states(app, *second, *third, last) == ["cancelled"] * 7

        assert app.jobs.requeue_many("state:cancelled", delay=10) == 8
        app.drain()
        assert told == [] and all(app.jobs.get(job).waits for job in (*second, *third, last))

        app.advance(seconds=11)
        app.drain()
        assert told == [0, 1, 1, 1, 2, 2, 2, 3]


def test_the_last_of_a_chain_waits_though_those_between_have_not_moved_yet(told, monkeypatch):
    """A query finds the first and the last of it, and a turn looks at few links."""
    monkeypatch.setattr("lamplighter.broker.jobs.ROUNDS_MAX", 1)

    def register(runtime):
        for name in ("work", "between"):
            runtime.jobs.add_handler(name, lambda job: told.append(job.data))

    with Inline(register, at_once=False, freed_links_max=1) as app:
        chain = [app.jobs.queue("work", 0, delay=60)]
        for number, name in enumerate(("between", "between", "between", "work"), 1):
            chain.append(app.jobs.queue(name, number, after=chain[-1]))
        app.jobs.cancel(chain[0])
        app.drain()
        assert states(app, *chain) == ["cancelled"] * 5

        assert app.jobs.requeue_many("state:cancelled name:work", delay=10) == 2
        app.drain()
        assert told == [] and all(app.jobs.get(job).waits for job in chain[1:])

        app.advance(seconds=11)
        app.drain()
        assert told == [0, 1, 2, 3, 4]


def test_nothing_is_taken_back_of_a_child_that_was_freed(app):
    parent = app.jobs.queue("work", 1)
    child = app.jobs.queue("gather", after=parent)
    app.drain()

    app.jobs.requeue(parent)
    app.drain()

    assert states(app, parent, child) == ["done", "done"]
    assert len(moves_of(app, child, "job.freed")) == 1


def test_a_child_that_is_queued_again_waits_for_nobody(app):
    parent = app.jobs.queue("work", 1, delay=60)
    child = app.jobs.queue("gather", after=parent)

    app.jobs.requeue(child)
    app.drain()

    assert app.jobs.get(child).result == [["queued", None]]
    app.advance(seconds=61)
    app.drain()
    assert states(app, parent, child) == ["done", "done"]


@pytest.mark.parametrize("leaves", ["cancel", "expire", "mark_done"])
def test_a_child_that_has_left_by_itself_is_not_revived(app, leaves):
    parent = app.jobs.queue("work", "die", delay=60)
    child = app.jobs.queue("gather", after=parent, expires=30)
    match leaves:
        case "cancel":
            app.jobs.cancel(child)
        case "expire":
            app.advance(seconds=31)
        case "mark_done":
            app.jobs.mark_done(child, "by hand")
    app.advance(seconds=61)
    app.drain()
    ended = states(app, child)
    assert ended == (["done"] if leaves == "mark_done" else ["cancelled"])

    app.jobs.requeue(parent, delay=60)
    app.drain()

    assert states(app, parent, child) == ["queued", *ended]


def test_what_another_job_holds_the_key_of_is_not_revived_and_the_log_says_whose(app):
    dies = app.jobs.queue("work", "die")
    child = app.jobs.queue("work", 1, after=dies, unique="k")
    app.drain()
    holder = app.jobs.queue("work", 2, delay=600, unique="k")

    app.jobs.requeue(dies, delay=60)
    app.drain()

    assert states(app, child, holder) == ["dead", "queued"]
    (line,) = moves_of(app, holder, "job.deduplicated")
    assert f'"asked_id":"{child.id}"' in line
    app.jobs.mark_done(dies)
    app.drain()
    assert states(app, child) == ["dead"]
    with pytest.raises(KeyTaken):
        app.jobs.requeue(child)


def test_a_twin_keeps_its_own_parents(app):
    first, second = app.jobs.queue("work", 1, delay=60), app.jobs.queue("work", 2)
    child = app.jobs.queue("work", 3, id="child", after=first)
    again = app.jobs.queue("work", 3, id="child", after=second)

    assert (again.id, again.deduplicated, again.waits) == (child.id, True, True)
    app.drain()
    assert states(app, child) == ["queued"]


def test_a_part_that_was_queued_before_under_its_key_is_waited_for(app):
    known = app.jobs.queue("work", "known", unique="k", delay=60)
    part = spec("new", unique="k")
    _, child = app.jobs.queue_many([part, JobSpec(name="gather", after=part)])

    assert [one.id for one in app.jobs.parents(child)] == [known.id]


@pytest.mark.parametrize(("end", "state"), [("done", "queued"), ("cancelled", "cancelled")])
def test_two_parts_under_one_key_are_one_job_that_must_be_done_if_either_must(app, end, state):
    ended, done = spec("new", unique="k", delay=60), spec("same", unique="k", delay=60)
    known, again, child = app.jobs.queue_many([ended, done, JobSpec(name="gather", after_ended=ended, after=done)])

    assert (known.id, [one.id for one in app.jobs.parents(child)]) == (again.id, [known.id])
    app.jobs.mark_done(known) if end == "done" else app.jobs.cancel(known)
    assert states(app, child) == [state]


def test_an_id_may_stand_earlier_in_the_same_call(app):
    first, second = app.jobs.queue_many([spec(1, id="a"), spec(2, after="a")])

    assert [one.id for one in app.jobs.parents(second)] == ["a"]
    app.drain()
    assert states(app, first, second) == ["done", "done"]


def test_a_job_of_a_group_takes_its_turn_once_it_is_freed(app, told):
    parent = app.jobs.queue("work", "parent", delay=10)
    waits = app.jobs.queue("work", "waits", after=parent, group="t")
    for number in range(2):
        app.jobs.queue("work", number, group="t")
    app.drain()
    assert (told, states(app, waits)) == ([0, 1], ["queued"])

    app.advance(seconds=11)
    app.drain()

    assert told == [0, 1, "parent", "waits"]


def test_job_then_takes_a_whole_fan_in(told):
    def plan(job):
        parts = [JobSpec(name="work", data=n) for n in range(3)]
        job.then(("work", "alone"))
        job.then(*parts, JobSpec(name="gather", after=parts), JobSpec(name="work", data="last", after_ended=parts[:1]))

    def register(runtime):
        runtime.jobs.add_handler("plan", plan)
        runtime.jobs.add_handler("work", lambda job: told.append(job.data) or job.data)
        runtime.jobs.add_handler("gather", lambda job: [one.result for one in job.parents()])

    with Inline(register, seed=3) as app:
        whole = app.jobs.queue("plan")

        (gather,) = app.jobs.list("gather")
        assert (gather.state, gather.result) == ("done", [0, 1, 2])
        assert sorted(map(str, told)) == ["0", "1", "2", "alone", "last"]
        assert gather.id == f"{whole.id}.1.5"


def test_a_handler_queues_jobs_that_wait_for_it(app, told):
    def parent(job):
        job.queue("work", "child", after=job)
        told.append("parent")

    app.runtime.jobs.add_handler("parent", parent)
    app.jobs.queue("parent")

    app.drain()

    assert told == ["parent", "child"]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (
            lambda jobs, a: jobs.queue("work", after=7),
            "expected after to hold Jobs, ids or JobSpecs of this call, got: 7",
        ),
        (
            lambda jobs, a: jobs.queue("work", after=[a, None]),
            "expected after to hold Jobs, ids or JobSpecs of this call",
        ),
        (
            lambda jobs, a: jobs.queue("work", after={"a": 1}),
            "expected after to hold Jobs, ids or JobSpecs of this call",
        ),
        (lambda jobs, a: jobs.queue("work", after_ended=b"a"), "expected after_ended to hold Jobs, ids or JobSpecs of"),
        (lambda jobs, a: jobs.queue("work", after=""), "expected each id in after to be a str of 1 to 200 characters"),
        (
            lambda jobs, a: jobs.queue("work", after=[a], after_ended=a.id),
            "expected each job in one of after, after_ended and after_failed,",
        ),
        (
            lambda jobs, a: jobs.queue("work", after=spec("x")),
            "expected after to hold a JobSpec that is queued in the same call, got: JobSpec(name='work')",
        ),
        (
            lambda jobs, a: jobs.queue_many([JobSpec(name="merge", after=(part := spec())), part]),
            "expected the JobSpec 'merge' to stand after those it waits for",
        ),
        (
            lambda jobs, a: jobs.queue_many([JobSpec(name="merge", after="b"), spec(id="b")]),
            "expected the JobSpec 'merge' to stand after those it waits for",
        ),
        (
            lambda jobs, a: jobs.queue_many([part := spec(), part, JobSpec(name="merge", after=part)]),
            "expected a JobSpec in after to stand once in the call, got JobSpec(name='work') twice",
        ),
        (
            lambda jobs, a: jobs.queue("work", after=map(str, range(10_001))),
            "expected at most 10,000 jobs in after, after_ended and after_failed, got: 10,001",
        ),
    ],
)
def test_what_cannot_be_waited_for_is_refused_and_nothing_is_stored(app, call, error):
    known = app.jobs.queue("work", 1, delay=60)

    with pytest.raises(UsageError) as raised:
        call(app.jobs, known)

    assert error in str(raised.value)
    assert app.jobs.counts()["queued"] == 1


def lattice(width, more=0):
    """Jobs that each wait for all of as many others; perhaps one more link."""
    first = [spec(number) for number in range(width)]
    rest = [spec(number, after=first) for number in range(width)]
    return [*first, *rest, *(spec("more", after=rest[:1]) for _ in range(more))]


@pytest.mark.parametrize("call", ["queue_many", "mark_done", "then", "then in two calls"])
def test_the_jobs_of_one_call_have_so_many_links_together_and_no_more(call):
    """700 jobs that each waited for the same 700 kept everybody on the store waiting for ten seconds."""
    refused = []

    def plan(job):
        try:
            for part in [lattice(3), lattice(3)] if call == "then in two calls" else [lattice(4, more=1)]:
                job.then(*part)
        except UsageError as error:
            refused.append(str(error))

    def register(runtime):
        runtime.jobs.add_handler("plan", plan)

    with Inline(register, links_max=16) as app:
        asked = app.jobs.queue("nobody")
        if call.startswith("then"):
            app.jobs.queue("plan")
        else:
            act = app.jobs.queue_many if call == "queue_many" else lambda jobs: app.jobs.mark_done(asked, then=jobs)
            with pytest.raises(UsageError) as error:
                act(lattice(4, more=1))
            refused.append(str(error.value))
            assert app.jobs.list("work") == []
            act(lattice(4))

        assert len(app.jobs.list("work")) == (6 if call == "then in two calls" else 0 if call == "then" else 8)
    assert refused == [
        "expected at most 16 links from jobs to others in after, after_ended and after_failed of one call, "
        f"got {18 if call == 'then in two calls' else 17} or more: have one job between them wait for all of "
        "these others, and the rest wait for that job"
    ]


@pytest.mark.parametrize("how", ["after", "after_ended"])
def test_either_kind_of_link_counts_among_those_of_one_call(how):
    with Inline(lambda runtime: None, links_max=3) as app:
        parents = app.jobs.queue_many([JobSpec(name="nobody")] * 2)
        with pytest.raises(UsageError, match="expected at most 3 links"):
            app.jobs.queue_many([JobSpec(name="nobody", **{how: parents})] * 2)
        app.jobs.queue_many([JobSpec(name="nobody", **{how: parents[:number]}) for number in (1, 2)])


def test_an_id_that_nobody_has_is_unknown_and_nothing_is_stored(app):
    with pytest.raises(UnknownJob, match="'nobody'; it never was, or retention removed it"):
        app.jobs.queue_many([spec(1), spec(2, after="nobody")])

    assert app.jobs.counts()["queued"] == 0


def test_none_is_no_parent_and_neither_is_an_empty_list(app):
    assert not app.jobs.queue("work", after=[], after_ended=()).waits


def test_retention_keeps_a_parent_as_long_as_its_child():
    def register(runtime):
        runtime.jobs.add_handler("work", lambda job: job.data)

    with Inline(register, keep_done_seconds=60) as app:
        parent = app.jobs.queue("work", 1)
        other = app.jobs.queue("work", 2)
        child = app.jobs.queue("work", 3, after=parent, delay=600)
        app.advance(seconds=300)
        assert [one.id for one in app.jobs.parents(child)] == [parent.id]
        with pytest.raises(UnknownJob):
            app.jobs.get(other)
        with pytest.raises(UsageError, match=f"got: {parent.id}; forget job {child.id}, which has, first"):
            app.jobs.forget(parent)

        app.advance(seconds=1000)

        for job in (parent, child):
            with pytest.raises(UnknownJob):
                app.jobs.get(job)


def with_an_ended_child(app):
    """A job that has waited for one that retention has removed since."""
    parent = app.jobs.queue("work", "parent", id="parent")
    child = app.jobs.queue("work", "child", after=parent, delay=30)
    app.advance(seconds=80)
    return child


def test_what_failed_by_itself_is_found_among_all_that_share_its_fate(app):
    cause = app.jobs.queue("work", "die")
    doomed = app.jobs.queue_many([spec(number, after=cause) for number in range(5)])
    app.drain()

    found = {fate: [one.id for one in app.jobs.list(query=f"state:dead fate:{fate}")] for fate in ("yes", "no")}

    assert found["no"] == [cause.id]
    assert sorted(found["yes"]) == sorted(one.id for one in doomed)
    with pytest.raises(UsageError, match="expected yes or no"):
        app.jobs.list(query="fate:maybe")
    with app.runtime.current_boot.get().store.snapshot() as seen:
        assert [job.id for job in Failures(seen, None)] == [cause.id]


def register_removing(runtime):
    runtime.jobs.add_handler("work", lambda job: job.data)
    runtime.jobs.add_handler("gather", lambda job: [one.result for one in job.parents()])


def test_a_parent_goes_before_its_child_that_is_done_and_the_child_still_names_it():
    with Inline(register_removing, keep_done_seconds=60) as app:
        child = with_an_ended_child(app)

        with pytest.raises(UnknownJob):
            app.jobs.get("parent")
        assert app.jobs.get(child).state == "done"
        with pytest.raises(UnknownJob, match=r"job parent \(work\), which this one has waited for and which is done"):
            app.jobs.parents(child)

        app.jobs.requeue(child)
        app.drain()
        assert app.jobs.get(child).state == "done"
        app.advance(seconds=100)
        with pytest.raises(UnknownJob):
            app.jobs.get(child)


def test_a_job_that_is_done_again_is_not_told_of_fewer_parents_than_it_had():
    with Inline(register_removing, keep_done_seconds=60) as app:
        first = app.jobs.queue("work", "first")
        gather = app.jobs.queue("gather", after=[first, app.jobs.queue("work", "second", delay=30)])
        app.advance(seconds=80)

        app.jobs.requeue(gather)
        app.drain()

        assert "which this one has waited for" in app.jobs.get(gather).error


def test_a_dead_job_keeps_its_parents_as_somebody_may_requeue_it():
    def fail_once(job):
        if not told_once:
            told_once.append(1)
            raise Discard("not today")
        return [one.result for one in job.parents()]

    told_once = []

    def register(runtime):
        register_removing(runtime)
        runtime.jobs.add_handler("fail", fail_once)

    with Inline(register, keep_done_seconds=60, keep_dead_seconds=600) as app:
        parent = app.jobs.queue("work", "kept")
        dead = app.jobs.queue("fail", after=parent)
        app.drain()
        app.advance(seconds=300)
        app.jobs.requeue(dead)
        app.drain()

        assert app.jobs.get(dead).result == ["kept"]
        app.advance(seconds=300)
        for job in (parent, dead):
            with pytest.raises(UnknownJob):
                app.jobs.get(job)


def test_a_dead_job_keeps_the_cancelled_parents_of_its_parents():
    """One requeue of the first mends all, which had lost its grandparent while only its own parent was kept."""

    def fail_once(job):
        if not told_once:
            told_once.append(1)
            raise Discard("not today")

    told_once = []

    def register(runtime):
        runtime.jobs.add_handler("work", lambda job: job.data)
        runtime.jobs.add_handler("fail", fail_once)

    with Inline(register, keep_done_seconds=60, keep_dead_seconds=6000) as app:
        first, other = spec("first", delay=30), JobSpec(name="fail")
        second = spec("second", after=first)
        stored = app.jobs.queue_many([first, other, second, spec("last", after=[second, other])])
        app.jobs.cancel(stored[0])
        app.drain()
        app.advance(seconds=1000)
        assert [app.jobs.get(job).state for job in stored] == ["cancelled", "dead", "cancelled", "dead"]

        for job in stored[:2]:
            app.jobs.requeue(job)
        app.drain()

        assert [app.jobs.get(job).state for job in stored] == ["done"] * 4
        app.advance(seconds=1000)
        assert app.jobs.list() == []


def test_the_links_of_a_turn_are_limited_and_the_next_goes_on():
    def register(runtime):
        runtime.jobs.add_handler("work", lambda job: job.data)

    with Inline(register, at_once=False, freed_links_max=3) as app:
        parent = app.jobs.queue("work", "parent")
        children = app.jobs.queue_many([spec(n, after=parent) for n in range(20)])

        app.drain()

        assert set(states(app, *children)) == {"done"}
        freed = [
            line.split('"turn":')[1].split(",")[0] for line in app.log.splitlines() if '"event":"job.freed"' in line
        ]
        assert max(freed.count(turn) for turn in freed) == 3


def test_in_a_transaction_of_the_application_a_child_is_there_if_it_commits(runtime, tmp_path):
    rt: Runtime = runtime()
    rt.jobs.add_handler("work", lambda job: job.data)
    rt.jobs.add_handler("gather", lambda job: [one.result for one in job.parents()])
    done = rt.jobs.join(rt.jobs.queue("work", "before"), JOIN_SECONDS_MAX)
    with closing(sqlite3.connect(rt.current_boot.get().store.address)) as connection:
        with connection:
            part = rt.jobs.queue("work", "within", connection=connection)
            gather = rt.jobs.queue("gather", after=[part, done], connection=connection)
            with pytest.raises(UnknownJob):
                rt.jobs.queue("work", after="nobody", connection=connection)
        dropped = rt.jobs.queue("gather", after=done, connection=connection)
        connection.rollback()

    assert rt.jobs.join(gather, JOIN_SECONDS_MAX).result == ["within", "before"]
    with pytest.raises(UnknownJob):
        rt.jobs.get(dropped)


def test_an_end_in_a_transaction_of_the_application_frees_whoever_waits_for_it(runtime):
    rt: Runtime = runtime()
    rt.jobs.add_handler("gather", lambda job: [one.result for one in job.parents()])
    parent = rt.jobs.queue("by-hand")
    child = rt.jobs.queue("gather", after=parent)
    with closing(sqlite3.connect(rt.current_boot.get().store.address)) as connection, connection:
        rt.jobs.mark_done(parent, "by hand", connection=connection)

    assert rt.jobs.join(child, JOIN_SECONDS_MAX).result == ["by hand"]


def test_who_awaits_queues_and_reads_too(runtime):
    rt: Runtime = runtime()
    rt.jobs.add_handler("work", lambda job: job.data)

    async def flow():
        part = await rt.jobs.aqueue("work", 1)
        whole = await rt.jobs.aqueue("work", 2, after=part)
        await rt.jobs.ajoin(whole, JOIN_SECONDS_MAX)
        return [one.result for one in await rt.jobs.aparents(whole)]

    assert asyncio.run(flow()) == [1]


def test_what_is_left_when_a_runtime_dies_is_freed_by_the_next(tmp_path):
    """What has ended and was not passed on is in the store, and in no memory."""
    address = str(tmp_path / "s.db")
    with Runtime(address) as first:
        parent = first.jobs.queue("by-hand")
        children = first.jobs.queue_many([spec(n, after=parent) for n in range(5)])
        first.jobs.mark_done(parent)
    with closing(sqlite3.connect(address)) as connection, connection:
        # As it was if the process had died before the turn that frees them.
        connection.execute("update lamplighter_links set met = null")
        connection.execute("update lamplighter_jobs set waits = 2 where name = 'work'")
        connection.execute("insert into lamplighter_parents_to_check (parent) values (1)")
    second = Runtime(address)
    second.jobs.add_handler("work", lambda job: job.data)
    with second:
        assert [second.jobs.join(one, JOIN_SECONDS_MAX).result for one in children] == [0, 1, 2, 3, 4]


def test_rabbitmq_says_what_to_do_instead():
    checks = JobChecks(now=0.0, new_id=lambda: "a", root_id=None, limits=Limits(), has_table=False)

    with pytest.raises(NotSupported, match=r"a queue cannot wait for another: end the first with job\.then"):
        checks.spec(spec(after="b"))
