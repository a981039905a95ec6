"""`job.step(Step(..., connection=...))`: a step in the application's own transaction is done once, or not at all."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, suppress

import aiosqlite
import pytest
from lamplighter import JobFailed, JobSpec, StaleClaim, Step, UsageError
from lamplighter.testing import job as unit_job

JOIN_SECONDS_MAX = 20


class Accounts:
    """A table of the application's in the file of the store."""

    def __init__(self, path) -> None:
        self.path = path
        with self.opened() as db, db:
            db.execute("create table debits (what text)")

    def opened(self):
        return closing(sqlite3.connect(self.path))

    def all(self):
        with self.opened() as db:
            return [what for (what,) in db.execute("select what from debits")]


def debit(db, what):
    db.execute("insert into debits values (?)", (what,))
    return f"{what} is debited"


async def adebit(db, what):
    await db.execute("insert into debits values (?)", (what,))
    return f"{what} is debited"


@pytest.fixture
def accounts(tmp_path):
    return Accounts(tmp_path / "own.db")


@pytest.fixture
def rt(runtime, accounts):
    return runtime(accounts.path)


@pytest.mark.parametrize("ends", ["commit", "rollback"])
@pytest.mark.parametrize("lane", ["thread", "task"])
def test_a_step_is_kept_if_and_only_if_its_transaction_commits(rt, accounts, recorder, lane, ends):
    said = []

    def work(job):
        with accounts.opened() as db:
            said.append(job.step(Step("debit", connection=db), debit, db, f"try {job.attempt}"))
            getattr(db, ends if job.attempt == 1 else "commit")()
        if job.attempt == 1:
            said.append([(step.name, step.result, step.claim_no) for step in rt.jobs.steps(job)])
            raise ValueError("after the step")

    async def work_async(job):
        async with aiosqlite.connect(accounts.path) as db:
            said.append(await job.astep(Step("debit", connection=db), adebit, db, f"try {job.attempt}"))
            await getattr(db, ends if job.attempt == 1 else "commit")()
        if job.attempt == 1:
            said.append([(step.name, step.result, step.claim_no) for step in await rt.jobs.asteps(job)])
            raise ValueError("after the step")

    rt.jobs.add_handler("work", work_async if lane == "task" else work, backoff=0)
    job = rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX)

    once = "try 1" if ends == "commit" else "try 2"
    kept = [("debit", "try 1 is debited", 1)] if ends == "commit" else []
    assert (accounts.all(), said) == ([once], ["try 1 is debited", kept, f"{once} is debited"])
    assert recorder.wait_for("job.done", job_id=job.id)["steps"] == 1
    (line,) = recorder.of("job.stepped")
    assert (line["claim_no"], line["step"]) == (job.record.claim_no if ends == "rollback" else 1, "debit")
    assert recorder.audit(accounts.path).findings == ()


def test_an_attempt_that_has_lost_its_job_keeps_no_step_and_commits_nothing(rt, accounts, recorder):
    begun, goes, said = threading.Event(), threading.Event(), []

    def wait(db):
        begun.set()
        goes.wait(JOIN_SECONDS_MAX)
        debit(db, "too late")

    def work(job):
        with accounts.opened() as db, db:
            try:
                job.step(Step("debit", connection=db), wait, db)
            except StaleClaim as error:
                said.append(str(error))
                raise

    rt.jobs.add_handler("work", work, timeout=0.1, max_attempts=1)
    job = rt.jobs.queue("work")
    assert begun.wait(JOIN_SECONDS_MAX)
    with suppress(JobFailed):
        rt.jobs.join(job, timeout=JOIN_SECONDS_MAX)
    goes.set()
    recorder.until(lambda: said, "the step to be refused")

    assert "step 'debit' is not kept: roll back" in said[0]
    assert (accounts.all(), rt.jobs.steps(job)) == ([], [])


def test_a_claim_of_the_same_number_by_another_boot_keeps_no_step(rt, accounts):
    said = []

    def work(job):
        # As if the store had gone back, and another boot had claimed the job afresh.
        with accounts.opened() as db, db:
            db.execute("update lamplighter_jobs set boot = 'other' where id = ?", (job.id,))
            try:
                job.step(Step("debit", connection=db), debit, db, "stale")
            except StaleClaim as error:
                said.append(str(error))
                db.rollback()

    rt.jobs.add_handler("work", work)
    rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX)

    assert len(said) == 1
    assert accounts.all() == []


def test_one_transaction_keeps_a_step_and_ends_the_job(rt, accounts, recorder):
    def work(job):
        with accounts.opened() as db, db:
            job.step(Step("debit", connection=db), debit, db, "once")
            rt.jobs.mark_done(job, connection=db)

    rt.jobs.add_handler("work", work, auto_done=False)
    rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX)

    assert recorder.wait_for("job.done")["steps"] == 1
    assert accounts.all() == ["once"]
    assert recorder.audit(accounts.path).findings == ()


def test_a_step_is_told_before_the_end_however_much_a_host_has_written(rt, accounts, recorder, monkeypatch):
    monkeypatch.setattr("lamplighter.stores.tables.jobs.HOST_JOBS_MAX", 1)

    def work(job):
        with accounts.opened() as db, db:
            for number in range(5):
                rt.jobs.signal(f"n{number}", "approval", connection=db)
            job.step(Step("debit", connection=db), debit, db, "once")

    rt.jobs.queue_many([JobSpec(name="nobody", id=f"n{number}") for number in range(5)])
    rt.jobs.add_handler("work", work)
    rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX)
    recorder.until(lambda: len(recorder.of("job.signalled")) == 5)

    assert [line["step"] for line in recorder.of("job.stepped")] == ["debit"]
    assert recorder.of("job.done")[0]["steps"] == 1
    assert recorder.audit(accounts.path).findings == ()


def test_other_steps_stand_beside_one_in_a_transaction(rt, accounts, recorder):
    def work(job):
        job.step("before", str)
        with accounts.opened() as db, db:
            job.step(Step("debit", connection=db), debit, db, "once")
        job.step("after", str)
        with accounts.opened() as db, db, pytest.raises(UsageError, match="was done in this attempt already"):
            job.step(Step("debit", connection=db), debit, db, "twice")
        return [step.name for step in rt.jobs.steps(job)]

    rt.jobs.add_handler("work", work, max_attempts=1)
    job = rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX)

    assert (job.result, accounts.all()) == (["before", "debit", "after"], ["once"])
    recorder.wait_for("job.done")
    assert recorder.audit(accounts.path).findings == ()


def test_what_cannot_be_is_refused_before_or_with_nothing_stored(rt, accounts):
    said = []

    def work(job):
        with closing(sqlite3.connect(accounts.path, isolation_level=None)) as db:
            for step in (Step("a", connection=db), Step("b", connection=db, retries=1), Step("c", connection=7)):
                try:
                    job.step(step, str)
                except UsageError as error:
                    said.append(str(error))
        return len(rt.jobs.steps(job))

    rt.jobs.add_handler("work", work)
    job = rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX)

    autocommit, retries, nonsense = said
    assert "in autocommit mode" in autocommit
    assert "expected no retries of step 'b', which has a connection" in retries
    assert "expected connection= to be an open sqlite3.Connection" in nonsense
    assert job.result == 0


def test_a_unit_test_calls_a_handler_whose_step_has_a_connection(accounts):
    def work(job):
        with accounts.opened() as db, db:
            return job.step(Step("debit", connection=db), debit, db, "once")

    job = unit_job(None)

    assert [work(job), work(job)] == ["once is debited"] * 2
    assert accounts.all() == ["once"]
