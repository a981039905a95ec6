"""A job's life, by its store alone and beside a log."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from lamplighter.admin.stored_life import StoredLife, stored_life
from lamplighter.errors import UnknownJob
from lamplighter.history.trace.job import Biography, biography
from lamplighter.stores.sqlite.store import SqliteStore

from ..history.kit import Said, clean_run, index_of, write_log
from ..support.conformance.kit import NOW, a_boot, new, put, take

ONLY_A_LOG = "only a log can tell when it was claimed, snoozed, put back or requeued, and what its function said"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def store(file: Path) -> Iterator[SqliteStore]:
    """An open store, on which a boot runs jobs of `work`."""
    one = SqliteStore(str(file))
    one.open()
    with one.turn("b", NOW) as turn:
        turn.boots.register(a_boot("b", names=("work",)))
    yield one
    one.close()


def says(life: StoredLife) -> list[str]:
    return [entry.says for entry in life.entries]


def ended(name: str, event: str) -> str:
    """A job of this name that ended so in the clean run."""
    return str(clean_run().lines[index_of(clean_run().lines, event, job_name=name)]["job_id"])


def life_in(log: Path, lines: tuple[Said, ...], job_id: str) -> Biography:
    life = biography([str(write_log(log, lines))], job_id)
    assert life is not None
    return life


def told_by(*lines: Said) -> tuple[Said, ...]:
    """Only the ledger's lines."""
    return tuple(line for line in lines if "moves" in line)


def test_a_store_tells_of_a_jobs_birth_each_failed_attempt_and_its_end():
    life = stored_life(str(clean_run().store), ended("bad", "job.dead"), 0.0)

    birth, first, second, end, rest = life.entries
    assert birth.says == "queued, 4 bytes of data"
    for entry, attempt in ((first, 1), (second, 2)):
        assert entry.says.startswith(f"claim {attempt}, attempt {attempt}, failed after ")
        assert entry.says.endswith(": ZeroDivisionError: division by zero")
        assert entry.said["traceback"].startswith("Traceback")
    assert end.says.endswith(": failed in attempt 2 of 2: ZeroDivisionError: division by zero")
    assert [entry.at for entry in life.entries[:-1]] == sorted(entry.at or 0.0 for entry in life.entries[:-1])
    assert rest.says == ONLY_A_LOG
    assert "dead after " in life.title
    assert life.title.endswith(f", 2 claims, attempt 2; told by {life.address} alone")


@pytest.mark.parametrize(
    ("name", "event", "end", "tone", "untold"),
    [
        ("good", "job.done", r"done .* after claim 2 on boot \w{6}", "good", "how 1 claim ended, "),
        ("hopeless", "job.dead", r"dead .* after claim 1 on boot \w{6}: no hope: Discard: no hope", "bad", ""),
        ("nobody", "job.cancelled", r"cancelled: cancelled by the application", "plain", ""),
        ("nobody", "job.done", r"done", "good", ""),
    ],
)
def test_each_end_is_told_with_why_and_in_its_tone(name, event, end, tone, untold):
    first, *claims, last, rest = stored_life(str(clean_run().store), ended(name, event), 0.0).entries

    assert (first.says, first.tone, first.who) == ("queued, 4 bytes of data", "plain", "the store")
    assert [claim.tone for claim in claims] == ["warning"] * (name == "hopeless")
    assert re.fullmatch(end, last.says)
    assert (last.tone, last.said["state"]) == (tone, event.removeprefix("job."))
    assert (rest.says, rest.tone, rest.at) == (ONLY_A_LOG.replace("tell when", f"tell {untold}when"), "quiet", None)


def test_claims_of_whose_end_a_store_knows_nothing_are_counted():
    life = stored_life(str(clean_run().store), ended("sleepy", "job.done"), 0.0)

    assert says(life)[-1] == ONLY_A_LOG.replace("tell when", "tell how 1 claim ended, when")
    assert f" after claim 2 on boot {str(life.job.boot)[:6]}" in says(life)[1]


def test_a_running_job_is_told_with_who_holds_it_and_for_how_long(store, file):
    put(store, new("j"))
    take(store, NOW + 1.0)

    life = stored_life(str(file), "j", NOW + 5.0)

    assert says(life)[1:-1] == [
        "claim 1 taken by boot b",
        "now: attempt 1 has held it for 4 s on boot b (pid 1 on h), and nobody can know whether that lives",
    ]


@pytest.mark.parametrize(
    ("name", "run_at", "because"),
    [
        ("work", NOW + 60.0, "now: it is due in 60 s, at 1970-01-12T13:47:40Z"),
        ("paused", NOW, "now: 'paused' has been paused since 1970-01-12T13:46:40Z"),
        ("nobody", NOW, "now: no running process on STORE has a handler for 'nobody'"),
    ],
)
def test_a_waiting_job_is_told_with_the_reason(store, file, name, run_at, because):
    with store.turn("b", NOW) as turn:
        turn.jobs.pause("paused", paused=True)
    put(store, new("j", name=name, run_at=run_at))

    assert because.replace("STORE", str(file)) in says(stored_life(str(file), "j", NOW))


def test_a_job_of_a_slot_and_one_that_descends_from_another_are_told_as_such(store, file):
    put(store, new("j", schedule="s", slot=NOW, root_id="root", data='{"to":"ada"}'))

    slot = "1970-01-12T13:46:40Z of schedule s"
    assert (
        says(stored_life(str(file), "j", NOW))[0] == f"queued for slot {slot}, 12 bytes of data, descending from root"
    )


def test_a_job_of_many_calls_is_told_as_the_last_has_it(store, file):
    put(store, new("j", debounce_key="doc-7", debounce_until=NOW + 60, run_at=NOW + 5, data="1"))
    put(store, new("k", debounce_key="doc-7", debounce_until=NOW + 60, run_at=NOW + 9, data="12"))

    assert says(stored_life(str(file), "j", NOW))[:2] == [
        "queued, 2 bytes of data, due in 9 s, as the last call with its debounce key 'doc-7' has it",
        "now: it is due in 9 s, at 1970-01-12T13:46:49Z; each call with its debounce key 'doc-7' puts it off, until "
        "1970-01-12T13:47:40Z at most",
    ]


def test_a_job_that_is_not_there_is_an_error(store, file):
    with pytest.raises(UnknownJob, match=r"no job 'j': unknown to .*app.db, or removed by retention"):
        stored_life(str(file), "j", NOW)


def test_beside_a_log_it_is_said_that_the_store_has_the_same(tmp_path):
    run = clean_run("info")
    job_id = next(
        str(line["job_id"]) for line in run.lines if line["event"] == "job.dead" and line["job_name"] == "bad"
    )
    life = stored_life(str(run.store), job_id, 0.0)

    added = life.beside(life_in(tmp_path / "log", run.lines, job_id))

    assert [(entry.says, entry.tone) for entry in added] == [
        (f"{run.store} adds:", "plain"),
        ("it has the same: dead, claim 2, attempt 2 by move 5; 4 bytes of data", "good"),
    ]


def test_beside_a_log_that_ends_early_the_store_tells_the_rest(tmp_path):
    run = clean_run("info")
    job_id = next(
        str(line["job_id"]) for line in run.lines if line["event"] == "job.dead" and line["job_name"] == "bad"
    )
    births = [line for line in told_by(*run.lines) if any(move.get("j") == job_id for move in line["moves"])]
    life = stored_life(str(run.store), job_id, 0.0)

    _, first, second, stands = life.beside(life_in(tmp_path / "log", tuple(births[:1]), job_id))

    assert first.says.startswith("claim 1, attempt 1, failed after ")
    assert second.says.startswith("claim 2, attempt 2, failed after ")
    last = max(move["r"] for move in births[0]["moves"] if move.get("j") == job_id)
    assert stands.says.startswith(
        f"it has come further: dead, claim 2, attempt 2 by move 5, and these logs tell {last}"
    )
    assert stands.tone == "warning"


@pytest.mark.parametrize(
    ("change", "begins"),
    [
        ("rev = rev - 1", "it has not come so far: dead, claim 2, attempt 2 by move 4, and these logs tell 5"),
        (
            "attempt = 7",
            "it disagrees: dead, claim 2, attempt 7 by move 5, and these logs tell dead, claim 2, attempt 2",
        ),
        ("rev = 0", "dead, claim 2, attempt 2: an application's own transaction has moved it"),
    ],
)
def test_beside_a_log_it_is_said_where_the_store_has_something_else(tmp_path, change, begins):
    run = clean_run()
    job_id = ended("bad", "job.dead")
    changed = tmp_path / "changed.db"
    with closing(sqlite3.connect(run.store)) as source, closing(sqlite3.connect(changed)) as copy:
        source.backup(copy)
        copy.execute(f"update lamplighter_jobs set {change} where id = ?", (job_id,))
        copy.commit()

    added = stored_life(str(changed), job_id, 0.0).beside(life_in(tmp_path / "log", run.lines, job_id))

    assert added[-1].says.startswith(begins)


def test_a_job_of_the_same_id_in_another_store_is_told_as_another(store, file, tmp_path):
    job_id = ended("bad", "job.dead")
    put(store, new(job_id))
    life = stored_life(str(file), job_id, NOW)

    head, *rest = life.beside(life_in(tmp_path / "log", clean_run().lines, job_id))

    assert head.says.startswith(
        f"these logs tell of other stores; in {file} (store {life.store_id}): job {job_id} (work)"
    )
    assert rest == list(life.entries)
