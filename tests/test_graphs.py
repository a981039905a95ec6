"""`jobs.graph`: the jobs that hang together, what holds them up, and acts on all of them."""

from __future__ import annotations

import asyncio

import pytest
from lamplighter import Discard, JobFailed, JobSpec, Operator, Runtime, UnknownJob
from lamplighter.history.audit.audit import audit_logs
from lamplighter.testing import Inline

JOIN_SECONDS_MAX = 20


@pytest.fixture
def broken():
    """The data with which jobs die."""
    return set()


@pytest.fixture
def order():
    return []


@pytest.fixture
def register(broken, order):
    def work(job):
        order.append(job.data)
        if job.data in broken:
            raise Discard("no")

    def fan_out(job):
        parts = [JobSpec(name="work", data=n) for n in range(job.data)]
        job.then(*parts, JobSpec(name="merge", data="merge", after=parts))

    def add(runtime):
        runtime.jobs.add_handler("work", work)
        runtime.jobs.add_handler("merge", work)
        runtime.jobs.add_handler("fan-out", fan_out)

    return add


@pytest.fixture
def app(register):
    with Inline(register, at_once=False) as app:
        yield app


@pytest.fixture
def jobs(app):
    return app.jobs


def spec(data=None, **options):
    return JobSpec(name="work", data=data, **options)


def chord(jobs):
    """Three parts, each queued by a call of its own, and a job that waits for them."""
    parts = [jobs.queue("work", n) for n in range(3)]
    return parts, jobs.queue("merge", "merge", after=parts)


def ids(found):
    return {job.id for job in found}


def test_the_graph_of_each_of_its_jobs_is_the_same_however_they_were_queued(app, jobs):
    parts, merge = chord(jobs)
    jobs.queue("work", "alone")

    for job in (parts[1], merge, merge.id):
        graph = jobs.graph(job)
        assert ids(graph.members()) == ids([*parts, merge])
        assert (graph.total, graph.of["queued"], graph.ended, graph.state) == (4, 4, 0, "waiting")
        assert graph.names == {"work": {"queued": 3}, "merge": {"queued": 1}}


def test_it_has_what_a_job_has_queued_with_its_end_by_levels(app, jobs):
    root = jobs.queue("fan-out", 4)
    app.drain()

    graph = jobs.graph(f"{root.id}.1.2")

    drawn = [(node.level, node.name, node.jobs) for node in graph.nodes]
    assert drawn == [(0, "fan-out", 1), (1, "work", 4), (2, "merge", 1)]
    assert graph.edges == ((0, 1, 4), (1, 2, 1))
    assert (graph.state, graph.held_up_by) == ("done", ())


def test_a_chain_of_then_is_drawn_as_a_chain(app, jobs):
    app.jobs.add_handler("first", lambda job: job.then(("second", None)))
    app.jobs.add_handler("second", lambda job: job.then(("third", None)))
    app.jobs.add_handler("third", lambda job: None)
    root = jobs.queue("first")
    app.drain()

    assert [node.name for node in jobs.graph(root).nodes] == ["first", "second", "third"]
    assert [node.level for node in jobs.graph(root).nodes] == [0, 1, 2]


def test_what_holds_it_up_is_the_first_that_can_move_with_its_why(app, jobs):
    parts, merge = chord(jobs)
    last = jobs.queue("merge", "last", after=merge)
    jobs.pause("work", by="Ada", reason="too dear")

    (hold,) = jobs.graph(last).held_up_by

    assert (hold.jobs, hold.first.id, hold.first.why.code) == (3, parts[0].id, "paused")
    assert "too dear" in hold.first.why.sentence


def test_what_is_held_by_the_same_is_told_once(app, jobs):
    parts = [jobs.queue(name) for name in ("a", "b", "a")]
    graph = jobs.graph(jobs.queue("merge", after=parts))

    assert [(hold.jobs, hold.names, hold.first.why.code) for hold in graph.held_up_by] == [
        (2, ("a",), "parked"),
        (1, ("b",), "parked"),
    ]
    for job in parts:
        jobs.cancel(job)
    (hold,) = jobs.graph(
        jobs.queue("merge", after=[jobs.queue(name, delay=60) for name in ("work", "fan-out")])
    ).held_up_by
    assert (hold.jobs, hold.names, hold.first.why.code) == (2, ("work", "fan-out"), "not_due")


def test_it_has_failed_when_all_have_ended_and_one_is_dead(app, jobs, broken):
    broken.add(1)
    parts, merge = chord(jobs)
    app.drain()

    graph = jobs.graph(merge)

    assert (graph.state, graph.of["done"], graph.of["dead"], graph.ended) == ("failed", 2, 2, 4)
    with pytest.raises(JobFailed, match=f"job {parts[1].id} \\(work\\) is dead: Discard: no") as failed:
        graph.join(0)
    assert failed.value.job.id == parts[1].id


def test_a_requeue_as_a_whole_runs_what_failed_parents_first(app, jobs, broken, order):
    broken.add(1)
    _, merge = chord(jobs)
    app.drain()
    broken.clear()
    order.clear()

    assert jobs.graph(merge).requeue(by="Ada", reason="mended") == 1
    app.drain()

    assert order == [1, "merge"]
    assert jobs.graph(merge).state == "done"


def test_a_requeue_as_a_whole_lets_what_was_cancelled_alone_wait_again(app, jobs, order):
    """A waiting job that somebody has cancelled waits for nobody, but not beside the requeue of its parents."""
    _, merge = chord(jobs)
    jobs.cancel(merge)
    assert jobs.graph(merge).cancel() == 3

    assert jobs.graph(merge).requeue() == 4
    assert jobs.get(merge).waits
    app.drain()

    assert order == [0, 1, 2, "merge"]


def test_a_requeue_as_a_whole_lets_what_was_cancelled_with_a_part_wait_again(app, jobs, broken, order):
    broken.add("merge")
    parts, merge = chord(jobs)
    app.drain()
    jobs.requeue(parts[0])
    jobs.cancel(parts[0])
    broken.clear()
    order.clear()

    assert jobs.graph(merge).requeue() == 2
    app.drain()

    assert order == [0, "merge"]


def test_a_requeue_as_a_whole_goes_by_birth_and_not_by_state(app, jobs, broken, order):
    """A dead child of a cancelled parent waits for that, though dead jobs would come before cancelled ones."""
    broken.add("child")
    parent = jobs.queue("work", "parent")
    child = jobs.queue("work", "child", after_ended=parent)
    jobs.cancel(parent)
    app.drain()
    assert [jobs.get(job).state for job in (parent, child)] == ["cancelled", "dead"]
    broken.clear()
    order.clear()

    assert jobs.graph(child).requeue() == 2
    app.drain()

    assert order == ["parent", "child"]


def test_what_was_not_needed_neither_fails_a_graph_nor_is_run_by_a_requeue_of_many(app, jobs, broken, order):
    sale, other = jobs.queue("work", "sale"), jobs.queue("work", "other")
    refund = jobs.queue("work", "refund", after_failed=sale)
    last = jobs.queue("merge", "last", after=[sale, other])
    app.drain()

    assert (jobs.graph(sale).state, jobs.get(refund).state) == ("done", "cancelled")
    assert jobs.get(refund).reason == f"not needed: job {sale.id} (work) is done"

    broken.add("other")
    jobs.requeue(other)
    app.drain()
    assert jobs.graph(sale).state == "failed"
    broken.clear()
    order.clear()
    jobs.graph(sale).requeue()
    jobs.requeue_many("state:cancelled")
    app.drain()

    assert (order, jobs.get(refund).state, jobs.graph(last).state) == (["other"], "cancelled", "done")


@pytest.mark.parametrize("behind_another", [False, True])
def test_what_was_not_needed_keeps_its_steps_in_a_requeue_of_many(app, jobs, behind_another):
    # The steps of a job that stayed as it was were removed, and said of another job's move, or of none.
    if behind_another:
        jobs.cancel(jobs.queue("work", "another", delay=60))
    sale = jobs.queue("work", "sale")
    refund = jobs.queue("work", "refund", after_failed=sale)
    jobs.signal(refund, "word", "kept")
    app.drain()

    count = jobs.requeue_many("state:cancelled", afresh=True)

    assert (jobs.get(refund).state, count) == ("cancelled", behind_another)
    assert [step.name for step in jobs.steps(refund)] == ["signal:word"]


def test_a_job_that_shares_the_fate_of_what_was_not_needed_does_not_fail_its_graph(app, jobs, broken):
    sale = jobs.queue("work", "sale")
    refund = jobs.queue("work", "refund", after_failed=sale)
    letter = jobs.queue("work", "letter", after=refund)
    app.drain()

    assert (jobs.get(letter).state, jobs.graph(sale).state) == ("cancelled", "done")

    broken.update(("sale", "refund"))
    jobs.requeue(sale)
    app.drain()
    assert jobs.get(letter).state == "dead"
    jobs.mark_done(jobs.requeue(sale, delay=60))
    assert jobs.graph(sale).state == "failed"


@pytest.mark.parametrize("kind", ["after_ended", "after_failed"])
def test_a_requeue_as_a_whole_starts_no_compensation_of_a_job_that_waits_again(app, jobs, order, kind):
    """The compensation was cancelled by itself, and the job that it compensates shares the fate of its parent."""
    sale = jobs.queue("work", "sale", delay=60)
    ship = jobs.queue("work", "ship", after=sale)
    refund = jobs.queue("work", "refund", **{kind: ship})
    assert jobs.graph(sale).cancel() == 3

    assert jobs.graph(sale).requeue() == 2
    assert jobs.get(refund).waits
    jobs.mark_done(sale)
    app.drain()

    expected = {"after_ended": (["ship", "refund"], "done"), "after_failed": (["ship"], "cancelled")}
    assert (order, jobs.get(refund).state) == expected[kind]


def test_acts_by_somebody_without_a_reason_are_told_alike_by_the_log_and_its_ledger(app, jobs, tmp_path):
    sale = jobs.queue("work", "sale", delay=60)
    jobs.queue("merge", after=sale)
    jobs.queue("merge", after_ended=sale)
    assert jobs.graph(sale).cancel(by="ada") == 3
    assert jobs.requeue_many("state:cancelled", by="ada") == 3
    app.drain()
    log = tmp_path / "app.log"
    log.write_text(app.log)

    assert audit_logs([str(log)]).findings == ()


def test_done_jobs_that_are_all_run_again_follow_each_other(app, jobs, order):
    _, merge = chord(jobs)
    app.drain()
    order.clear()

    assert jobs.requeue_many(f"{jobs.graph(merge).query} state:done") == 4
    app.drain()

    assert order == [0, 1, 2, "merge"]
    assert app.jobs.graph(merge).state == "done"


def test_a_job_that_is_queued_again_long_after_its_parent_waits_for_that_one(app, jobs, order):
    parts, merge = chord(jobs)
    app.drain()
    jobs.requeue(parts[1], delay=60)
    app.drain()
    order.clear()

    assert jobs.requeue_many(f"{jobs.graph(merge).query} name:merge state:done") == 1
    jobs.mark_done(parts[1], None)
    app.drain()

    assert order == ["merge"]


def test_a_cancel_as_a_whole_ends_all_that_has_not_ended_and_nothing_else(app, jobs):
    parts, merge = chord(jobs)
    other = jobs.queue("work", "alone")
    jobs.mark_done(parts[0], None)

    assert jobs.graph(parts[2]).cancel(by="Ada", reason="a mistake") == 3
    assert jobs.graph(merge).of == {"queued": 0, "running": 0, "done": 1, "dead": 0, "cancelled": 3}
    assert jobs.get(other).state == "queued"


def test_a_graph_is_found_by_a_query_with_other_terms(app, jobs):
    parts, merge = chord(jobs)
    jobs.mark_done(parts[1], None)
    graph = jobs.graph(merge)

    assert ids(graph.members("work", "done")) == ids([parts[1]])
    assert ids(jobs.list(query=f"{graph.query} name:merge")) == ids([merge])
    first = graph.members(limit=2)
    assert ids([*first, *graph.members(limit=9, before=first[-1])]) == ids(graph.members())
    assert len(first) == 2


def test_the_graph_of_a_job_that_is_not_there_is_refused(jobs):
    with pytest.raises(UnknownJob):
        jobs.graph("nobody")


def test_join_waits_for_all_and_for_those_that_come_meanwhile(tmp_path, register, broken):
    with Runtime(tmp_path / "app.db") as runtime:
        register(runtime)
        root = runtime.jobs.queue("fan-out", 5)

        assert runtime.jobs.graph(root).join(JOIN_SECONDS_MAX).of["done"] == 7

        runtime.jobs.pause("merge")
        root = runtime.jobs.queue("fan-out", 5)
        with pytest.raises(TimeoutError, match=r"\(?merge|has not ended within 0.2 s"):
            runtime.jobs.graph(root).join(0.2)


def test_each_call_has_a_twin_for_asyncio(tmp_path, register):
    async def main(jobs):
        root = await jobs.aqueue("fan-out", 2)
        graph = await (await jobs.agraph(root)).ajoin(JOIN_SECONDS_MAX)
        assert await graph.acancel() == 0
        assert await graph.arequeue() == 0
        return ids(await graph.amembers("work"))

    with Runtime(tmp_path / "app.db") as runtime:
        register(runtime)
        assert len(asyncio.run(main(runtime.jobs))) == 2


def test_an_operator_sees_it_and_acts_on_it_without_a_runtime(tmp_path, register):
    with Runtime(tmp_path / "app.db") as runtime:
        parts, merge = chord(runtime.jobs)
    operator = Operator(tmp_path / "app.db", by="Ada", via="test")

    graph = operator.graph(merge.id)
    assert (graph.total, graph.held_up_by[0].first.why.code) == (4, "no_runtime")
    assert graph.cancel(reason="a mistake").done == 4
    assert operator.graph(parts[0]).requeue().done == 3
    with Runtime(tmp_path / "app.db") as runtime:
        # The next turn has the job follow that has shared the fate of the others.
        runtime.jobs.queue("nobody")
        assert operator.graph(parts[0]).of["queued"] == 4
    with pytest.raises(UnknownJob):
        operator.graph("nobody")
