"""Where turns of two runtimes meet on PostgreSQL, what must hold holds in whatever order their statements come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any, cast

import pytest
from lamplighter.broker.follow_ups import insert_in_order
from lamplighter.environment.store_clock import StoreClock
from lamplighter.errors import KeyTaken
from lamplighter.messages.jobs import Attribution, JobParent, JobRecord, JobState, NewJob
from lamplighter.messages.names import NameLimits, Rate
from lamplighter.messages.outcomes import Outcome, OutcomeKind, Verdict
from lamplighter.messages.schedules import SlotEntry
from lamplighter.messages.tallies import Tally
from lamplighter.rules.lifecycle import AWAITS, awaited_signal
from lamplighter.stores.postgresql.turn import PostgresTurn
from lamplighter.stores.troubles import BootLost
from lamplighter.stores.turn_ports import HELD_UP_SECONDS

from ....support.conformance.kit import (
    DEAD,
    DONE,
    FAILED,
    NOW,
    RETRY,
    SUCCEEDED,
    a_boot,
    a_schedule,
    claim_in,
    new,
    want,
)
from .interleaved import Actor, World, every_order

CANCELLED = Outcome(kind=OutcomeKind.CANCELLED)
CANCEL = Verdict(state=JobState.CANCELLED, event="job.cancelled", reason="so", attempt=0)

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def world(postgres: str, postgres_server: Any) -> Iterator[World]:
    # Deadlocks are to be found soon; the server's own bound is a second.
    postgres_server.psql("alter role lamplighter set deadlock_timeout = '10ms'")
    with closing(World(postgres, 3)) as world:
        yield world
    postgres_server.psql("alter role lamplighter reset deadlock_timeout")


def put(world: World, *jobs: NewJob) -> list[JobRecord]:
    with world.actors[0].turn() as turn:
        return insert(turn, *jobs)


def insert(turn: PostgresTurn, *jobs: NewJob) -> list[JobRecord]:
    """Store jobs as a broker does."""
    parents = [parent.job_id for job in jobs for parent in job.parents]
    if parents and (missing := turn.links.unknown(parents)):
        raise LookupError(missing)
    stored = [job for job, _ in turn.jobs.insert(jobs)]
    judged = turn.links.judge_births()
    return [judged.get(job.row_id, job) for job in stored]


def taken(world: World, place: int = 0, begun: int = 1, **changes: Any) -> list[JobRecord]:
    """Claims of an actor."""
    actor = world.actors[place]
    with actor.turn() as turn:
        return [claim.job for claim in claim_in(turn, boot=actor.boot, begun=begun, **changes)]


def ends(turn: PostgresTurn, job: JobRecord, outcome: Outcome = SUCCEEDED, verdict: Verdict = DONE) -> JobRecord | None:
    """End a claim as a broker does, whose turn then frees what has waited."""
    settled = turn.jobs.settle(job, outcome, verdict)
    free(turn)
    return settled


def free(turn: PostgresTurn) -> None:
    if turn.has_ripe:
        turn.links.free(500)


def after(*ids: str) -> tuple[JobParent, ...]:
    return tuple(map(JobParent, ids))


def test_a_child_of_two_parents_that_end_at_once_is_freed_once(world: World) -> None:
    def prepare(world: World) -> list[JobRecord]:
        put(world, new("p1"), new("p2"))
        put(world, new("child", parents=after("p1", "p2")))
        return [*taken(world, 0), *taken(world, 1)]

    def end(place: int) -> Callable[[Actor, Any], None]:
        def program(actor: Actor, jobs: list[JobRecord]) -> None:
            with actor.turn() as turn:
                assert ends(turn, jobs[place]) is not None

        return program

    def check(world: World, _: object) -> None:
        child = world.job("child")
        assert (child.state, child.waits, child.move_no) == ("queued", 0, 2)

    every_order(world, prepare, [end(0), end(1)], check)


def test_a_child_that_is_born_while_its_parent_ends_is_freed(world: World) -> None:
    def prepare(world: World) -> JobRecord:
        put(world, new("p"))
        return taken(world)[0]

    def birth(actor: Actor, _: JobRecord) -> None:
        with actor.turn() as turn:
            insert(turn, new("child", parents=after("p")))

    def end(actor: Actor, parent: JobRecord) -> None:
        with actor.turn() as turn:
            assert ends(turn, parent) is not None

    def check(world: World, _: object) -> None:
        child = world.job("child")
        assert (child.state, child.waits) == ("queued", 0)

    every_order(world, prepare, [end, birth], check)


def test_a_child_of_a_parent_that_its_own_call_has_found_by_a_key_is_freed(world: World) -> None:
    # Nobody had locked the parent, whose end saw no child, and whose child saw no end: it waited for ever.
    def prepare(world: World) -> JobRecord:
        put(world, new("p", unique_key="k"))
        return taken(world)[0]

    def birth(actor: Actor, _: JobRecord) -> None:
        with actor.turn() as turn:
            jobs = [new("q", unique_key="k"), new("child", parents=(JobParent("", 0),))]
            insert_in_order(turn.jobs.insert, jobs)
            turn.links.judge_births()

    def end(actor: Actor, parent: JobRecord) -> None:
        with actor.turn() as turn:
            assert ends(turn, parent) is not None

    def check(world: World, _: object) -> None:
        found = world.rows("select id from lamplighter_jobs where id = 'q'")
        child = world.job("child")
        assert (child.state, child.waits != 0) == ("queued", bool(found))

    every_order(world, prepare, [end, birth], check)


@pytest.mark.parametrize("by", ["retention", "forget"])
def test_a_parent_is_not_removed_while_a_child_of_it_is_born(world: World, by: str) -> None:
    def prepare(world: World) -> None:
        put(world, new("p"))
        (parent,) = taken(world)
        with world.actors[0].turn() as turn:
            ends(turn, parent)

    def birth(actor: Actor, _: object) -> bool:
        try:
            with actor.turn() as turn:
                insert(turn, new("child", parents=after("p")))
        except LookupError:
            return False
        return True

    def removal(actor: Actor, _: object) -> bool:
        with actor.turn(NOW + 1) as turn:
            if by == "retention":
                pruned = turn.prune(done_before=NOW + 1, dead_before=NOW + 1, slots_before=None, batch=9)
                return pruned > 0
            parent = turn.jobs.find(["p"]).get("p")
            assert parent is not None
            if turn.links.child_of(parent) is not None:
                return False
            turn.jobs.forget(parent)
            return True

    def check(world: World, _: object) -> None:
        was_born, was_removed = (actor.result for actor in world.actors[:2])
        parents = world.rows("select 1 from lamplighter_jobs where id = 'p'")
        children = world.rows("select state, waits from lamplighter_jobs where id = 'child'")
        assert children == ([("queued", 0)] if was_born else [])
        assert bool(parents) == (not was_removed)
        assert was_born != was_removed, "a child without its parent"

    every_order(world, prepare, [birth, removal], check)


@pytest.mark.parametrize("children", [1, 3])
def test_children_of_a_parent_that_is_queued_again_beside_the_freeing_wait_for_it(world: World, children: int) -> None:
    def prepare(world: World) -> None:
        put(world, new("p"))
        put(world, *(new(f"c{number}", parents=after("p")) for number in range(children)))
        (parent,) = taken(world)
        with world.actors[0].turn() as turn:
            # Another turn is to free the children.
            turn.jobs.settle(parent, FAILED, DEAD)

    def freeing(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            free(turn)

    def requeue(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            turn.jobs.requeue(turn.jobs.find(["p"])["p"], NOW)

    def check(world: World, _: object) -> None:
        assert world.job("p").state == "queued"
        for number in range(children):
            child = world.job(f"c{number}")
            assert (child.state, child.waits) == ("queued", 2), child

    every_order(world, prepare, [freeing, requeue], check)


def test_a_child_whose_key_another_takes_while_its_parent_is_queued_again_stays_dead(world: World) -> None:
    def prepare(world: World) -> None:
        put(world, new("p"))
        put(world, new("child", parents=after("p"), unique_key="k"))
        (parent,) = taken(world)
        with world.actors[0].turn() as turn:
            ends(turn, parent, FAILED, DEAD)

    def requeue(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            turn.jobs.requeue(turn.jobs.find(["p"])["p"], NOW)
            free(turn)

    def other(actor: Actor, _: object) -> list[JobRecord]:
        with actor.turn() as turn:
            return insert(turn, new("other", unique_key="k"))

    def check(world: World, _: object) -> None:
        unfinished = world.rows("select id from lamplighter_jobs where unique_key = 'k' and state = 'queued'")
        assert len(unfinished) == 1
        (kept,) = world.actors[1].result
        assert unfinished == [(kept.id,)]

    every_order(world, prepare, [requeue, other], check)


def test_a_job_that_waits_again_beside_the_end_of_its_parent_is_freed(world: World) -> None:
    def prepare(world: World) -> JobRecord:
        put(world, new("p"))
        put(world, new("child", parents=after("p")))
        (parent,) = taken(world)
        with world.actors[0].turn() as turn:
            ends(turn, parent, FAILED, DEAD)
        with world.actors[0].turn() as turn:
            turn.jobs.requeue(turn.jobs.find(["p"])["p"], NOW)
            free(turn)
            turn.jobs.cancel(turn.jobs.find(["child"])["child"], "so")
        return taken(world)[0]

    def end(actor: Actor, parent: JobRecord) -> None:
        with actor.turn() as turn:
            assert ends(turn, parent) is not None

    def again(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            child = turn.jobs.find(["child"])["child"]
            if turn.links.wait_again(child) is None:
                turn.jobs.requeue(child, NOW)
            free(turn)

    def check(world: World, _: object) -> None:
        child = world.job("child")
        assert (child.state, child.waits) == ("queued", 0)

    every_order(world, prepare, [end, again], check)


def test_a_child_that_is_cancelled_beside_the_end_of_its_parent_is_cancelled(world: World) -> None:
    def prepare(world: World) -> JobRecord:
        put(world, new("p"))
        put(world, new("child", parents=after("p")))
        return taken(world)[0]

    def end(actor: Actor, parent: JobRecord) -> None:
        with actor.turn() as turn:
            assert ends(turn, parent) is not None

    def cancel(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            turn.jobs.cancel(turn.jobs.find(["child"])["child"], "so")

    def check(world: World, _: object) -> None:
        assert world.job("child").state == "cancelled"

    every_order(world, prepare, [end, cancel], check)


def claims(**changes: Any) -> Callable[[Actor, Any], list[JobRecord]]:
    """A program that claims."""

    def program(actor: Actor, _: object) -> list[JobRecord]:
        with actor.turn() as turn:
            return [claim.job for claim in claim_in(turn, **{"boot": actor.boot, "begun": 3, **changes})]

    return program


def running(world: World, more: str = "") -> int:
    return int(world.rows(f"select count(*) from lamplighter_jobs where state = 'running' {more}")[0][0])


@pytest.mark.parametrize("limits", [{}, {"total": 3}, {"total": 1}])
def test_two_that_claim_never_claim_the_same_job_nor_more_than_the_total(world: World, limits: dict[str, int]) -> None:
    def prepare(world: World) -> None:
        put(world, *(new(f"j{number}") for number in range(4)))

    def check(world: World, _: object) -> None:
        claimed = [job.id for actor in world.actors[:2] for job in actor.result]
        assert len(claimed) == len(set(claimed)) == running(world) <= limits.get("total", 4)
        if limits:
            assert len(claimed) == limits["total"]

    every_order(world, prepare, [claims(**limits), claims(**limits)], check)


def test_a_limit_that_an_operator_sets_holds_for_turns_that_begin_after_it(world: World) -> None:
    def prepare(world: World) -> None:
        put(world, *(new(f"j{number}") for number in range(4)))
        with world.actors[0].turn() as turn:
            turn.jobs.limit("work", 2)

    def check(world: World, _: object) -> None:
        assert running(world) == 2

    every_order(world, prepare, [claims(), claims()], check)


@pytest.mark.parametrize("group", [{"per_group": 2}, {"rate_per_group": Rate(2, 60.0, 2)}, {}])
def test_two_that_claim_never_claim_more_of_a_group_than_its_limit(world: World, group: dict[str, Any]) -> None:
    def prepare(world: World) -> None:
        put(world, *(new(f"a{number}", group_key="a") for number in range(4)), new("b", group_key="b"))

    def check(world: World, _: object) -> None:
        claimed = [job.id for actor in world.actors[:2] for job in actor.result]
        assert len(claimed) == len(set(claimed)) == running(world)
        if group:
            assert running(world, "and group_key = 'a'") == 2
            assert len(claimed) == 3

    every_order(world, prepare, [claims(**group), claims(**group)], check)


@pytest.mark.parametrize("is_suspect", [False, True])
def test_two_that_claim_by_two_roads_never_claim_more_of_a_group_than_its_limit(world: World, is_suspect: bool) -> None:
    def prepare(world: World) -> None:
        put(world, new("other", group_key="a", priority=0 if is_suspect else 5))
        if is_suspect:
            (job,) = taken(world)
            with world.actors[0].turn() as turn:
                turn.jobs.settle(job, FAILED, RETRY._replace(run_at=NOW, suspect_until=NOW + 9.0))
        put(world, new("a", group_key="a"))

    def check(world: World, _: object) -> None:
        assert running(world) == 1

    claim = claims(begun=1, per_group=1)
    every_order(world, prepare, [claim, claim], check)


@pytest.mark.parametrize("limit", [None, 2])
def test_a_claim_passes_over_groups_that_an_open_turn_has(world: World, limit: int | None) -> None:
    first, second, _ = world.actors
    world.reset()
    put(world, *(new(f"{group}{number}", group_key=group) for group in "ab" for number in range(4)))
    with first.turn() as turn:
        assert [claim.job.id for claim in claim_in(turn, boot=first.boot, begun=1, per_group=limit)] == ["a0"]
        with second.turn() as other:
            limits = NameLimits(per_group=limit)
            found = other.jobs.claim([want(boot=second.boot, begun=3, limits=limits)], suspect=True)
        claimed = [claim.job.id for claim in found.claims["work"]]
    # Where all others have had their turn, a group without a limit goes on.
    assert claimed == (["b0", "a1", "b1"] if limit is None else ["b0", "b1"])
    assert found.next_due.get("work") == (None if limit is None else NOW + HELD_UP_SECONDS)
    taken(world, 2, begun=9, per_group=limit)
    assert running(world) == (8 if limit is None else 4)


def test_a_job_queued_as_its_group_is_moved_to_a_later_instant_is_in_time(world: World) -> None:
    def prepare(world: World) -> None:
        put(world, new("a", group_key="g"), new("late", group_key="g", run_at=NOW + 60.0, queued_at=NOW))
        taken(world)

    def queue(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            insert(turn, new("b", group_key="g"))

    def check(world: World, _: object) -> None:
        taken(world, begun=9)
        assert world.job("b").state == "running"

    every_order(world, prepare, [queue, claims(per_group=5)], check)


def test_two_that_claim_never_claim_more_than_the_rate(world: World) -> None:
    rate = Rate(2, 60.0, 2)

    def prepare(world: World) -> None:
        put(world, *(new(f"j{number}") for number in range(5)))

    def check(world: World, _: object) -> None:
        assert running(world) == 2

    every_order(world, prepare, [claims(rate=rate), claims(rate=rate)], check)


def test_a_rate_that_is_forgotten_as_it_is_taken_is_kept(world: World) -> None:
    rate = Rate(1, 60.0, 1)
    later = NOW + 61.0

    def prepare(world: World) -> None:
        put(world, *(new(f"j{number}") for number in range(5)))
        taken(world, rate=rate)

    def claim(actor: Actor, _: object) -> None:
        with actor.turn(later) as turn:
            claim_in(turn, boot=actor.boot, begun=3, rate=rate)

    def prune(actor: Actor, _: object) -> None:
        with actor.turn(later) as turn:
            turn.prune(done_before=NOW, dead_before=NOW, slots_before=None, batch=9)

    def check(world: World, _: object) -> None:
        assert running(world) == 2
        with world.actors[0].turn(later) as turn:
            assert not claim_in(turn, boot=world.actors[0].boot, begun=3, rate=rate)

    every_order(world, prepare, [claim, prune], check)


@pytest.mark.parametrize("has_groups", [False, True])
def test_two_that_claim_never_start_two_jobs_of_a_schedule_that_queues_one(world: World, has_groups: bool) -> None:
    def prepare(world: World) -> None:
        once = {"schedule": "s", "one_at_a_time": 1}
        groups = ["a", "b", "c"] if has_groups else [None] * 3
        put(world, *(new(f"j{n}", **once, slot=NOW + n, group_key=group) for n, group in enumerate(groups)))

    def check(world: World, _: object) -> None:
        assert running(world) == 1

    every_order(world, prepare, [claims(begun=1), claims(begun=1)], check)


def test_a_retry_of_a_schedule_that_queues_one_and_a_claim_start_one(world: World) -> None:
    def prepare(world: World) -> JobRecord:
        put(world, *(new(f"j{number}", schedule="s", slot=NOW + number, one_at_a_time=1) for number in range(2)))
        return taken(world)[0]

    def fail(actor: Actor, job: JobRecord) -> None:
        with actor.turn() as turn:
            turn.jobs.settle(job, FAILED, RETRY)
            claim_in(turn, boot=actor.boot, begun=1)

    def check(world: World, _: object) -> None:
        assert running(world) <= 1

    every_order(world, prepare, [fail, claims(begun=1)], check)


def test_a_job_queued_as_the_last_of_its_group_leaves_stands_in_the_line(world: World) -> None:
    def prepare(world: World) -> None:
        put(world, new("a", group_key="g"))

    def queue(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            insert(turn, new("b", group_key="g"))

    def claim_twice(actor: Actor, _: object) -> None:
        for _ in range(2):
            with actor.turn() as turn:
                claim_in(turn, boot=actor.boot, begun=1, per_group=5)

    def check(world: World, _: object) -> None:
        taken(world, begun=9)
        assert running(world) == 2

    every_order(world, prepare, [queue, claim_twice], check)
    every_order(world, prepare, [queue, claim_twice, claim_twice], check)


def test_a_job_queued_as_another_of_its_group_is_cancelled_stands_in_the_line(world: World) -> None:
    def prepare(world: World) -> None:
        put(world, new("a", group_key="g"))

    def queue(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            insert(turn, new("b", group_key="g"))

    def cancel(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            turn.jobs.cancel(turn.jobs.find(["a"])["a"], "so")

    def check(world: World, _: object) -> None:
        assert [job.id for job in taken(world, begun=9)] == ["b"]

    every_order(world, prepare, [queue, cancel], check)


def test_a_job_queued_with_the_first_group_of_its_name_stands_in_the_line(world: World) -> None:
    def prepare(world: World) -> None:
        put(world, new("a"))

    def queue(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            insert(turn, new("b", group_key="g"))

    def check(world: World, _: object) -> None:
        taken(world, begun=9)
        assert running(world) == 2

    every_order(world, prepare, [queue, claims(per_group=1)], check)


def call(name: str, data: str, **changes: Any) -> NewJob:
    fields = {"debounce_key": "k", "debounce_until": NOW + 60.0, "run_at": NOW + 10.0, "due_in": 10.0}
    return new(name, data=data, **{**fields, **changes})


def calls(name: str) -> Callable[[Actor, Any], JobRecord]:
    def program(actor: Actor, _: object) -> JobRecord:
        with actor.turn() as turn:
            return insert(turn, call(name, f'"{name}"'))[0]

    return program


def test_of_two_calls_with_a_debounce_key_one_job_is_made(world: World) -> None:
    def check(world: World, _: object) -> None:
        ((job_id, data, move_no),) = world.rows("select id, data, rev from lamplighter_jobs")
        assert move_no == 2
        assert {actor.result.id for actor in world.actors[:2]} == {job_id}
        # The second call counts.
        assert data.strip('"') != job_id

    every_order(world, lambda world: None, [calls("x"), calls("y")], check)


@pytest.mark.parametrize("act", ["claim", "cancel", "requeue", "call", "wake"])
def test_a_call_with_a_debounce_key_loses_nothing_beside_another_move(world: World, act: str) -> None:
    def prepare(world: World) -> None:
        put(world, call("first", '"first"'))

    def move(actor: Actor, _: object) -> None:
        with actor.turn(NOW + 20.0) as turn:
            if act == "claim":
                claim_in(turn, boot=actor.boot)
                return
            job = turn.jobs.find(["first"])["first"]
            match act:
                case "cancel":
                    turn.jobs.cancel(job, "so")
                case "requeue":
                    turn.jobs.requeue(job, NOW)
                case "wake":
                    turn.jobs.wake(job, "signal")
                case "call":
                    insert(turn, call("z", '"z"'))

    def check(world: World, _: object) -> None:
        found = world.rows("select data from lamplighter_jobs")
        assert ('"y"',) in found or act == "call", found
        unfinished = world.rows("select count(*) from lamplighter_jobs where debounce_until is not null")
        assert unfinished[0][0] <= 1

    every_order(world, prepare, [calls("y"), move], check)


@pytest.mark.parametrize("key", ["id", "unique_key", "debounce_key"])
def test_many_stored_jobs_are_found_in_as_few_statements_as_few(world: World, key: str) -> None:
    def job(number: int, round_: int) -> NewJob:
        match key:
            case "id":
                return new(f"j{number}")
            case "unique_key":
                return new(f"j{number}-{round_}", unique_key=f"k{number}")
        return call(f"j{number}-{round_}", f"{round_}", debounce_key=f"k{number}")

    def statements(jobs: int, round_: int) -> int:
        def program(actor: Actor) -> None:
            with actor.turn() as turn:
                found = insert(turn, *(job(number % 200, round_) for number in range(jobs)))
            assert [one.id.partition("-")[0] for one in found] == [f"j{number % 200}" for number in range(jobs)]

        return world.run([program], [])[0]

    put(world, *(job(number, 0) for number in range(200)))

    assert statements(400, 1) == statements(10, 2)


def test_of_two_jobs_with_one_unique_key_one_is_stored(world: World) -> None:
    def queue(*names: str) -> Callable[[Actor, Any], list[JobRecord]]:
        def program(actor: Actor, _: object) -> list[JobRecord]:
            with actor.turn() as turn:
                return insert(turn, *(new(f"{name}-{actor.boot}", unique_key=name) for name in names))

        return program

    def check(world: World, _: object) -> None:
        found = dict(world.rows("select unique_key, id from lamplighter_jobs"))
        assert len(found) == len(world.rows("select id from lamplighter_jobs")) == 3
        for actor in world.actors[:2]:
            assert {job.id for job in actor.result} == set(found.values())

    every_order(world, lambda world: None, [queue("a", "b", "c"), queue("c", "b", "a")], check)


@pytest.mark.parametrize("act", ["end", "retry", "cancel"])
def test_a_job_whose_unique_key_is_given_back_meanwhile_is_stored_or_finds_it_held(world: World, act: str) -> None:
    def prepare(world: World) -> JobRecord:
        put(world, new("a", unique_key="k"))
        return taken(world)[0]

    def end(actor: Actor, job: JobRecord) -> None:
        with actor.turn() as turn:
            match act:
                case "end":
                    turn.jobs.settle(job, SUCCEEDED, DONE)
                case "retry":
                    turn.jobs.settle(job, FAILED, RETRY)
                case "cancel":
                    turn.jobs.settle(turn.jobs.find(["a"])["a"], CANCELLED, CANCEL)

    def queue(actor: Actor, _: object) -> JobRecord:
        with actor.turn() as turn:
            return insert(turn, new("b", unique_key="k"))[0]

    def check(world: World, _: object) -> None:
        kept = world.actors[1].result
        found = [job_id for (job_id,) in world.rows("select id from lamplighter_jobs order by no")]
        assert kept.id in found
        # Whoever found the holder found it unfinished.
        assert kept.id == "b" or kept.state in ("queued", "running")
        assert len(world.rows("select id from lamplighter_jobs where state in ('queued', 'running')")) <= 1

    every_order(world, prepare, [end, queue], check)


def test_a_requeue_beside_a_new_job_with_its_unique_key_leaves_one_unfinished(world: World) -> None:
    def prepare(world: World) -> None:
        put(world, new("a", unique_key="k"))
        (job,) = taken(world)
        with world.actors[0].turn() as turn:
            turn.jobs.settle(job, SUCCEEDED, DONE)

    def requeue(actor: Actor, _: object) -> bool:
        with actor.turn() as turn, suppress(KeyTaken):
            turn.jobs.requeue(turn.jobs.find(["a"])["a"], NOW)
            return True
        return False

    def queue(actor: Actor, _: object) -> JobRecord:
        with actor.turn() as turn:
            return insert(turn, new("b", unique_key="k"))[0]

    def check(world: World, _: object) -> None:
        was_requeued, kept = (actor.result for actor in world.actors[:2])
        unfinished = world.rows("select id from lamplighter_jobs where state in ('queued', 'running')")
        assert unfinished == [(kept.id,)] == [("a" if was_requeued else "b",)]

    every_order(world, prepare, [requeue, queue], check)


@pytest.mark.parametrize("by", ["suspect", "retry"])
def test_a_suspect_of_a_schedule_that_queues_one_does_not_start_beside_another(world: World, by: str) -> None:
    suspect = Verdict(
        state=JobState.QUEUED,
        event="job.failed",
        reason="died",
        attempt=0,
        run_at=NOW,
        interruptions=1,
        suspect_until=NOW + 60.0,
    )

    def prepare(world: World) -> None:
        put(world, *(new(f"j{number}", schedule="s", slot=NOW + number, one_at_a_time=1) for number in range(2)))
        (job,) = taken(world)
        with world.actors[0].turn() as turn:
            turn.jobs.settle(job, Outcome(kind=OutcomeKind.INTERRUPTED, reason="died", blamed=True), suspect)

    def check(world: World, _: object) -> None:
        assert running(world) == 1

    # One finds the suspect first, the other has no place for it.
    every_order(world, prepare, [claims(), claims(suspect=by == "suspect")], check)


def test_a_pause_and_a_limit_that_are_set_at_once_both_hold(world: World) -> None:
    def pause(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            turn.jobs.pause("work", paused=True, by="me")

    def limit(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            turn.jobs.limit("work", 7)

    def forget(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            turn.prune(done_before=NOW, dead_before=NOW, slots_before=None, batch=9)

    def check(world: World, _: object) -> None:
        assert world.rows('select name, "by", "limit" from lamplighter_pauses') == [("work", "me", 7)]

    every_order(world, lambda world: None, [pause, limit], check)
    every_order(world, lambda world: None, [pause, limit, forget], check)


def test_the_last_turn_of_a_boot_that_is_taken_for_dead_is_logged_or_does_not_hold(world: World) -> None:
    def prepare(world: World) -> JobRecord:
        put(world, new("j"), new("k"))
        return taken(world, 0)[0]

    def last(actor: Actor, job: JobRecord) -> bool:
        with suppress(BootLost):
            with actor.turn() as turn:
                turn.jobs.settle(job, SUCCEEDED, DONE)
                claim_in(turn, boot=actor.boot)
            return True
        return False

    def burial(actor: Actor, _: object) -> Any:
        with actor.turn() as turn:
            (dead,) = (boot for boot in turn.boots.all() if boot.boot == "boot-0")
            assert turn.boots.forget([dead.boot]) == {dead.boot}
            for job in turn.jobs.orphans():
                turn.jobs.release(job, "its boot died")
            return dead

    def check(world: World, _: object) -> None:
        was_stored, dead = (actor.result for actor in world.actors[:2])
        told = [turn.turn for turn in world.told if turn.boot == "boot-0"]
        assert dead.turn == max(told)
        assert dead.unlogged[-1].turn == max(told)
        assert (world.job("j").state == "done") == was_stored
        assert running(world) == 0

    every_order(world, prepare, [last, burial], check)


def test_of_two_that_bury_a_boot_one_does(world: World) -> None:
    def prepare(world: World) -> None:
        put(world, new("j"))
        with world.actors[0].turn() as turn:
            turn.boots.register(a_boot("dead"))
            assert claim_in(turn, boot="dead")

    def burial(actor: Actor, _: object) -> tuple[int, int]:
        with actor.turn() as turn:
            dead = [boot.boot for boot in turn.boots.all() if boot.boot == "dead"]
            removed = turn.boots.forget(dead)
            orphans = turn.jobs.orphans()
            for job in orphans:
                turn.jobs.release(job, "its boot died")
            return len(removed), len(orphans)

    def check(world: World, _: object) -> None:
        assert sorted(actor.result for actor in world.actors[:2]) == [(0, 0), (1, 1)]
        assert world.job("j").state == "queued"

    every_order(world, prepare, [burial, burial], check)


@pytest.mark.parametrize("act", ["cancel", "finish", "requeue"])
@pytest.mark.parametrize("others", [False, True])
def test_a_step_is_kept_while_its_claim_holds_and_goes_with_the_end(world: World, act: str, others: bool) -> None:
    def prepare(world: World) -> JobRecord:
        put(world, new("j"), *([new("other")] if others else []))
        jobs = taken(world, 0, begun=2)
        if others:
            with world.actors[0].turn() as turn:
                turn.steps.keep(jobs[1], "earlier", "1")
        return jobs[0]

    def step(actor: Actor, job: JobRecord) -> bool:
        with actor.turn() as turn:
            return turn.steps.keep(job, "one", "1") is not None

    def end(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            job = turn.jobs.find(["j"])["j"]
            match act:
                case "cancel":
                    turn.jobs.settle(job, CANCELLED, CANCEL)
                case "finish":
                    turn.jobs.settle(job, SUCCEEDED, DONE)
                case "requeue":
                    turn.jobs.requeue(job, NOW)
                    turn.steps.remove(job)

    def check(world: World, job: JobRecord) -> None:
        kept = world.rows("select name from lamplighter_steps where job = ?", job.row_id)
        assert len(kept) == (act == "cancel" and world.actors[0].result)

    every_order(world, prepare, [step, end], check)


def await_go(turn: PostgresTurn, job: JobRecord) -> JobRecord | None:
    """Have a job wait for the signal `go`, if that has not come yet."""
    has_come = turn.steps.sent(job, "go") is not None
    reason = "signal go has come" if has_come else f"{AWAITS}go"
    at = NOW if has_come else NOW + 99.0
    snoozed = Outcome(kind=OutcomeKind.SNOOZED, reason=reason)
    verdict = Verdict(state=JobState.QUEUED, event="job.snoozed", reason=reason, attempt=0, run_at=at)
    return turn.jobs.settle(job, snoozed, verdict)


def test_a_signal_that_comes_as_its_job_goes_to_wait_for_it_wakes_the_job(world: World) -> None:
    def prepare(world: World) -> JobRecord:
        put(world, new("j"))
        return taken(world, 0)[0]

    def wait(actor: Actor, job: JobRecord) -> None:
        with actor.turn() as turn:
            assert await_go(turn, job) is not None

    def send(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            job = turn.jobs.find(["j"])["j"]
            turn.steps.send(job, "go", "1")
            if awaited_signal(job) == "go":
                turn.jobs.wake(job, "go")

    def check(world: World, _: object) -> None:
        job = world.job("j")
        assert (job.state, job.run_at) == ("queued", NOW)

    every_order(world, prepare, [wait, send], check)


def test_of_two_that_account_for_a_slot_one_fires_it(world: World) -> None:
    def prepare(world: World) -> None:
        with world.actors[0].turn() as turn:
            turn.schedules.declare([a_schedule()])

    def tick(actor: Actor, _: object) -> bool:
        with actor.turn() as turn:
            entry = SlotEntry(
                schedule_id="s",
                slot=NOW,
                last=NOW,
                count=1,
                outcome="fired",
                reason=None,
                job_id=f"of-{actor.boot}",
            )
            if not turn.schedules.fire(entry):
                return False
            insert(turn, new(f"of-{actor.boot}", schedule="s", slot=NOW))
            turn.schedules.account("s", NOW, NOW)
            return True

    def check(world: World, _: object) -> None:
        assert sorted(actor.result for actor in world.actors[:2]) == [False, True]
        assert len(world.rows("select 1 from lamplighter_jobs")) == 1

    every_order(world, prepare, [tick, tick], check)


@pytest.mark.parametrize("other", ["declare", "retire", "forget", "account"])
def test_changes_of_schedules_have_numbers_that_rise_with_the_commits(world: World, other: str) -> None:
    def prepare(world: World) -> None:
        with world.actors[0].turn() as turn:
            turn.schedules.declare([a_schedule()])

    def declare(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            turn.schedules.declare([a_schedule(data='"2"'), a_schedule(id="t")])

    def act(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            match other:
                case "declare":
                    turn.schedules.declare([a_schedule(id="t"), a_schedule(data='"3"')])
                case "retire":
                    turn.schedules.retire("s")
                case "forget":
                    turn.schedules.forget("s")
                case "account":
                    turn.schedules.account("s", NOW + 60.0, NOW)

    def check(world: World, _: object) -> None:
        numbers = [number for (number,) in world.rows("select change_no from lamplighter_schedules")]
        assert len(set(numbers)) == len(numbers)
        assert world.rows("select change_no from lamplighter_store") >= [(max(numbers),)]
        assert world.rows("select 1 from lamplighter_schedules where id = 't'")

    every_order(world, prepare, [declare, act], check)


def test_tallies_of_two_are_added_whatever_their_order(world: World) -> None:
    def add(*names: str) -> Callable[[Actor, Any], None]:
        def program(actor: Actor, _: object) -> None:
            with actor.turn() as turn:
                turn.tallies.add([Tally(60, int(NOW) // 60 * 60, name, "done", 1, 1.0, (1, 2)) for name in names])

        return program

    def check(world: World, _: object) -> None:
        rows = world.rows("select name, n, seconds, buckets from lamplighter_tallies order by name")
        assert [row[:3] for row in rows] == [("a", 2, 2.0), ("b", 2, 2.0)]

    every_order(world, lambda world: None, [add("a", "b"), add("b", "a")], check)


def test_tallies_that_are_added_as_old_ones_are_removed_are_exact(world: World) -> None:
    young, old = int(NOW) // 60 * 60, 60

    def add(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            turn.tallies.add([Tally(60, start, "a", "done", 1, 1.0, (1, 2)) for start in (old, young)])

    def prepare(world: World) -> None:
        add(world.actors[0], None)

    def prune(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            turn.prune(done_before=NOW - 9, dead_before=NOW - 9, slots_before=None, batch=9)

    def check(world: World, _: object) -> None:
        rows = dict(world.rows("select start, n from lamplighter_tallies"))
        assert rows.pop(young) == 3
        assert rows.get(old, 0) <= 3

    every_order(world, prepare, [add, prune, add], check)


class Machine:
    """A clock of a machine that was started some time ago."""

    def __init__(self, since: float) -> None:
        self._since = since
        self.after = self.start = self.stop = None

    def monotonic(self) -> float:
        return self._since


def test_a_step_of_the_servers_clock_is_corrected_once_by_two_machines(world: World) -> None:
    far = NOW + 3600.0
    told: dict[str, StoreClock] = {}

    def prepare(world: World) -> None:
        wall[0] = far
        with world.actors[0].turn(far) as turn:
            insert(turn, new("j", run_at=far + 60.0, queued_at=far, due_in=60.0), new("due", queued_at=far))
            turn.schedules.declare([a_schedule(accounted_to=far)])
        for place, since in enumerate((5.0, 70_000.0)):
            clock = told[f"boot-{place}"] = StoreClock(cast(Any, Machine(since)), lambda: wall[0])
            with world.actors[place].turn(far) as turn:
                turn.keep_time(clock.reading(), may_have_gone_back=False)
        wall[0] = NOW

    def step(actor: Actor, _: object) -> tuple[int, int]:
        with actor.turn() as turn:
            stepped = turn.keep_time(told[actor.boot].reading(), may_have_gone_back=True)
            return (stepped.jobs, stepped.schedules) if stepped is not None else (0, 0)

    def check(world: World, _: object) -> None:
        assert world.job("j").run_at == NOW + 60.0
        assert world.rows("select accounted_to from lamplighter_schedules") == [(NOW,)]
        found = [actor.result for actor in world.actors[:2]]
        assert [sum(numbers) for numbers in zip(*found, strict=True)] == [1, 1], "corrected twice, or not at all"

    wall = [far]
    every_order(world, prepare, [step, step], check)


def test_an_expiry_beside_a_claim_cancels_or_starts_the_job(world: World) -> None:
    def prepare(world: World) -> None:
        put(world, new("j", expires_at=NOW + 5.0))

    def expire(actor: Actor, _: object) -> None:
        with actor.turn(NOW + 10.0) as turn:
            turn.jobs.refresh()

    def check(world: World, _: object) -> None:
        assert world.job("j").state == ("running" if world.actors[1].result else "cancelled")

    every_order(world, prepare, [expire, claims()], check)


def test_what_commits_after_a_turn_that_began_later_is_noticed(world: World) -> None:
    first, second, _ = world.actors
    world.reset()
    second.store.changed()
    with first.turn() as turn:
        insert(turn, new("a"))
        with second.turn() as other:
            insert(other, new("b"))
        second.store.changed()
        assert not second.store.changed()
    assert second.store.changed()


def count(actor: Actor, _: object) -> None:
    """A turn as a broker takes it at any look."""
    with actor.turn() as turn:
        if turn.has_host_moves:
            turn.jobs.refresh()
        free(turn)


def test_a_child_that_an_application_stores_while_its_parent_ends_is_freed(world: World) -> None:
    def prepare(world: World) -> JobRecord:
        put(world, new("p"))
        return taken(world)[0]

    def birth(actor: Actor, _: object) -> None:
        with actor.host_turn() as turn:
            turn.insert(new("child", parents=after("p")))

    def end(actor: Actor, parent: JobRecord) -> None:
        with actor.turn() as turn:
            assert ends(turn, parent) is not None

    def check(world: World, _: object) -> None:
        child = world.job("child")
        assert (child.state, child.waits) == ("queued", 0)

    every_order(world, prepare, [end, birth], check)
    every_order(world, prepare, [end, birth, count], check)


def test_what_an_application_has_ended_is_told_once_with_what_follows_it(world: World) -> None:
    def prepare(world: World) -> None:
        put(world, new("j"))
        with world.actors[0].host_turn() as turn:
            job = turn.find("j")
            assert job is not None
            turn.finish(job, None)
            turn.follow(job, [turn.insert(new(name))[0] for name in ("next", "other")])

    def find(name: str) -> Callable[[Actor, Any], None]:
        def program(actor: Actor, _: object) -> None:
            with actor.turn() as turn:
                assert turn.jobs.find([name])

        return program

    def check(world: World, _: object) -> None:
        with world.actors[0].turn() as turn:
            turn.jobs.find(["j", "next", "other"])
        told = [[(move["k"], move["j"]) for move in turn.moves] for turn in world.told]
        assert [("done", "j"), ("queued", "next"), ("queued", "other")] in told

    every_order(world, prepare, [find("j"), find("next")], check)
    every_order(world, prepare, [find("other"), find("next")], check)
    every_order(world, prepare, [count, count], check)
    every_order(world, prepare, [count, find("next")], check)


def test_a_job_that_an_application_ends_beside_its_runtime_ends_once(world: World) -> None:
    def prepare(world: World) -> JobRecord:
        put(world, new("j"))
        return taken(world, 0)[0]

    def end(actor: Actor, job: JobRecord) -> bool:
        with actor.turn() as turn:
            return turn.jobs.settle(job, FAILED, RETRY) is not None

    def finish(actor: Actor, job: JobRecord) -> bool:
        with actor.host_turn() as turn:
            now = turn.find("j")
            assert now is not None
            if now.state != "running":
                return False
            turn.settle(now, SUCCEEDED, DONE)
            return True

    def check(world: World, _: object) -> None:
        by_runtime, by_host = (actor.result for actor in world.actors[:2])
        assert by_runtime != by_host
        assert world.job("j").state == ("done" if by_host else "queued")

    every_order(world, prepare, [end, finish], check)


def test_a_signal_of_an_application_to_a_job_that_goes_to_wait_for_it_wakes_the_job(world: World) -> None:
    who = Attribution("me", None, None)

    def prepare(world: World) -> JobRecord:
        put(world, new("j"))
        return taken(world, 0)[0]

    def wait(actor: Actor, job: JobRecord) -> None:
        with actor.turn() as turn:
            await_go(turn, job)

    def send(actor: Actor, _: object) -> None:
        with actor.host_turn() as turn:
            job = turn.find("j")
            assert job is not None
            turn.send(job, "go", "1", who)

    def check(world: World, _: object) -> None:
        job = world.job("j")
        assert (job.state, job.run_at) == ("queued", NOW)

    every_order(world, prepare, [wait, send], check)
