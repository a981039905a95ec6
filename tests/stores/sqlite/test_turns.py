"""Groups take turns: whose job starts next, and that none is passed over, started too soon or forgotten."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from contextlib import closing

import pytest
from lamplighter import Rate
from lamplighter.messages.clock_steps import Reading
from lamplighter.messages.jobs import JobRecord, JobState
from lamplighter.messages.names import NameLimits
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.tables import turns

from support.conformance.kit import DONE, FAILED, NOW, RETRY, SUCCEEDED, claim_in, new, put, take, want

SLACK = turns.SLACK_SECONDS


def grouped(group: str, number: int = 0, **changes: object):
    return new(f"{group}{number}", group_key=group, **changes)


def ids(jobs: list[JobRecord]) -> list[str]:
    return [job.id for job in jobs]


def lines(store: SqliteStore) -> list[tuple[int, str]]:
    """The groups that stand in a line, with their priorities."""
    with store.turn("b", NOW) as turn:
        rows = turn.connection.execute("select priority, group_key from lamplighter_turns order by next").fetchall()
    return [tuple(row) for row in rows]


def end(store: SqliteStore, *jobs: JobRecord, at: float = NOW) -> None:
    with store.turn("b", at) as turn:
        for job in jobs:
            turn.jobs.settle(job, SUCCEEDED, DONE)


def test_groups_take_turns_however_many_jobs_each_has(store):
    put(store, *(grouped("a", number) for number in range(50)))
    put(store, grouped("b"), grouped("c"), grouped("b", 1))

    assert ids(take(store, begun=6)) == ["a0", "b0", "c0", "a1", "b1", "a2"]


def test_a_group_that_was_served_stands_behind_all_that_wait(store):
    put(store, *(grouped(group, number) for group in "abc" for number in range(9)))

    order = [take(store, NOW + tick * 0.1)[0].group_key for tick in range(9)]

    assert order == list("abcabcabc")


def test_at_a_clock_that_stands_still_too(store):
    put(store, *(grouped(group, number) for group in "abc" for number in range(9)))

    order = [take(store)[0].group_key for _ in range(27)]

    assert order == list("abc" * 9)


def test_whoever_queues_one_job_a_turn_is_not_always_first(store):
    put(store, *(grouped(group, number) for group in "ab" for number in range(9)))

    order = []
    for number in range(12):
        with store.turn("b", NOW) as turn:
            turn.jobs.insert([grouped("a", 100 + number)])
            order += [claim.job.group_key for claim in claim_in(turn)]

    assert order == list("ab" * 6)


def test_what_has_no_group_is_one_more_group(store):
    put(store, *(new(f"plain{number}") for number in range(9)), *(grouped("a", number) for number in range(9)))

    order = [take(store, NOW + tick * 0.1)[0].group_key for tick in range(6)]

    assert Counter(order) == {None: 3, "a": 3}
    assert order[0] != order[1] != order[2]


def test_a_group_leaves_the_line_of_a_priority_with_its_last_job_there(store):
    first, second = put(store, grouped("a"), grouped("a", 1))
    assert lines(store) == [(0, "a")]

    for job, expected in ((first, {(0, "a"), (7, "a")}), (second, {(7, "a")})):
        with store.turn("b", NOW) as turn:
            turn.queued.reprioritize(job, 7)
        assert set(lines(store)) == expected


def test_priority_goes_before_turns(store):
    put(store, *(grouped("a", number, priority=1) for number in range(3)), grouped("b"), new("c", priority=2))

    assert ids(take(store, begun=9)) == ["c", "a0", "a1", "a2", "b0"]


def test_within_a_group_the_order_is_as_ever(store):
    put(store, grouped("a", 3), grouped("a", 1, run_at=NOW - 9), grouped("a", 2, run_at=NOW - 5))

    assert ids(take(store, begun=3)) == ["a1", "a2", "a3"]


def test_no_more_of_a_group_run_than_may_whoever_has_claimed_them(store):
    put(store, *(grouped("a", number) for number in range(9)), grouped("b"))
    first = take(store, boot="other", begun=1, per_group=3)

    with store.turn("b", NOW) as turn:
        claims = claim_in(turn, begun=9, prefetched=9, per_group=3)
        said = [moved.fields for moved in turn.transitions]

    assert ids(first) == ["a0"]
    assert [claim.job.id for claim in claims] == ["b0", "a1", "a2"]
    assert [(fields["of_group"], fields["limit"]) for fields in said] == [(1, 3), (2, 3), (3, 3)]
    assert take(store, begun=9, per_group=3) == []


def test_a_full_group_is_in_nobodys_way(store):
    put(store, *(grouped("a", number) for number in range(300)), *(grouped("b", number) for number in range(3)))
    take(store, begun=2, per_group=1)

    (ended,) = [job for job in running(store) if job.group_key == "b"]
    end(store, ended)

    assert ids(take(store, begun=5, per_group=1)) == ["b1"]


def test_a_group_without_a_job_left_is_in_nobodys_way(store):
    put(store, *(grouped(group) for group in "abc"))
    take(store, begun=3)
    assert len(lines(store)) == 3

    put(store, grouped("d", run_at=NOW + 0.5, queued_at=NOW))

    assert ids(take(store, NOW + 1)) == ["d0"]
    assert lines(store) == [(0, "d")]


def test_more_full_groups_than_are_read_at_once_are_in_nobodys_way(store):
    many = 3 * turns.LINE_READ
    put(store, *(grouped(f"g{number:03}", place) for number in range(many) for place in range(2)))
    assert len(take(store, begun=many, per_group=1)) == many
    put(store, grouped("late"))

    assert ids(take(store, NOW + 1, begun=9, per_group=1)) == ["late0"]


def running(store: SqliteStore) -> list[JobRecord]:
    with store.turn("b", NOW) as turn:
        return turn.jobs.open_claims("b")


def test_a_group_at_its_rate_is_in_nobodys_way_and_its_turn_comes_at_the_instant(store):
    put(store, *(grouped("a", number) for number in range(3)), grouped("b"), new("plain"), new("plain2"))
    rate = Rate(1, per=10.0)

    with store.turn("b", NOW) as turn:
        claimed = turn.jobs.claim([want(9, limits=NameLimits(rate_per_group=rate))], suspect=True)

    assert sorted(claim.job.id for claim in claimed.claims["work"]) == ["a0", "b0", "plain", "plain2"]
    assert claimed.next_due["work"] == pytest.approx(NOW + 10, abs=0.02)
    assert store.jobs.outlook(["work"], NOW).next_due == pytest.approx(NOW + 10, abs=0.02)
    assert take(store, NOW + 9.9, begun=9, rate_per_group=rate) == []
    assert ids(take(store, NOW + 10.1, begun=9, rate_per_group=rate)) == ["a1"]


def test_a_group_stands_in_the_line_only_while_it_has_queued_jobs(store):
    put(store, grouped("a"), grouped("b"), new("plain"), new("plain2"))

    taken = take(store, begun=9)
    take(store, begun=9)

    assert (len(taken), lines(store)) == (4, [])


def act_on(store: SqliteStore, job_id: str, how: str) -> None:
    """End a queued job without a claim."""
    at = NOW + 100 if how == "expires" else NOW
    with closing(sqlite3.connect(store.address)) as host:
        if how == "an application's transaction":
            host.execute("begin")
            assert store.host is not None
            store.host.join(host, NOW, lambda turn: turn.finish(turn.find(job_id), None))
            host.commit()
    with store.turn("b", at) as turn:
        turn.jobs.refresh()
        (job,) = turn.jobs.get((job_id,)).values()
        assert turn.queued is not None
        if how == "is cancelled":
            turn.queued.cancel(job, "no")
        elif how == "is marked done":
            turn.queued.finish(job, None)


@pytest.mark.parametrize("how", ["is cancelled", "is marked done", "expires", "an application's transaction"])
def test_a_group_whose_last_job_ends_unclaimed_leaves_the_line(tmp_path, how):
    """Whoever claims a job finds that a group has none left. Of a name that no runtime handles nobody claims any."""
    with closing(SqliteStore(str(tmp_path / "jobs.db"))) as store:
        store.open()
        put(store, grouped("a", expires_at=NOW + 50), grouped("b", 1, priority=3), grouped("b", 2, expires_at=NOW + 50))
        put(store, grouped("a", 7, expires_at=NOW + 50))

        act_on(store, "a0", how)
        if how != "expires":
            assert sorted(lines(store)) == [(0, "a"), (0, "b"), (3, "b")]
            act_on(store, "a7", how)
            assert sorted(lines(store)) == [(0, "b"), (3, "b")]
            act_on(store, "b2", how)

        assert lines(store) == [(3, "b")]


def test_what_has_no_group_leaves_the_line_with_the_last_that_has_one(store):
    put(store, grouped("a"), grouped("a", 1), new("plain"), new("plain2"))
    take(store, begun=2)
    assert sorted(lines(store)) == [(0, ""), (0, "a")]

    with store.turn("b", NOW) as turn:
        (job,) = turn.jobs.get(("a1",)).values()
        turn.queued.cancel(job, "no")

    assert lines(store) == []


def test_a_group_that_is_queued_and_cancelled_in_one_turn_has_no_place(store):
    with store.turn("b", NOW) as turn:
        ((job, _),) = turn.jobs.insert([grouped("a")])
        turn.queued.cancel(job, "no")

    assert lines(store) == []


def test_a_group_of_which_one_is_delayed_has_its_turn_then(store):
    put(store, grouped("a"), grouped("a", 1, run_at=NOW + 5, queued_at=NOW), grouped("b"))
    take(store, begun=9)

    with store.turn("b", NOW) as turn:
        claimed = turn.jobs.claim([want(9)], suspect=True)

    assert claimed.next_due["work"] == pytest.approx(NOW + 5, abs=2 * SLACK)
    assert store.jobs.outlook(["work"], NOW).next_due == pytest.approx(NOW + 5, abs=2 * SLACK)
    assert ids(take(store, NOW + 5)) == ["a1"]


def test_a_retry_puts_its_group_in_line_again(store):
    put(store, grouped("a"))
    (job,) = take(store, begun=9)
    assert lines(store) == []

    with store.turn("b", NOW) as turn:
        turn.jobs.settle(job, FAILED, RETRY._replace(run_at=NOW + 2))

    assert ids(take(store, NOW + 1)) == []
    assert ids(take(store, NOW + 2)) == ["a0"]


def test_a_clock_that_was_set_back_does_not_make_a_line_stand_still(store):
    put(store, *(grouped(group, number, run_at=NOW - 1e6) for group in "ab" for number in range(3)))
    take(store, begun=2)

    with store.turn("b", NOW - 3600) as turn:
        turn.keep_time(Reading(NOW - 3600, None, 0.0), may_have_gone_back=True)

    assert len(take(store, NOW - 3600, begun=9)) == 4


def test_a_group_may_be_called_like_anything(store):
    names = ["'; drop table lamplighter_turns; --", "x" * 200, "\N{SNOWMAN}", "a\nb", " "]
    put(store, *(grouped(name) for name in names))

    assert {job.group_key for job in take(store, begun=9, per_group=1)} == set(names)


def test_counts_finding_and_names_know_of_jobs_with_a_group(store):
    put(
        store,
        grouped("a"),
        grouped("a", 1, run_at=NOW + 60, queued_at=NOW),
        new("plain"),
        new("c", name="else", group_key="g"),
    )
    take(store)

    census = store.table.census(["work", "else"], 100, NOW)
    assert (census["work"].ready, census["work"].scheduled, census["work"].running) == (1, 1, 1)
    assert census["else"].oldest_ready == NOW
    assert store.table.capped_counts("work", 100).of["queued"] == 2
    assert store.table.names() == ["else", "work"]


def is_startable(job: JobRecord, now: float) -> bool:
    return job.state == JobState.QUEUED and job.run_at <= now and (job.expires_at is None or job.expires_at > now)


@pytest.mark.parametrize("seed", range(25))
def test_limits_hold_nothing_waits_in_vain_and_the_next_due_is_never_late(store, seed):
    chance = random.Random(seed)
    groups = [f"g{number}" for number in range(chance.choice((1, 3, 12)))]
    per_group = chance.choice((None, 1, 2, 3))
    rate = Rate(chance.choice((1, 4)), per=10.0, burst=1) if chance.random() < 0.3 else None
    limits = NameLimits(per_group=per_group, rate_per_group=rate, total=chance.choice((None, None, 4)))
    now, number = NOW, 0
    for _ in range(120):
        now += chance.choice((0.0, 0.0, 0.0005, 0.01, 0.4, 3.0))
        everything = everything_in(store)
        claimed = [job for job in everything if job.state == JobState.RUNNING]
        match chance.randrange(7):
            case 0 | 1:
                put_at(
                    store,
                    now,
                    *[
                        new(
                            f"j{number + place}",
                            group_key=None if chance.random() < 0.2 else chance.choice(groups),
                            priority=chance.choice((0, 0, 0, 1, -3)),
                            queued_at=now,
                            run_at=now + chance.choice((0.0, 0.0, 0.0, 0.3, 5.0)),
                            expires_at=now + 4.0 if chance.random() < 0.1 else None,
                        )
                        for place in range(5)
                    ],
                )
                number += 5
            case 2 if claimed:
                end(store, *chance.sample(claimed, chance.randint(1, len(claimed))), at=now)
            case 3 if claimed:
                with store.turn("b", now) as turn:
                    job = chance.choice(claimed)
                    turn.jobs.settle(job, FAILED, RETRY._replace(run_at=now + chance.choice((0.0, 0.2, 7.0))))
            case 4 if claimed:
                with store.turn("b", now) as turn:
                    turn.jobs.release(chance.choice(claimed), "not started")
            case 5 if everything:
                with store.turn("b", now) as turn:
                    job = chance.choice(everything)
                    if job.state == JobState.QUEUED and chance.random() < 0.5:
                        turn.queued.reprioritize(job, chance.choice((0, 1, -3)))
                    elif job.state == JobState.QUEUED:
                        turn.queued.cancel(job, "no")
                    elif job.state != JobState.RUNNING:
                        turn.jobs.requeue(job, now)
            case _:
                check_claim(store, limits, now, chance.randint(1, 9))
    for _ in range(3_000):
        with store.turn("b", now) as turn:
            turn.jobs.refresh()
        after = check_claim(store, limits, now, 9)
        end(store, *[job for job in after if job.state == JobState.RUNNING], at=now)
        if not any(job.state == JobState.QUEUED for job in after):
            break
        now += 1.0
    assert not [job.id for job in everything_in(store) if job.state in (JobState.QUEUED, JobState.RUNNING)]


def everything_in(store: SqliteStore) -> list[JobRecord]:
    with store.turn("b", NOW) as turn:
        return [JobRecord._make(row) for row in turn.connection.execute("select * from lamplighter_jobs")]


def put_at(store: SqliteStore, now: float, *jobs) -> None:
    with store.turn("b", now) as turn:
        turn.jobs.insert(jobs)


def check_claim(store: SqliteStore, limits: NameLimits, now: float, most: int) -> list[JobRecord]:
    """What a claim leaves to wait has to; gives all jobs as they are then."""
    with store.turn("b", now) as turn:
        claimed = turn.jobs.claim([want(most, limits=limits)], suspect=True)
    after = everything_in(store)
    of_group = Counter(job.group_key for job in after if job.state == JobState.RUNNING and job.group_key)
    of_all = sum(job.state == JobState.RUNNING for job in after)
    assert limits.per_group is None or max(of_group.values(), default=0) <= limits.per_group
    assert limits.total is None or of_all <= limits.total
    if len(claimed.claims["work"]) == most or (limits.total is not None and of_all >= limits.total):
        return after
    if limits.rate_per_group is None:
        left = [job.id for job in after if is_startable(job, now) and has_room(job, of_group, limits)]
        assert not left, f"left to wait though there is room: {left}"
    else:
        left = [job.id for job in after if is_startable(job, now) and job.group_key is None]
        assert not left, f"left to wait though no rate is theirs: {left}"
    due = claimed.next_due.get("work")
    coming = [job.run_at for job in after if job.state == JobState.QUEUED and job.run_at > now]
    if due is not None and limits.rate_per_group is None:
        assert due <= min(coming, default=float("inf")) + SLACK
    return after


def has_room(job: JobRecord, of_group: Counter[str | None], limits: NameLimits) -> bool:
    return job.group_key is None or limits.per_group is None or of_group[job.group_key] < limits.per_group
