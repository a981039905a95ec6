"""Promises to whoever looks at a store."""

from __future__ import annotations

from lamplighter.stores.ports import Store

from .kit import NOW, StoreCase, a_boot, a_schedule, new, put, take


class LookingPromises(StoreCase):
    """Promises to whoever looks. Each docstring quotes the port."""

    def test_a_snapshot_shows_what_is_on_the_store(self, store: Store) -> None:
        """Readable.snapshot: The store as it is now, for as long as the block lasts. From any thread."""
        with store.turn("b", NOW) as turn:
            turn.boots.register(a_boot("b"))
            turn.schedules.declare([a_schedule()])

        with store.snapshot() as seen:
            assert [schedule.id for schedule in seen.schedules.all()] == ["s"]
            assert seen.jobs.counts(None)["running"] == 0

    def test_a_snapshot_stays_as_it_was(self, store: Store) -> None:
        """Store.snapshot: The store as it is now, for as long as the block lasts. From any thread."""
        self.needs("table", "several")
        put(store, new("a"))

        with store.snapshot() as seen:
            before = seen.jobs.counts(None)["queued"]
            put(store, new("b"))
            assert (before, seen.jobs.counts(None)["queued"]) == (1, 1)

    def test_a_snapshot_tells_every_boot(self, store: Store) -> None:
        """StoreSnapshot.boots: Every boot on the store, living or not."""
        self.needs("burial")
        for boot in ("x", "y"):
            with store.turn(boot, NOW) as turn:
                turn.boots.register(a_boot(boot))

        with store.snapshot() as seen:
            assert sorted(boot.boot for boot in seen.boots()) == ["x", "y"]

    def test_what_stands_before_a_job_is_counted_so_far(self, store: Store) -> None:
        """JobTable.before: The jobs that stand before a queued job; no more than so many of those that are claimed
        first are counted."""
        self.needs("table")
        *_, last = put(store, *(new(name) for name in ("a", "b", "c", "d")))
        take(store)
        assert store.table is not None

        known, capped = store.table.before(last, NOW, 10), store.table.before(last, NOW, 1)

        assert (known.ahead, known.is_capped, known.running) == (2, False, 1)
        assert (capped.ahead, capped.is_capped) == (1, True)
