"""Promises about the sums of what became of jobs, which a store may keep."""

from __future__ import annotations

from lamplighter.messages.tallies import EVER, HOUR, MINUTE, Tally
from lamplighter.stores.ports import Store, TallyReader

from .kit import NOW, StoreCase

START = NOW // 60 * 60


class TallyPromises(StoreCase):
    """Promises about tallies. Each docstring quotes the port."""

    def reader_of(self, store: Store) -> TallyReader:
        """The port, or the end of the test."""
        self.needs("tallies")
        assert store.tallies is not None
        return store.tallies

    def add(self, store: Store, *tallies: Tally) -> None:
        """Add them in a turn of their own."""
        with store.turn("b", NOW) as turn:
            assert turn.tallies is not None
            turn.tallies.add(tallies)

    def test_what_is_added_is_summed_up(self, store: Store) -> None:
        """TallyBook.add: Add to what is kept of the same span, start, name and kind."""
        reader, one = self.reader_of(store), Tally(MINUTE, int(START), "work", "ran.failed", 2, 3.0, (1, 1))
        self.add(store, one, one._replace(kind="done"), one._replace(name="other"))
        self.add(store, one._replace(n=1, seconds=0.5, buckets=(0, 0, 1)), one._replace(span=EVER, start=0))

        assert list(reader.between(MINUTE, NOW, NOW, "work")) == [
            one._replace(kind="done"),
            one._replace(n=3, seconds=3.5, buckets=(1, 1, 1)),
        ]
        assert list(reader.between(EVER, 0.0, NOW)) == [one._replace(span=EVER, start=0)]

    def test_spans_are_read_from_the_one_to_the_other(self, store: Store) -> None:
        """TallyReader.between: Those of one span that began from the one of `since` up to that of `until`, of one
        name or all, in order."""
        reader = self.reader_of(store)
        for minute in (3, 1, 2, 4):
            self.add(store, Tally(MINUTE, minute * 60, "work", "done", minute))

        assert [tally.n for tally in reader.between(MINUTE, 2 * 60 + 30.0, 3 * 60 + 59.0)] == [2, 3]

    def test_totals_are_over_all_names(self, store: Store) -> None:
        """TallyReader.totals: The same over all names; where these are very many, the oldest ones lack buckets."""
        reader = self.reader_of(store)
        tallies = [Tally(HOUR, 3600, name, "ran.failed", 2, 1.5, (1, 1)) for name in ("a", "b")]
        self.add(store, *tallies, Tally(HOUR, 7200, "a", "done", 1))

        assert list(reader.totals(HOUR, 0.0, 1e6)) == [
            Tally(HOUR, 3600, "", "ran.failed", 4, 3.0, (2, 2)),
            Tally(HOUR, 7200, "", "done", 1),
        ]

    def test_a_turn_that_only_adds_to_them_has_changed_nothing_of_jobs(self, store: Store) -> None:
        """Turn.did: after the commit, what this turn did; None when it has changed nothing."""
        self.reader_of(store)
        with store.turn("b", NOW) as turn:
            assert turn.tallies is not None
            turn.tallies.add([Tally(MINUTE, 60, "work", "done", 1)])

        assert turn.did is None

    def test_old_ones_are_removed_and_those_that_only_rise_are_not(self, store: Store) -> None:
        """Turn.prune: Old tallies go too, unsaid."""
        reader, days = self.reader_of(store), 86400.0
        self.add(store, *(Tally(span, span, "work", "done", 1) for span in (EVER, MINUTE, HOUR)))

        with store.turn("b", 9 * days) as turn:
            pruned = turn.prune(done_before=0.0, dead_before=0.0, slots_before=None, batch=10)

        assert (pruned, turn.did) == (0, None)
        assert [len(reader.between(span, 0.0, 9 * days)) for span in (EVER, MINUTE, HOUR)] == [1, 0, 0]
