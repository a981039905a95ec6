"""What the parts of the conformance suite share: a store on an empty place, and values to put into it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from lamplighter.messages.boots import BootRecord
from lamplighter.messages.jobs import Claim, Instant, JobRecord, JobState, NewJob
from lamplighter.messages.names import NameLimits
from lamplighter.messages.outcomes import Outcome, OutcomeKind, Verdict
from lamplighter.messages.schedules import ScheduleRecord
from lamplighter.stores.ports import Store
from lamplighter.stores.turn_ports import Turn, Want

CAPABILITIES = {
    "at_once": "a job that a turn has queued can be claimed in that very turn",
    "atomic": "a turn with several jobs is stored as a whole, or not at all",
    "burial": "a boot that others have removed notices it",
    "counts": "every job can be counted, in every state",
    "durable": "what was stored is there after a reopening",
    "expiry": "queued jobs are cancelled when they expire, wherever they are",
    "forecast": "when a queued job will be due is known before it is",
    "host": "an application's own transaction can hold a job, or its completion",
    "links": "a job can wait for others",
    "place": "a job that is given back has its old place in the queue",
    "priority": "there are more than two priorities",
    "recall": "what the last turn of a boot did is kept, so that another can log it",
    "several": "several stores may be open on one place",
    "steps": "results of the steps of a job are kept until it is done",
    "table": "every job is in a table: found, listed and limited, with unique keys",
    "tallies": "what became of jobs is summed up",
    "watch": "whatever another store has committed is noticed",
}
"""What a suite may declare in `cannot`; each text says what a store does that has it."""

NOW = 1_000_000.0
DONE = Verdict(state=JobState.DONE, event="job.done", reason=None, attempt=1)
DEAD = Verdict(state=JobState.DEAD, event="job.dead", reason="failed", attempt=1)
RETRY = Verdict(state=JobState.QUEUED, event="job.failed", reason="failed", attempt=1, run_at=NOW)
SUCCEEDED = Outcome(kind=OutcomeKind.SUCCEEDED, result="7")
FAILED = Outcome(kind=OutcomeKind.FAILED, error="E")


def new(id: str = "j", **changes: Any) -> NewJob:
    """A job that is due at once."""
    fields = {"id": id, "name": "work", "data": "null", "priority": 0, "run_at": NOW, "queued_at": NOW, "root_id": id}
    return NewJob(**{**fields, **changes})


def want(begun: int = 1, prefetched: int = 0, **changes: Any) -> Want:
    """What a broker with that many free lanes asks for."""
    fields = {"name": "work", "boot": "b", "incarnation": 1, "interruptions_max": 3}
    fields["limits"] = NameLimits(**{limit: changes.pop(limit) for limit in NameLimits._fields if limit in changes})
    return Want(begun=begun, prefetched=prefetched, **{**fields, **changes})


def a_schedule(**changes: Any) -> ScheduleRecord:
    """A schedule that is due every minute."""
    fields = {
        "id": "s",
        "name": "work",
        "when": "* * * * *",
        "data": "null",
        "timezone": "UTC",
        "dst_gap": "run_after",
        "dst_fold": "first",
        "catch_up": "latest",
        "catch_up_window": 86400.0,
        "catch_up_max": 100,
        "overlap": "allow",
        "jitter": 0.0,
        "durable": 1,
        "paused": 0,
        "accounted_to": NOW,
        "changed_at": NOW,
        "last_slot": None,
    }
    return ScheduleRecord(**{**fields, **changes})


def a_boot(boot: str, **changes: Any) -> BootRecord:
    """A boot that has said nothing yet."""
    fields = {"pid": 1, "host": "h", "started_at": NOW, "hint": None, "names": ()}
    return BootRecord(boot=boot, **{**fields, **changes})


def put(store: Store, *jobs: NewJob) -> list[JobRecord]:
    """Store jobs in one turn."""
    with store.turn("b", NOW) as turn:
        return [job for job, _ in turn.jobs.insert(jobs)]


def take(store: Store, now: Instant = NOW, **changes: Any) -> list[JobRecord]:
    """Claim jobs in a turn of their own."""
    with store.turn("b", now) as turn:
        return [claim.job for claim in claim_in(turn, **changes)]


def claim_in(turn: Turn, *, suspect: bool = True, **changes: Any) -> Sequence[Claim]:
    """What a turn gives to a broker that wants jobs of one name."""
    one = want(**changes)
    return turn.jobs.claim([one], suspect=suspect).claims[one.name]


def job_of(store: Store, job_id: str) -> JobRecord | None:
    """A job as it is known outside of turns."""
    return store.jobs.known((job_id,)).get(job_id)


def die(store: Store) -> None:
    """Have the next job fail for good."""
    (claimed,) = take(store)
    with store.turn("b", NOW) as turn:
        turn.jobs.settle(claimed, FAILED, DEAD)


class StoreCase:
    """A store on an empty place, for each test."""

    cannot: Collection[str] = frozenset()

    def make_store(self, place: Path) -> Store:
        """A store that is not open yet. With the same place again: another one on what the first has stored.

        Args:
            place: an empty folder, each test's own.
        """
        raise NotImplementedError("expected make_store(place) to be overridden: it gives a store to be tested")

    def connect_host(self, store: Store) -> Any:
        """The host's own connection to what the store keeps, with a transaction begun; `commit` and `rollback` end it.

        Args:
            store: an open one.
        """
        raise NotImplementedError("expected connect_host(store) to be overridden, or 'host' in `cannot`")

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        """An open store."""
        one = self.make_store(tmp_path)
        one.open()
        yield one
        one.close()

    def needs(self, *capabilities: str) -> None:
        """Skip this test if the store says that it cannot."""
        for capability in capabilities:
            if capability in self.cannot:
                pytest.skip(f"the store declares that it cannot: {CAPABILITIES[capability]}")
