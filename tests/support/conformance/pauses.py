"""Promises about names that are paused, or of which only so many jobs run at once."""

from __future__ import annotations

from lamplighter.messages.names import PauseRecord
from lamplighter.stores.ports import Store
from lamplighter.stores.turn_ports import Turn

from .kit import NOW, StoreCase, claim_in, new, put, take


def limit(turn: Turn, name: str, most: int | None) -> None:
    """Limit a name, where there is a table."""
    assert turn.queued is not None
    turn.queued.limit(name, most)


class PausePromises(StoreCase):
    """Promises about pauses and limits of names. Each docstring quotes the port."""

    def test_a_pause_is_stored_and_holds_for_every_boot(self, store: Store) -> None:
        """JobQueue.pause: Start no job of this name, anywhere, until it is resumed, or until an instant; or start them
        again."""
        put(store, new("a"), new("b", name="else"))
        with store.turn("b", NOW) as turn:
            turn.jobs.pause("work", paused=True)

        with store.turn("other", NOW) as turn:
            assert claim_in(turn, boot="other") == []
            assert len(claim_in(turn, boot="other", name="else")) == 1

    def test_the_paused_names_are_known_with_all_that_was_said_of_them(self, store: Store) -> None:
        """JobReader.pauses: The names that are paused or have a limit, in order. One whose `until` has passed may be
        among them."""
        with store.turn("b", NOW) as turn:
            turn.jobs.pause("work", paused=True, by="ada", reason="it fails", until=NOW + 60)
            turn.jobs.pause("else", paused=True)
            turn.jobs.pause("a third", paused=True)
            turn.jobs.pause("a third", paused=False)

        assert list(store.jobs.pauses()) == [
            PauseRecord("else", since=NOW),
            PauseRecord("work", since=NOW, by="ada", reason="it fails", until=NOW + 60),
        ]

    def test_a_second_pause_says_anew_who_and_why_and_leaves_since_when(self, store: Store) -> None:
        """JobQueue.pause: If a name is paused already, the rest is replaced, and it stays paused since then."""
        known = []
        for later, by, until in ((0, "ada", None), (5, "bob", NOW + 10), (20, "eve", None)):
            with store.turn("b", NOW + later) as turn:
                turn.jobs.pause("work", paused=True, by=by, until=until)
            known += store.jobs.pauses()

        assert known == [
            PauseRecord("work", since=NOW, by="ada"),
            PauseRecord("work", since=NOW, by="bob", until=NOW + 10),
            # By then, the pause had ended by itself.
            PauseRecord("work", since=NOW + 20, by="eve"),
        ]

    def test_a_pause_ends_by_itself_at_its_instant(self, store: Store) -> None:
        """JobQueue.pause: Start no job of this name, anywhere, until it is resumed, or until an instant; or start them
        again."""
        put(store, new("a"))
        with store.turn("b", NOW) as turn:
            turn.jobs.pause("work", paused=True, until=NOW + 60)

        taken = [len(take(store, NOW + seconds)) for seconds in (0, 59)]
        # Where a server delivers jobs, the first turn after it lets it do so again.
        taken += [len(take(store, NOW + 60)) + len(take(store, NOW + 60, begun=1))]

        assert taken == [0, 0, 1]

    def test_somebody_looks_when_a_pause_ends_by_itself(self, store: Store) -> None:
        """JobReader.outlook: Whether a turn would find something to do, of jobs of these names and of all that expires;
        if not, when."""
        put(store, new("a"))
        with store.turn("b", NOW) as turn:
            turn.jobs.pause("work", paused=True, until=NOW + 60)
        take(store)

        before, after = store.jobs.outlook(["work"], NOW + 1), store.jobs.outlook(["work"], NOW + 60)

        assert ((before.is_due, before.next_due), after.is_due) == ((False, NOW + 60), True)

    def test_no_more_jobs_of_a_name_run_than_its_limit(self, store: Store) -> None:
        """WaitingJobs.limit: Claim jobs of this name only while fewer than so many run in the whole store; None for no
        limit. A pause of it stays what it is."""
        self.needs("table")
        put(store, *(new(f"j{number}") for number in range(9)), new("other", name="else"))
        with store.turn("b", NOW) as turn:
            limit(turn, "work", 3)

        taken = [len(take(store, begun=2)), len(take(store, begun=2, boot="c")), len(take(store, begun=2))]
        with store.turn("b", NOW) as turn:
            limit(turn, "work", None)
        taken += [len(take(store, begun=2)), len(take(store, name="else"))]

        assert taken == [2, 1, 0, 2, 1]

    def test_the_smaller_of_two_limits_counts(self, store: Store) -> None:
        """JobQueue.claim: no more running ones in the whole store than `NameLimits.total`, nor than the limit of the
        name"""
        self.needs("table")
        put(store, *(new(f"j{number}") for number in range(9)))
        with store.turn("b", NOW) as turn:
            limit(turn, "work", 3)

        assert [len(take(store, begun=9, total=total)) for total in (2, 9, 9)] == [2, 1, 0]

    def test_a_limit_and_a_pause_of_a_name_leave_one_another_alone(self, store: Store) -> None:
        """WaitingJobs.limit: Claim jobs of this name only while fewer than so many run in the whole store; None for no
        limit. A pause of it stays what it is."""
        self.needs("table")
        known: list[PauseRecord] = []
        with store.turn("b", NOW) as turn:
            turn.jobs.pause("work", paused=True, by="ada")
            limit(turn, "work", 3)
        known += store.jobs.pauses()
        with store.turn("b", NOW) as turn:
            turn.jobs.pause("work", paused=False)
        known += store.jobs.pauses()
        with store.turn("b", NOW) as turn:
            limit(turn, "work", None)

        assert known == [PauseRecord("work", since=NOW, by="ada", limit=3), PauseRecord("work", limit=3)]
        assert list(store.jobs.pauses()) == []

    def test_retention_forgets_pauses_that_have_ended_and_no_limit(self, store: Store) -> None:
        """Turn.prune: Remove at most a batch of ended jobs and, unless None, of slots; say how many."""
        self.needs("table")
        with store.turn("b", NOW) as turn:
            for name in ("ended", "limited", "lasts"):
                turn.jobs.pause(name, paused=True, until=NOW + (60 if name == "lasts" else 1))
            limit(turn, "limited", 3)
        with store.turn("b", NOW + 2) as turn:
            assert turn.prune(done_before=0.0, dead_before=0.0, slots_before=None, batch=10) == 0

        assert list(store.jobs.pauses()) == [
            PauseRecord("lasts", since=NOW, until=NOW + 60),
            PauseRecord("limited", limit=3),
        ]
