"""Promises about schedules and their slots, about clocks, and about who lives on the store."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from lamplighter.messages.boots import Move
from lamplighter.messages.clock_steps import Reading, Stepped
from lamplighter.messages.schedules import SlotEntry, SlotRange
from lamplighter.stores.ports import Peers, Store
from lamplighter.stores.troubles import BootLost
from lamplighter.stores.turn_ports import Turn

from .kit import DONE, NOW, SUCCEEDED, StoreCase, a_boot, a_schedule, job_of, new, put, take

WEEK = 7 * 86400.0


def entry(slot: float, job_id: str) -> SlotEntry:
    """A slot that fired."""
    return SlotEntry(schedule_id="s", slot=slot, last=slot, count=1, outcome="fired", reason=None, job_id=job_id)


def moves_of(turn: Turn) -> Sequence[Move]:
    """What a turn that was stored has done, as its boot keeps it for the log."""
    assert turn.did is not None
    return turn.did.moves


class SchedulePromises(StoreCase):
    """Promises about schedules. Each docstring quotes the port."""

    def peers_of(self, store: Store) -> Peers:
        """The port, or the end of the test."""
        if store.peers is None:
            pytest.skip("what other runtimes have said is in their boots' rows")
        return store.peers

    def test_declare_says_whether_a_schedule_is_new_or_another(self, store: Store) -> None:
        """ScheduleBook.declare: Insert, or replace when its definition changed, and say which (`added`, `changed`,
        None); of each, in order."""
        with store.turn("b", NOW) as turn:
            news = [turn.schedules.declare([a_schedule(when=when)])[0][1] for when in ("@daily", "@daily", "@hourly")]

        assert news == ["added", None, "changed"]
        assert [schedule.when for schedule in store.schedules.all()] == ["@hourly"]
        assert [(move["k"], move["s"], move["when"]) for move in moves_of(turn)] == [
            ("schedule.added", "s", "@daily"),
            ("schedule.changed", "s", "@hourly"),
        ]

    def test_declare_keeps_a_pause_and_the_last_slot_and_counts_from_a_change(self, store: Store) -> None:
        """ScheduleBook.declare: Insert, or replace when its definition changed, and say which (`added`, `changed`,
        None); of each, in order."""
        with store.turn("b", NOW) as turn:
            turn.schedules.declare([a_schedule()])
            turn.schedules.pause("s", paused=True)
            turn.schedules.account("s", NOW + 60, NOW + 60)
        with store.turn("b", NOW + 100) as turn:
            ((same, nothing),) = turn.schedules.declare([a_schedule()])
            ((changed, news),) = turn.schedules.declare([a_schedule(when="0 * * * *")])

        assert (same.accounted_to, nothing) == (NOW + 60, None)
        assert (changed.accounted_to, changed.paused, changed.last_slot, news) == (NOW + 100, 1, NOW + 60, "changed")

    def test_a_schedule_keeps_what_its_jobs_are_given(self, store: Store) -> None:
        """ScheduleBook.declare: Insert, or replace when its definition changed, and say which (`added`, `changed`,
        None); of each, in order."""
        options = {"key": "k", "priority": 3, "max_attempts": 2, "timeout": 5.0, "expires": 9.0}
        with store.turn("b", NOW) as turn:
            turn.schedules.declare([a_schedule()])
        with store.turn("b", NOW) as turn:
            ((_, news),) = turn.schedules.declare([a_schedule(**options)])

        (kept,) = store.schedules.all()
        assert news == "changed"
        assert {name: getattr(kept, name) for name in options} == options

    def test_a_schedule_is_forgotten_once(self, store: Store) -> None:
        """ScheduleBook.forget: Remove a schedule, and what `refresh` has not carried out of it. False when there is
        none."""
        with store.turn("b", NOW) as turn:
            turn.schedules.declare([a_schedule(), a_schedule(id="t")])
            gone = [turn.schedules.forget("t"), turn.schedules.forget("t")]
        with store.turn("b", NOW) as turn:
            gone += [turn.schedules.forget("s"), turn.schedules.forget("s")]
            left = turn.schedules.one("s"), turn.schedules.pause("s", paused=True)

        assert (gone, left, list(store.schedules.all())) == ([True, False] * 2, (None, None), [])

    def test_a_retired_schedule_counts_as_new_when_it_is_declared_again(self, store: Store) -> None:
        """ScheduleBook.retire: One boot declares a schedule no longer."""
        with store.turn("b", NOW) as turn:
            turn.schedules.declare([a_schedule()])
        with store.turn("b", NOW + 10) as turn:
            turn.schedules.retire("s")
        with store.turn("b", NOW + 100) as turn:
            ((again, news),) = turn.schedules.declare([a_schedule()])
        with store.turn("b", NOW + 200) as turn:
            ((same, nothing),) = turn.schedules.declare([a_schedule()])

        assert (again.accounted_to, news) == (NOW + 100, "added")
        assert (same, nothing) == (again, None)

    def test_a_schedule_that_another_boot_uses_is_not_retired(self, store: Store) -> None:
        """ScheduleBook.retire: Unless another accounts for slots of it meanwhile, it counts as new when it is declared
        again."""
        with store.turn("b", NOW) as turn:
            turn.schedules.declare([a_schedule()])
        with store.turn("b", NOW + 10) as turn:
            turn.schedules.retire("s")
        with store.turn("c", NOW + 60) as turn:
            turn.schedules.account("s", NOW + 60, None)
        with store.turn("b", NOW + 100) as turn:
            ((same, nothing),) = turn.schedules.declare([a_schedule()])

        assert (same.accounted_to, nothing) == (NOW + 60, None)

    def test_a_schedule_is_paused_and_resumed(self, store: Store) -> None:
        """ScheduleBook.pause: Pause or resume a schedule. None when there is none."""
        with store.turn("b", NOW) as turn:
            turn.schedules.declare([a_schedule()])
            paused = turn.schedules.pause("s", paused=True)
            resumed = turn.schedules.pause("s", paused=False)
            unknown = turn.schedules.pause("t", paused=True)

        assert paused is not None
        assert resumed is not None
        assert (paused.paused, resumed.paused, unknown) == (1, 0, None)

    def test_a_turn_sees_its_own_schedules(self, store: Store) -> None:
        """ScheduleBook.one: The schedules of a turn, and their slots. It sees its own changes."""
        with store.turn("b", NOW) as turn:
            ((stored, _),) = turn.schedules.declare([a_schedule()])
            seen, unknown = turn.schedules.one("s"), turn.schedules.one("t")

        assert (seen, unknown) == (stored, None)

    def test_every_schedule_is_remembered(self, store: Store) -> None:
        """ScheduleReader.all: Every schedule that the store remembers."""
        with store.turn("b", NOW) as turn:
            declared = turn.schedules.declare(
                [a_schedule(id=name, durable=durable) for name, durable in (("a", 0), ("b", 1))]
            )
            stored = [record for record, _ in declared]

        assert sorted(store.schedules.all(), key=lambda schedule: schedule.id) == stored

    def test_schedules_are_listed_some_at_a_time(self, store: Store) -> None:
        """ScheduleReader.some: The schedules of a name, or of all, in the order of their ids: those that come after
        one, at most so many."""
        with store.turn("b", NOW) as turn:
            turn.schedules.declare([a_schedule(id=f"s{n}", name=("work", "mail")[n % 2]) for n in range(6)])

        read = store.schedules
        assert [one.id for one in read.some(None, "", 4)] == ["s0", "s1", "s2", "s3"]
        assert [one.id for one in read.some(None, "s3", 4)] == ["s4", "s5"]
        assert [one.id for one in read.some("mail", "s1", 4)] == ["s3", "s5"]

    def test_one_schedule_is_found_by_its_id(self, store: Store) -> None:
        """ScheduleReader.one: A schedule; None when there is none."""
        with store.turn("b", NOW) as turn:
            stored = turn.schedules.declare([a_schedule(id=name) for name in ("a", "b")])

        assert [store.schedules.one("b"), store.schedules.one("c")] == [stored[1][0], None]

    def test_what_only_this_runtime_has_declared_is_no_others(self, store: Store) -> None:
        """Peers.is_declared: Whether another runtime that lives has declared a schedule, so that its slots are to fire
        here too."""
        peers = self.peers_of(store)
        with store.turn("b", NOW) as turn:
            turn.schedules.declare([a_schedule(durable=0)])

        assert [peers.is_declared("s"), peers.is_declared("t")] == [False, False]

    def test_one_declaration_may_name_a_schedule_twice(self, store: Store) -> None:
        """ScheduleBook.declare: Insert, or replace when its definition changed, and say which (`added`, `changed`,
        None); of each, in order."""
        with store.turn("b", NOW) as turn:
            declared = turn.schedules.declare([a_schedule(when=when) for when in ("@daily", "@daily", "@hourly")])

        assert [news for _, news in declared] == ["added", None, "changed"]
        assert list(store.schedules.all()) == [declared[2][0]]

    def test_changes_are_numbered_over_all_schedules_and_a_number_never_comes_back(self, store: Store) -> None:
        """StoreSurroundings.change_no: the number of the last change of any schedule; it only rises."""
        numbers = [store.surroundings("b").change_no]
        with store.turn("b", NOW) as turn:
            turn.schedules.declare([a_schedule(id=name) for name in ("a", "b")])
        numbers.append(store.surroundings("b").change_no)
        with store.turn("b", NOW) as turn:
            turn.schedules.declare([a_schedule(id="b")])
            turn.schedules.forget("b")
        numbers.append(store.surroundings("b").change_no)
        with store.turn("b", NOW) as turn:
            turn.schedules.declare([a_schedule(id="b")])
            account = turn.schedules.account("a", NOW + 1, None)
        numbers.append(store.surroundings("b").change_no)

        assert numbers == [0, 2, 2, 4]
        assert [account, *(schedule.change_no for schedule in store.schedules.all())] == [4, 4, 3]

    def test_who_has_seen_some_changes_is_told_the_others_only(self, store: Store) -> None:
        """ScheduleReader.changed: The schedules whose `change_no` is above `since`, in its order, at most so many."""
        with store.turn("b", NOW) as turn:
            turn.schedules.declare([a_schedule(id=name) for name in ("a", "b", "c", "d")])
            turn.schedules.account("a", NOW + 1, None)
            turn.schedules.pause("b", paused=True)
            turn.schedules.forget("c")

        def changed(since: int, limit: int) -> list[str]:
            return [schedule.id for schedule in store.schedules.changed(since, limit)]

        assert (changed(0, 9), changed(0, 2), changed(4, 9), changed(5, 9)) == (["b", "d", "a"], ["b", "d"], ["a"], [])

    def test_the_unfinished_jobs_of_a_schedule_are_known(self, store: Store) -> None:
        """WaitingJobs.unfinished_of: (id, state) of the queued and running jobs of a schedule."""
        self.needs("table")
        put(store, new("a", schedule="s"), new("b", schedule="s"), new("c", schedule="s"), new("d", schedule="t"))
        (first, _) = take(store, begun=2)

        with store.turn("b", NOW) as turn:
            turn.jobs.settle(first, SUCCEEDED, DONE)
            unfinished = turn.queued.unfinished_of("s")

        assert sorted(unfinished) == [("b", "running"), ("c", "queued")]

    def test_accounting_only_goes_forward(self, store: Store) -> None:
        """ScheduleBook.account: Every slot of the schedule up to this instant is accounted for."""
        with store.turn("b", NOW) as turn:
            turn.schedules.declare([a_schedule()])
            turn.schedules.account("s", NOW + 60, NOW + 60)
            last = turn.schedules.account("s", NOW + 30, None)
            seen = turn.schedules.one("s")

        assert seen is not None
        assert (seen.accounted_to, seen.last_slot, seen.change_no) == (NOW + 60, NOW + 60, last)

    def test_a_slot_fires_once(self, store: Store) -> None:
        """ScheduleBook.fire: False when the slot has its row already: nothing changes."""
        with store.turn("b", NOW) as turn:
            fired = [turn.schedules.fire(entry(NOW, job_id)) for job_id in ("s-1", "s-2")]
        with store.turn("b", NOW) as turn:
            fired.append(turn.schedules.fire(entry(NOW, "s-3")))

        assert fired == [True, False, False]
        assert list(store.schedules.slots("s", NOW, NOW + 1).entries) == [entry(NOW, "s-1")]

    def test_skipped_slots_join_the_range_before_if_the_reason_is_the_same(self, store: Store) -> None:
        """ScheduleBook.skip: Record that slots did not fire, joining the range before if it has the reason."""
        with store.turn("b", NOW) as turn:
            for first, reason in ((10.0, "paused"), (20.0, "paused"), (30.0, "late")):
                assert turn.schedules.skip("s", SlotRange(first=first, last=first + 5, count=2, reason=reason))

        assert [
            (slot.slot, slot.last, slot.count, slot.outcome) for slot in store.schedules.slots("s", 0.0, 99.0).entries
        ] == [
            (10.0, 25.0, 4, "skipped"),
            (30.0, 35.0, 2, "skipped"),
        ]
        assert moves_of(turn) == [
            {"k": "skipped", "s": "s", "t": first, "l": first + 5, "x": 2} for first in (10.0, 20.0, 30.0)
        ]

    def test_a_slot_that_fired_is_not_skipped_as_well(self, store: Store) -> None:
        """ScheduleBook.skip: False when the first fired."""
        with store.turn("b", NOW) as turn:
            turn.schedules.skip("s", SlotRange(first=NOW - 60, last=NOW - 60, count=1, reason="late"))
            turn.schedules.fire(entry(NOW, "s-1"))

            assert not turn.schedules.skip("s", SlotRange(first=NOW, last=NOW, count=1, reason="late"))

        assert list(store.schedules.slots("s", NOW, NOW + 1).entries) == [entry(NOW, "s-1")]

    def test_slots_that_are_skipped_once_more_are_not_more(self, store: Store) -> None:
        """ScheduleBook.skip: Record that slots did not fire, joining the range before if it has the reason."""
        gone = SlotRange(first=NOW, last=NOW + 60, count=2, reason="late")
        for _ in range(2):
            with store.turn("b", NOW) as turn:
                assert turn.schedules.skip("s", gone)

        ((slot, last, count),) = [
            (one.slot, one.last, one.count) for one in store.schedules.slots("s", 0, NOW + 99).entries
        ]
        assert (slot, last, count) == (NOW, NOW + 60, 2)

    def test_slots_are_told_in_order_within_the_asked_range_only(self, store: Store) -> None:
        """ScheduleReader.slots: The fate of the slots in [start, end)."""
        with store.turn("b", NOW) as turn:
            for slot in (NOW + 120, NOW, NOW + 60):
                turn.schedules.fire(entry(slot, f"s-{slot}"))

        assert [slot.slot for slot in store.schedules.slots("s", NOW, NOW + 120).entries] == [NOW, NOW + 60]
        assert list(store.schedules.slots("t", NOW, NOW + 120).entries) == []

    def test_what_became_of_slots_is_remembered_since_they_are_the_schedules_own(self, store: Store) -> None:
        """Slots.since: of every later slot it is remembered, as far as it is accounted for"""
        with store.turn("b", NOW) as turn:
            turn.schedules.declare([a_schedule()])
        with store.turn("b", NOW + 60) as turn:
            turn.schedules.fire(entry(NOW + 60, "s-1"))

        assert store.schedules.slots("s", NOW, NOW).since <= NOW

    def test_old_slots_are_pruned_and_counted_with_the_rest(self, store: Store) -> None:
        """Turn.prune: Remove at most a batch of ended jobs and, unless None, of slots; say how many."""
        with store.turn("b", NOW) as turn:
            turn.schedules.declare([a_schedule(catch_up_window=0.0)])
            for slot in (NOW, NOW + 60, NOW + WEEK):
                turn.schedules.fire(entry(slot, f"s-{slot}"))

        with store.turn("b", NOW + WEEK) as turn:
            removed = turn.prune(done_before=0.0, dead_before=0.0, slots_before=NOW + WEEK + 120, batch=5)

        assert removed == 2
        assert [slot.slot for slot in store.schedules.slots("s", NOW, NOW + 2 * WEEK).entries] == [NOW + WEEK]

    def test_after_a_step_ahead_seconds_are_waited_as_before_and_instants_as_they_are(self, store: Store) -> None:
        """Turn.keep_time: A wait of so many seconds, and an expiry in so many, end when so many have passed; one until
        an instant ends at that instant."""
        self.check_waits_after(store, step=3600.0)

    def test_after_a_step_back_seconds_are_waited_for_as_before_and_instants_as_they_are(self, store: Store) -> None:
        """Turn.keep_time: A wait of so many seconds, and an expiry in so many, end when so many have passed; one until
        an instant ends at that instant."""
        self.check_waits_after(store, step=-3600.0)

    def check_waits_after(self, store: Store, *, step: float) -> None:
        """Whatever waits when the clock is stepped ends as it should."""
        self.needs("forecast", "table")
        self.keep_time(store, NOW)
        put(
            store,
            new("due"),
            new("delayed", run_at=NOW + 10, due_in=10.0),
            new("at", run_at=NOW + 10, due_in=None),
            new("expiring", expires_at=NOW + 20, expires_in=20.0),
            new("over", expires_at=NOW + 20),
        )

        stepped = self.keep_time(store, NOW + 4, step=step)
        again = self.keep_time(store, NOW + 5, step=step)

        jobs = {job_id: job_of(store, job_id) for job_id in ("due", "delayed", "at", "expiring", "over")}
        assert (stepped is not None and stepped.seconds, again) == (step, None)
        assert {job_id: job.run_at for job_id, job in jobs.items() if job and job_id in ("delayed", "at")} == {
            "delayed": NOW + 10 + step,
            "at": NOW + 10,
        }
        assert {job_id: job.expires_at for job_id, job in jobs.items() if job and job.expires_at} == {
            "expiring": NOW + 20 + step,
            "over": NOW + 20,
        }
        assert jobs["due"] is not None
        assert jobs["due"].run_at <= NOW + 4 + step

    def test_where_readings_cannot_be_compared_nothing_lasts_longer_than_it_was_to_last(self, store: Store) -> None:
        """Turn.keep_time: Where the reading cannot be compared, nothing lasts longer from now than it was to last in
        all."""
        self.needs("forecast", "table")
        self.keep_time(store, NOW)
        put(
            store,
            new("due"),
            new("delayed", run_at=NOW + 10, due_in=10.0),
            new("at", run_at=NOW + 10, due_in=None),
            new("expiring", expires_at=NOW + 20, expires_in=20.0),
        )
        back = NOW - 1e6

        with store.turn("b", back) as turn:
            unasked = turn.keep_time(Reading(back, None, 0.0), may_have_gone_back=False)
            stepped = turn.keep_time(Reading(back, "another start", 5.0), may_have_gone_back=False)

        jobs = [job_of(store, job_id) for job_id in ("due", "delayed", "at")]
        expiring = job_of(store, "expiring")
        assert (unasked, stepped) == (None, Stepped(None, 3, 0))
        assert [job and job.run_at for job in jobs] == [back, back + 10, NOW + 10]
        assert expiring is not None
        assert expiring.expires_at == back + 20

    def test_schedules_that_are_accounted_for_in_the_future_count_from_now(self, store: Store) -> None:
        """Turn.keep_time: Schedules that are accounted for in what is the future count from now, and slots that were
        skipped there come yet; those that fired do not fire again."""
        self.needs("forecast")
        minute, reason = NOW - NOW % 60 + 60, "superseded by a later slot"
        self.keep_time(store, NOW)
        self.keep_time(store, NOW, step=3600.0)
        with store.turn("b", NOW + 3600) as turn:
            turn.schedules.declare([a_schedule()])
            turn.schedules.skip("s", SlotRange(first=minute, last=minute + 49 * 60, count=50, reason=reason))
            turn.schedules.fire(entry(minute + 50 * 60, "s-1"))
            turn.schedules.skip("s", SlotRange(first=minute + 51 * 60, last=minute + 51 * 60, count=1, reason="paused"))
            before = turn.schedules.account("s", NOW + 3600, minute + 50 * 60)

        stepped = self.keep_time(store, NOW + 90)

        (schedule,) = store.schedules.all()
        assert stepped == Stepped(-3600.0, 0, 1)
        assert (schedule.accounted_to, schedule.last_slot) == (NOW + 90, None)
        assert schedule.change_no > before
        assert [
            (one.slot, one.last, one.count, one.outcome) for one in store.schedules.slots("s", NOW, NOW + 3600).entries
        ] == [
            (minute, minute + 60, 2, "skipped"),
            (minute + 50 * 60, minute + 50 * 60, 1, "fired"),
        ]

    def keep_time(self, store: Store, now: float, *, step: float = 0.0) -> Stepped | None:
        """Have a turn keep time, `now` seconds by a count, and so much later or earlier by wall time."""
        with store.turn("b", now + step) as turn:
            return turn.keep_time(Reading(now + step, "one start", step), may_have_gone_back=False)

    def test_a_job_name_that_nobody_handles_is_handled_by_nobody(self, store: Store) -> None:
        """Peers.is_handled: Whether a runtime that lives is known to have handlers for a job name."""
        peers = self.peers_of(store)
        with store.turn("b", NOW) as turn:
            turn.boots.register(a_boot("b"))
            turn.boots.set_names("b", ["work"])

        assert not peers.is_handled("else")

    def test_a_boot_is_known_to_the_others_as_it_registered(self, store: Store) -> None:
        """Members.register: Make a boot known to the others. Gives it its `boot_no`."""
        about = {"kind": "producer", "version": "9.8", "python": "3.99", "control": "/somewhere"}
        boot = a_boot("x", pid=7, host="h", hint="there", names=("a", "b"), **about)
        with store.turn("b", NOW) as turn:
            turn.boots.register(boot)

        assert [known._replace(boot_no=0) for known in store.surroundings("b").boots] == [boot]

    def test_who_lives_is_known_where_boots_have_no_rows(self, store: Store) -> None:
        """Peers.boots: The runtimes that live, this one among them, as far as they have said who they are."""
        peers, boot = self.peers_of(store), a_boot("x", pid=7, kind="producer", version="9.8", control="/somewhere")
        with store.turn("b", NOW) as turn:
            turn.boots.register(boot)
        with store.turn("b", NOW) as turn:
            known = list(peers.boots())
            turn.boots.forget(("x",))

        assert (known, list(peers.boots())) == ([boot], [])

    def test_every_boot_is_listed(self, store: Store) -> None:
        """StoreSurroundings.boots: every boot on the store, living or not;"""
        with store.turn("b", NOW) as turn:
            turn.boots.register(a_boot("x"))
            turn.boots.register(a_boot("y", started_at=NOW + 1))

        assert sorted(boot.boot for boot in store.surroundings("b").boots) == ["x", "y"]

    def test_a_turn_sees_the_boots_that_it_has_registered_itself(self, store: Store) -> None:
        """Members.all: Every boot on the store, living or not."""
        with store.turn("b", NOW) as turn:
            turn.boots.register(a_boot("x"))
            within = turn.boots.all()

        assert [known._replace(boot_no=0) for known in within] == [a_boot("x")]

    def test_a_boot_says_anew_for_which_names_it_has_handlers(self, store: Store) -> None:
        """Members.set_names: The job names for which a boot has handlers now."""
        with store.turn("b", NOW) as turn:
            turn.boots.register(a_boot("x", names=("a",)))
            turn.boots.set_names("x", ["c", "b"])

        assert sorted(store.surroundings("b").boots[0].names) == ["b", "c"]

    def test_a_boot_that_stops_is_known_to_stop(self, store: Store) -> None:
        """Members.note_stop: A boot stops: if its process dies from now on, none of its claims is to blame."""
        with store.turn("b", NOW) as turn:
            for boot in ("x", "y"):
                turn.boots.register(a_boot(boot))
        with store.turn("b", NOW) as turn:
            turn.boots.note_stop("x")

        assert {boot.boot: boot.stopping for boot in store.surroundings("b").boots} == {"x": True, "y": False}

    def test_a_boot_is_forgotten_by_exactly_one(self, store: Store) -> None:
        """Members.forget: Remove boots, and say which: not those that another has removed."""
        with store.turn("b", NOW) as turn:
            for boot in ("x", "y"):
                turn.boots.register(a_boot(boot))

            gone = [sorted(turn.boots.forget(boots)) for boots in ((), ("x", "z"), ("x", "y"))]

        assert gone == [[], ["x"], ["y"]]

    def test_a_boot_that_others_have_forgotten_is_told_so_and_another_may_register(self, store: Store) -> None:
        """Turn.lost: why the boot of this turn, once registered, is none any more."""
        self.needs("burial")
        with store.turn("x", NOW) as turn:
            turn.boots.register(a_boot("x"))
        with store.turn("x", NOW) as turn:
            before = turn.lost
        with store.turn("y", NOW) as turn:
            turn.boots.forget(("x",))

        with store.turn("x", NOW) as turn:
            assert (before, isinstance(turn.lost, BootLost)) == (None, True)
        with store.turn("z", NOW) as turn:
            turn.boots.register(a_boot("z"))
        with store.turn("z", NOW) as turn:
            assert turn.lost is None

    def test_whether_a_boot_is_forgotten_is_seen_without_a_turn(self, store: Store) -> None:
        """StoreSurroundings.is_lost: whether a turn of the boot that has asked would find it `lost`."""
        self.needs("burial")
        with store.turn("x", NOW) as turn:
            turn.boots.register(a_boot("x"))
        before = store.surroundings("x").is_lost
        with store.turn("y", NOW) as turn:
            turn.boots.forget(("x",))

        assert (before, store.surroundings("x").is_lost) == (False, True)

    def test_a_boot_whose_running_jobs_nobody_has_locked_is_not_held(self, store: Store) -> None:
        """JobQueue.held_beside: Which of these boots have a running job that a transaction beside this turn has
        locked."""
        self.needs("burial")
        put(store, new("a"), new("b"))
        take(store, begun=2)

        with store.turn("c", NOW) as turn:
            assert list(turn.jobs.held_beside(["b", "none"])) == []

    def test_jobs_that_run_for_a_boot_that_is_not_there_are_orphans(self, store: Store) -> None:
        """JobQueue.orphans: Running jobs that need a boot which is not on the store: nobody else will ever take them
        back."""
        self.needs("burial")
        put(store, new("held"), new("orphan"))
        with store.turn("b", NOW) as turn:
            turn.boots.register(a_boot("b"))
        take(store)
        take(store, boot="gone")

        with store.turn("b", NOW) as turn:
            assert [job.id for job in turn.jobs.orphans()] == ["orphan"]
