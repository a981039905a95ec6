"""Promises about turns, and about opening, closing and sharing a store."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from lamplighter.errors import StoreUnavailable
from lamplighter.stores.ports import Store

from .kit import DONE, NOW, SUCCEEDED, StoreCase, a_boot, a_schedule, claim_in, new, put, take


class TurnPromises(StoreCase):
    """Promises about turns. Each docstring quotes the port."""

    def test_a_turn_that_raises_is_as_if_it_had_not_been(self, store: Store) -> None:
        """Store.turn: One transaction: committed when the block ends, rolled back when it raises."""
        self.needs("atomic")
        with pytest.raises(ZeroDivisionError), store.turn("b", NOW) as turn:
            turn.jobs.insert([new("lost")])
            _ = 1 / 0
        put(store, new("kept"))

        assert [job.id for job in take(store, begun=9)] == ["kept"]

    def test_the_turns_of_a_boot_have_numbers_without_a_gap_though_some_are_rolled_back(self, store: Store) -> None:
        """Turn.did: after the commit, what this turn did; None when it has changed nothing."""
        with store.turn("b", NOW) as turn:
            turn.boots.register(a_boot("b"))
        told = []
        for job_id in ("a", "lost", "b", None):
            with contextlib.suppress(ZeroDivisionError), store.turn("b", NOW) as turn:
                if job_id is not None:
                    turn.jobs.insert([new(job_id)])
                _ = 1 / (job_id != "lost")
            told.append(turn.did)

        assert [turn and (turn.turn, [move["j"] for move in turn.moves]) for turn in (told[0], *told[2:])] == [
            (1, ["a"]),
            (2, ["b"]),
            None,
        ]

    def test_the_boots_of_a_store_have_numbers_without_a_gap(self, store: Store) -> None:
        """Members.register: Make a boot known to the others. Gives it its `boot_no`."""
        self.needs("recall")
        numbers = []
        for boot in ("x", "y", "z"):
            with store.turn(boot, NOW) as turn:
                numbers.append(turn.boots.register(a_boot(boot)))
                turn.boots.forget(("x",))

        with store.turn("z", NOW) as turn:
            numbers.append(turn.boots.register(a_boot("z")))

        assert numbers == [1, 2, 3, 3]

    def test_a_turn_keeps_what_it_changed_in_order(self, store: Store) -> None:
        """Turn.transitions: the moves of jobs so far, in order. Those of one job are counted by its `move_no`, without
        a gap."""
        self.needs("at_once")
        with store.turn("b", NOW) as turn:
            turn.jobs.insert([new("a")])
            (claim,) = claim_in(turn)
            turn.jobs.settle(claim.job, SUCCEEDED, DONE)
            told = [(step.event, step.before, step.job.state) for step in turn.transitions]
            move_numbers = [step.job.move_no for step in turn.transitions]

        assert told == [
            ("job.queued", None, "queued"),
            ("job.claimed", "queued", "running"),
            ("job.done", "running", "done"),
        ]
        assert move_numbers == [1, 2, 3]

    def test_everything_in_a_turn_happens_at_its_time(self, store: Store) -> None:
        """Turn.now: the wall time that everything in this turn happens at."""
        put(store, new("a"))

        with store.turn("b", NOW + 7) as turn:
            (claim,) = claim_in(turn)
            ended = turn.jobs.settle(claim.job, SUCCEEDED, DONE)

        assert ended is not None
        assert (turn.now, claim.job.claimed_at, ended.ended_at) == (NOW + 7, NOW + 7, NOW + 7)

    def test_what_was_stored_is_there_after_a_reopening(self, store: Store, tmp_path: Path) -> None:
        """Store.open: Open for reading and writing; make or migrate the schema."""
        self.needs("durable")
        put(store, new("a", data="[1]"))
        store.close()
        again = self.make_store(tmp_path)

        again.open()

        assert [(job.id, job.data) for job in take(again)] == [("a", "[1]")]
        again.close()

    def test_a_closed_store_says_so(self, store: Store) -> None:
        """Store.close: Close every connection."""
        store.close()

        with pytest.raises(StoreUnavailable, match="closed"):
            store.schedules.all()
        with pytest.raises(StoreUnavailable, match="closed"), store.turn("b", NOW):
            pass

    def test_another_stores_commit_is_seen_once_and_its_own_is_not(self, store: Store, tmp_path: Path) -> None:
        """Store.changed: Whether another connection has committed since the last call."""
        self.needs("watch")
        self.needs("several")
        other = self.make_store(tmp_path)
        other.open()
        store.changed()
        put(store, new("a"))
        own = store.changed()

        put(other, new("b"))

        assert (own, store.changed(), store.changed()) == (False, True, False)
        other.close()

    def test_what_another_store_has_done_is_seen_around_a_boot(self, store: Store, tmp_path: Path) -> None:
        """Store.surroundings: The changes of others, as a boot must know them."""
        self.needs("several", "recall")
        other = self.make_store(tmp_path)
        other.open()
        with other.turn("x", NOW) as turn:
            turn.boots.register(a_boot("x"))
            turn.schedules.declare([a_schedule()])

        around = store.surroundings("b")

        assert ([boot.boot for boot in around.boots], around.is_lost, around.change_no) == (["x"], False, 1)
        other.close()

    def test_the_version_of_a_turn_changes_when_somebody_else_has_committed(self, store: Store, tmp_path: Path) -> None:
        """Turn.version: another one than in the turn before if somebody else has committed since."""
        self.needs("watch")
        self.needs("several")
        other = self.make_store(tmp_path)
        other.open()
        versions: list[int] = []
        for writer in (store, store, other, store):
            with writer.turn("b", NOW) as turn:
                turn.jobs.insert([new(f"j{len(versions)}")])
                versions.append(turn.version)

        assert versions[0] == versions[1] != versions[3]
        other.close()

    def test_the_turn_that_a_boot_did_last_is_kept_with_it(self, store: Store) -> None:
        """Turn.did: after the commit, what this turn did; None when it has changed nothing."""
        self.needs("recall")
        with store.turn("b", NOW) as turn:
            turn.boots.register(a_boot("b"))
        put(store, new("a"))
        with store.turn("b", NOW) as claiming:
            claim_in(claiming)
        with store.turn("c", NOW) as looking:
            boots = looking.boots.all()

        assert claiming.did is not None
        assert [(move["k"], move["j"]) for move in claiming.did.moves] == [("claimed", "a")]
        assert (boots[0].turn, boots[0].unlogged) == (claiming.did.turn, (claiming.did,))
        assert looking.did is None

    def test_what_is_noted_is_told_in_its_place_among_the_moves(self, store: Store) -> None:
        """Turn.note: Have the ledger tell what this turn does besides moving jobs."""
        with store.turn("b", NOW) as turn:
            turn.jobs.insert([new("a")])
            turn.note({"k": "name.paused", "n": "work"})
            turn.jobs.insert([new("b")])

        assert turn.did is not None
        assert [move["k"] for move in turn.did.moves] == ["queued", "name.paused", "queued"]

    def test_what_earlier_turns_left_unlogged_is_kept_with_the_next(self, store: Store) -> None:
        """Turn.unlogged: earlier turns that the log may not know of: kept by the boot with this one"""
        self.needs("recall")
        with store.turn("b", NOW) as turn:
            turn.boots.register(a_boot("b"))
        with store.turn("b", NOW) as first:
            first.jobs.insert([new("a")])
        with store.turn("b", NOW) as second:
            assert first.did is not None
            second.unlogged.append(first.did)
            second.jobs.insert([new("b")])

        with store.turn("b", NOW) as third:
            assert [move["j"] for turn in third.boots.all()[0].unlogged for move in turn.moves] == ["a", "b"]

    def test_what_a_boot_has_changed_of_schedules_is_kept_with_it(self, store: Store) -> None:
        """Turn.did: after the commit, what this turn did"""
        self.needs("recall")
        with store.turn("b", NOW) as turn:
            turn.boots.register(a_boot("b"))
        with store.turn("b", NOW) as first:
            ((added, _),) = first.schedules.declare([a_schedule()])
        with store.turn("b", NOW + 7) as second:
            second.schedules.declare([a_schedule(), a_schedule(id="other")])

        rule = {"when": "* * * * *", "tz": "UTC", "gap": "run_after", "fold": "first"}
        assert first.did is not None
        assert second.did is not None
        assert first.did.moves == [{"k": "schedule.added", "s": "s", "n": "work", "no": added.change_no, **rule}]
        assert [(move["k"], move["s"]) for move in second.did.moves] == [("schedule.added", "other")]
        with store.turn("b", NOW) as third:
            assert third.boots.all()[0].unlogged == (second.did,)
