"""Power cuts: the real store on a disk that keeps what was synced and of the rest what it likes.

While turns queue, claim and settle jobs as the JobBroker does, images of the disk are taken at random instants: between
turns, within a commit, within a checkpoint. Python's own sqlite3 opens each image, and what it finds must be what the
store held after some turn; which one tells what was lost. Then the power is really cut, and the store goes on from what
is left.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import pytest
from lamplighter import Runtime
from lamplighter.environment import Environment
from lamplighter.messages.jobs import JobRecord, JobState, NewJob
from lamplighter.messages.outcomes import Outcome, OutcomeKind, Verdict
from lamplighter.messages.queries import JobQuery
from lamplighter.stores.sqlite import store as sqlite
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.turn_ports import Want

from support.disk.disk import Disk

from .kit import SECONDS_MAX, count

IMAGES = count(200, 3_000)
WRITE_SHARE, OTHER_SHARE = 0.05, 0.3
"""Of the acts that SQLite asks of the disk, at how many the power could be cut. Most are writes."""

LIFE_TURNS, DISK_LIVES = 60, 4
"""How long the power stays, and how often it is cut before a new disk is begun, for a store that is not too large."""

CLOSED_SHARE = 0.25
"""In how many lives the store was closed before the power went: that is one more checkpoint to cut short."""

CHECKPOINT_PAGES = 40
"""Small, so that many checkpoints happen; SQLite's own is 1,000."""

RUNTIME_LIVES, RUNTIME_JOBS = count(4, 50), 30

WITHIN = {"write jobs.db-wal", "sync jobs.db-wal", "write jobs.db", "sync jobs.db"}
"""What a campaign must have cut short: commits, and the checkpoints that copy them into the database."""

NOW = 1_000_000.0
DONE = Verdict(state=JobState.DONE, event="job.done", reason=None, attempt=1)
RETRIED = Verdict(state=JobState.QUEUED, event="job.failed", reason="failed", attempt=1, run_at=NOW)
SUCCEEDED, FAILED = Outcome(kind=OutcomeKind.SUCCEEDED, result="7"), Outcome(kind=OutcomeKind.FAILED, error="E")

States = dict[str, tuple[str, int, int]]
"""Of each job: its state, claim_no and settled_no."""

HELD = "select id, state, claim_no, settled_no from lamplighter_jobs"
HAS_TABLE = "select count(*) from sqlite_schema where name = 'lamplighter_jobs'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a power cut could have left, and which turn had been acknowledged last."""

    files: Mapping[str, bytes]
    acknowledged: int


class Campaign:
    """Cuts the power of a store until enough images were judged.

    Attributes:
        found: how many images there were, and in how many of them what was wrong.
        acts: what was under way when an image was taken.
        turns_lost_max: how many acknowledged turns were gone in the worst of them.
    """

    def __init__(self, durability: str, folder: Path, seed: int = 1) -> None:
        self.found: Counter[str] = Counter()
        self.acts: Counter[str] = Counter()
        self.turns_lost_max = 0
        self._durability = durability
        self._folder = folder
        self._chance = random.Random(seed)
        # What the store held at the beginning of this life, and after each of its turns.
        self._held: list[States] = []
        self._taken: list[Image] = []

    def run(self) -> Self:
        """Live, cut, live."""
        while True:
            disk = Disk(self._chance, checkpoint_pages=CHECKPOINT_PAGES)
            for life in range(DISK_LIVES):
                left = opened(disk.files, self._folder)
                if left is None:
                    break
                self._held = [left]
                disk = self._live(disk, life)
                self._taken.append(Image(files=disk.files, acknowledged=len(self._held) - 1))
                self._judge()
                if self.found["images"] >= IMAGES:
                    return self

    def _live(self, disk: Disk, life: int) -> Disk:
        """Work until the power goes, now and then after the store was closed; what is left."""
        disk.before = lambda act, path: self._before(disk, act, path)
        store = SqliteStore("jobs.db", durability=self._durability, connect=disk.connect)
        store.open()
        with store.turn("b", NOW) as turn:
            running = turn.jobs.open_claims("b")
        for number in range(LIFE_TURNS):
            running = self._turn(store, running, f"{life}.{number}")
            self._held.append({job.id: (job.state, job.claim_no, job.settled_no) for job in jobs_of(store)})
            self._judge()
        if self._chance.random() < CLOSED_SHARE:
            store.close()
        return disk.cut()

    def _turn(self, store: SqliteStore, running: Sequence[JobRecord], number: str) -> list[JobRecord]:
        """Queue some jobs, end those that run, claim others; those that run then."""
        chance = self._chance
        with store.turn("b", NOW) as turn:
            for job in range(chance.randint(0, 3)):
                data = f'"{"x" * chance.choice((10, 10, 3_000))}"'
                job_id = f"{number}.{job}"
                turn.jobs.insert(
                    [NewJob(id=job_id, name="work", data=data, priority=0, run_at=NOW, queued_at=NOW, root_id=job_id)]
                )[0]
            for claimed in running:
                outcome, verdict = (SUCCEEDED, DONE) if chance.random() < 0.8 else (FAILED, RETRIED)
                assert turn.jobs.settle(claimed, outcome, verdict) is not None
            want = Want(
                name="work",
                boot="b",
                incarnation=1,
                begun=chance.randint(0, 3),
                prefetched=0,
                interruptions_max=3,
            )
            return [claim.job for claim in turn.jobs.claim([want], suspect=True).claims[want.name]]

    def _before(self, disk: Disk, act: str, path: str) -> None:
        if self._chance.random() < (WRITE_SHARE if act == "write" else OTHER_SHARE):
            self.acts[f"{act} {path}"] += 1
            self._taken.append(Image(files=disk.image(), acknowledged=len(self._held) - 1))

    def _judge(self) -> None:
        """Compare the images since the last turn. The turn that has just ended may be in them: it was under way."""
        for image in self._taken:
            self.found["images"] += 1
            left = opened(image.files, self._folder)
            if left is None:
                self.found["corrupt"] += 1
                continue
            if left not in self._held:
                self.found["half a turn"] += 1
                continue
            told = self._held[image.acknowledged]
            newest = max(index for index, held in enumerate(self._held) if held == left)
            self.turns_lost_max = max(self.turns_lost_max, image.acknowledged - newest)
            self.found["turns lost"] += newest < image.acknowledged
            self.found["jobs lost"] += bool(told.keys() - left.keys())
            self.found["endings undone"] += any(
                left.get(job_id, job) != job for job_id, job in told.items() if job[0] == "done"
            )
        self._taken.clear()


def opened(files: Mapping[str, bytes], folder: Path) -> States | None:
    """What Python's own sqlite3 finds on a disk; None if it is no sound database."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    try:
        with closing(sqlite3.connect(folder / "jobs.db")) as db:
            if db.execute("pragma integrity_check").fetchall() != [("ok",)]:
                return None
            if db.execute(HAS_TABLE).fetchone() == (0,):
                return {}
            return {row[0]: row[1:] for row in db.execute(HELD)}
    except sqlite3.DatabaseError:
        return None
    finally:
        for path in folder.glob("jobs.db*"):
            path.unlink()


def jobs_of(store: SqliteStore) -> list[JobRecord]:
    return store.table.find(JobQuery(), limit=10_000).jobs


def bad(campaign: Campaign) -> dict[str, int]:
    """How many images were not what they should be, by what was wrong."""
    return {what: times for what, times in campaign.found.items() if times and what != "images"}


def test_under_full_no_acknowledged_job_is_lost_and_no_acknowledged_ending_undone(tmp_path):
    campaign = Campaign("full", tmp_path).run()
    print(f"\nfull: {dict(campaign.found)}, at most {campaign.turns_lost_max} turns; {dict(campaign.acts)}")

    assert bad(campaign) == {}
    assert campaign.acts.keys() >= WITHIN


def test_under_os_the_last_turns_are_lost_whole_and_the_file_is_never_corrupt(tmp_path):
    campaign = Campaign("os", tmp_path).run()
    print(f"\nos: {dict(campaign.found)}, at most {campaign.turns_lost_max} turns; {dict(campaign.acts)}")

    assert bad(campaign).keys() == {"turns lost", "jobs lost", "endings undone"}
    # Nothing is lost from before the last checkpoint, and each turn that changes anything writes a page.
    assert campaign.turns_lost_max <= CHECKPOINT_PAGES
    assert campaign.acts.keys() >= WITHIN


def test_a_runtime_goes_on_after_power_cuts_from_what_it_had_told_its_host(tmp_path):
    chance = random.Random(1)
    disk = Disk(chance, checkpoint_pages=CHECKPOINT_PAGES)
    accepted: list[str] = []
    ended: list[str] = []
    for life in range(RUNTIME_LIVES):
        with runtime_on(disk) as runtime:
            for number in range(chance.randint(1, RUNTIME_JOBS)):
                accepted.append(runtime.jobs.queue("work", id=f"{life}.{number}").id)
                if number % 3 == 0:
                    ended.append(runtime.jobs.join(accepted[-1], timeout=SECONDS_MAX).id)
            # The actors are at work meanwhile. What they do after this instant is of no consequence.
            left = disk.image()
        states = {job_id: state for job_id, (state, _, _) in (opened(left, tmp_path) or {}).items()}
        assert [job_id for job_id in accepted if job_id not in states] == []
        assert [job_id for job_id in ended if states[job_id] != "done"] == []
        disk = Disk(chance, left, checkpoint_pages=CHECKPOINT_PAGES)

    with runtime_on(disk) as runtime:
        for job_id in accepted:
            assert runtime.jobs.join(job_id, timeout=SECONDS_MAX).state == "done"


def runtime_on(disk: Disk) -> Runtime:
    def connect(address: str) -> sqlite3.Connection:
        # The disk has no folders, and a runtime knows its file by the whole path.
        return disk.connect(os.path.basename(address))

    runtime = Runtime("jobs.db", environment=Environment(store=partial(SqliteStore, connect=connect)))
    runtime.jobs.add_handler("work", lambda job: None)
    return runtime.start()


@pytest.mark.parametrize(("level", "shown"), [("normal", "jobs lost"), ("off", "corrupt")])
def test_a_store_that_syncs_too_little_under_full_is_found_out(tmp_path, monkeypatch, level, shown):
    monkeypatch.setitem(sqlite.DURABILITY, "full", level)

    assert bad(Campaign("full", tmp_path).run())[shown] > 0
