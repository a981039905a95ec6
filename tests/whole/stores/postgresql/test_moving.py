"""`lamplighter migrate` between SQLite and PostgreSQL: all rows are there afterwards, and the source is refused."""

from __future__ import annotations

import contextlib
import itertools
import logging
import queue
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lamplighter import Job, Rate, Runtime, UsageError
from lamplighter.cli.main import main
from lamplighter.environment.environment import Environment
from lamplighter.environment.failpoints import Failpoints
from lamplighter.log.outlets import LineFile
from lamplighter.stores.opening import place_of
from lamplighter.stores.tables import moving
from lamplighter.stores.tables.job_rows import insert_uncounted
from lamplighter.stores.tables.turn import TableTurn

from ....support.conformance.kit import a_boot, new, put

SAMPLE = Path(__file__).parents[3] / "stores" / "sqlite" / "samples" / "store-0.2.0.sql"

MORE = (
    "update lamplighter_jobs set state = 'queued', boot = null where state = 'running'",
    # A session that has just come to a PostgreSQL cannot know that a runtime of another machine is dead.
    "update lamplighter_boots set kind = 'operator'",
    "update lamplighter_store set boots = 7, change_no = 3, last_no = 40",
    "insert into lamplighter_retired values ('weekly', 2)",
    "insert into lamplighter_schedule_changes values (4, 'yearly', 2.5, null)",
    "insert into lamplighter_follow_ups select max(no), min(no) from lamplighter_jobs",
    "insert into lamplighter_gone_parents values (39, 'gone', 'work', 'done', 3)",
    "insert into lamplighter_slots values ('yearly', 3.5, 3.5, 1, 'fired', null, 'ü')",
    "insert into lamplighter_parents_to_check values (1, 2, 1)",
    "insert into lamplighter_rates values ('work', '', 1e9)",
    """update lamplighter_jobs set data = '"\\ \\u0000"', error = 'a\\tb\\' || char(10, 9, 92) || '\\N' where no = 1""",
)
"""So every table has rows, some of them with what a copy may spoil."""


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A store in which every table has rows, and no job runs."""
    path = str(tmp_path / "jobs.db")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(SAMPLE.read_text("utf-8"))
        with connection:
            for statement in MORE:
                connection.execute(statement)
    assert all(rows_at(path).values())
    return path


def rows_at(address: str) -> dict[str, list[Any]]:
    """All rows of all tables but that of the store."""
    with contextlib.closing(place_of(address).lives()) as lives:
        return {
            table: [row for page in moving._pages(lives._connection, table) for row in page] for table in moving.KEYS
        }


def about(address: str) -> tuple[Any, ...]:
    with contextlib.closing(place_of(address).lives()) as lives:
        return lives._connection.execute(
            "select store_id, boots, change_no, moved_to from lamplighter_store"
        ).fetchone()


@contextlib.contextmanager
def opened(address: str, failpoints: Failpoints | None = None):
    environment = Environment()
    store = place_of(address).store(failpoints=failpoints or environment.failpoints, new_id=environment.new_id)
    store.open()
    try:
        yield store
    finally:
        store.close()


def move(address: str, to: str, at_source: Failpoints | None = None, at_target: Failpoints | None = None) -> int:
    with opened(address, at_source) as source, opened(to, at_target) as target:
        return moving.move(source, target, 1e9)


@pytest.fixture(params=["postgresql", "sqlite"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of another store, which is not there yet."""
    if request.param == "postgresql":
        return request.getfixturevalue("fresh_postgres")()
    return str(tmp_path / "other.db")


def test_all_rows_are_moved_there_and_back(file: str, fresh_postgres, tmp_path: Path, capsys) -> None:
    was, url, back = rows_at(file), fresh_postgres(), str(tmp_path / "back.db")
    store_id = about(file)[0]

    codes = [main(["migrate", *way]) for way in ((file, url), (url, back))]

    assert codes == [0, 0]
    assert f"moved {len(was['lamplighter_jobs'])} jobs, and all else" in capsys.readouterr().out
    assert rows_at(url) == rows_at(back) == was
    assert about(back) == (store_id, 7, 3, None)
    with opened(back) as store:
        assert put(store, new("later"))[0].row_id == 41


def test_a_store_that_was_moved_says_where_it_is_now(file: str, target: str, capsys) -> None:
    assert main(["migrate", file, target]) == 0
    assert main(["migrate", target, f"{file}.back"]) == 0

    for address, other in ((file, about(file)[3]), (target, f"{file}.back")):
        with pytest.raises(UsageError) as refused, opened(address):
            pass
        assert f"has moved to {other}; give" in str(refused.value)
        assert "hush-hush" not in str(refused.value)
        assert main(["migrate", address, f"{file}.other"]) == 2


def test_a_runtime_that_has_opened_the_store_before_cannot_enter_it(file: str, target: str) -> None:
    with opened(file) as late:
        move(file, target)

        with pytest.raises(UsageError, match="has moved to"), late.turn("late", 1e9) as turn:
            turn.boots.register(a_boot("late"))
    assert about(file)[1] == 7


class Failing:
    """A connection that raises at one of its statements, and counts them."""

    def __init__(self, connection: Any, statements: list[int]) -> None:
        self.connection = connection
        self.statements = statements

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.connection, name)
        if name not in ("execute", "executemany", "copy", "script"):
            return found
        self.statements[0] -= 1
        if self.statements[0] == 0:
            raise KeyboardInterrupt
        return found


def test_a_move_that_ends_at_any_statement_can_be_taken_again(
    file: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    was, left = rows_at(file), [0]
    hold = {kind: kind.hold_all for kind in (TableTurn, *TableTurn.__subclasses__())}
    for kind, method in hold.items():

        def hold_all(turn: TableTurn, method=method) -> None:
            turn.connection = Failing(turn.connection, left)
            method(turn)

        monkeypatch.setattr(kind, "hold_all", hold_all)
    with opened(file) as source, opened(target) as other:
        nothing = rows_at(target)
        for statements in itertools.count(1):
            left[0] = statements
            try:
                moving.move(source, other, 1e9)
                break
            except KeyboardInterrupt:
                assert about(file)[3] is None
                if (found := rows_at(target)) != nothing:
                    # Only the mark was missing, so the next moves compare all rows.
                    assert found == was

    assert statements > 2 * len(moving.KEYS)
    assert (rows_at(target), about(file)[3]) == (was, other.address)


@pytest.mark.parametrize("point", ["begin", "commit", "committed"])
@pytest.mark.parametrize("where", ["source", "target"])
def test_a_move_that_was_interrupted_goes_on_where_it_was(file: str, target: str, where: str, point: str) -> None:
    was, fails = rows_at(file), Failpoints(f"store.turn.{point}=1*raise(KeyboardInterrupt)->off")

    with pytest.raises(KeyboardInterrupt):
        move(file, target, **{f"at_{where}": fails})

    if (where, point) == ("source", "committed"):
        assert about(file)[3] is not None
    else:
        assert move(file, target) == len(was["lamplighter_jobs"])
    assert rows_at(target) == rows_at(file) == was


@pytest.mark.parametrize("used", ["source", "target"])
def test_after_an_interrupted_move_a_store_that_was_used_is_not_thrown_away(file: str, target: str, used: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        move(file, target, at_target=Failpoints("store.turn.committed=raise(KeyboardInterrupt)"))
    with opened(file if used == "source" else target) as store:
        put(store, new("since"))

    with pytest.raises(UsageError, match="one of them was used since"):
        move(file, target)

    assert about(file)[3] is None


@pytest.mark.parametrize("where", ["source", "target"])
def test_no_store_is_moved_on_which_a_runtime_lives(file: str, target: str, where: str, capsys) -> None:
    with Runtime(file if where == "source" else target):
        assert main(["migrate", file, target]) == 2

    assert "stop it first" in capsys.readouterr().err
    assert about(file)[3] is None


def test_no_store_is_moved_in_which_jobs_run(file: str, target: str, capsys) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("update lamplighter_jobs set state = 'running', boot = 'dead' where no = 1")

    assert main(["migrate", file, target]) == 2
    assert "start a runtime there once, so that they are taken back" in capsys.readouterr().err


def test_no_store_is_moved_onto_another(file: str, target: str, capsys) -> None:
    with opened(target) as store:
        put(store, new("theirs"))

    assert main(["migrate", file, target]) == 2
    assert "got: one with rows in lamplighter_jobs" in capsys.readouterr().err
    assert [row[1] for row in rows_at(target)["lamplighter_jobs"]] == ["theirs"]


def test_a_text_that_postgresql_cannot_keep_is_named_and_nothing_is_moved(file: str, fresh_postgres, capsys) -> None:
    url = fresh_postgres()
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("update lamplighter_jobs set reason = 'a' || char(0) where no = 3")

    assert main(["migrate", file, url]) == 2
    said = capsys.readouterr().err
    assert r"expected rows of lamplighter_jobs that PostgreSQL can keep, got one with 'a\x00'" in said
    assert "remove it first" in said
    assert not any(rows_at(url).values())


@pytest.mark.parametrize("given", [("jobs.db", "jobs.db"), (":memory:", "jobs.db"), ("jobs.db", ":memory:")])
def test_a_move_needs_two_stores_that_others_can_find(file: str, given, monkeypatch, capsys) -> None:
    monkeypatch.chdir(Path(file).parent)

    assert main(["migrate", *given]) == 2
    assert "expected the path of a SQLite store or the URL of a PostgreSQL" in capsys.readouterr().err


@contextlib.contextmanager
def life(address: str, log: Path, **handlers: Any) -> Iterator[Runtime]:
    """A runtime that works, and writes its log."""
    logger = logging.getLogger(log.name)
    logger.propagate = False
    logger.addHandler(outlet := LineFile(str(log)))
    runtime = Runtime(address, logger=logger)
    for name, handler in handlers.items():
        runtime.jobs.add_handler(name, handler, max_attempts=9, backoff=[3600.0], rate_per_group=Rate(10_000, per=1))
    with contextlib.closing(outlet), runtime:
        yield runtime


def test_jobs_go_on_after_each_move_and_the_logs_of_all_lives_are_one(tmp_path: Path, fresh_postgres, capsys) -> None:
    file, url, back = str(tmp_path / "jobs.db"), fresh_postgres(), str(tmp_path / "back.db")
    logs = [tmp_path / f"{number}.log" for number in range(3)]
    came: queue.SimpleQueue[str] = queue.SimpleQueue()

    def work(job: Job) -> str:
        first = job.step("first", lambda: f"{job.id} by attempt {job.attempt}")
        came.put(job.id)
        if job.id == "flaky":
            raise ValueError("not yet")
        return job.wait("approval", timeout=3600) if job.id == "asks" else first

    with life(file, logs[0], work=work) as runtime:
        jobs = runtime.jobs
        assert {jobs.queue("work", id=one).id for one in ("flaky", "asks")} == {came.get(timeout=10) for _ in range(2)}
        jobs.queue("later", id="parent")
        jobs.queue("later", id="child", after="parent")
        for number in range(6):
            jobs.queue("later", id=f"grouped-{number}", group=f"g{number % 2}")
        jobs.queue("paused", id="paused", unique="key")
        jobs.pause("paused", reason="it moves")
        runtime.scheduler.add("later", "@yearly", key="yearly", durable=True)
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        # An application's transaction that no turn has counted.
        assert insert_uncounted(connection, new("uncounted", name="later")) is not None
    assert main(["migrate", file, url]) == 0

    with life(url, logs[1], work=work, later=work, paused=work) as runtime:
        jobs = runtime.jobs
        jobs.signal("asks", "approval", "yes")
        ended = ["asks", "parent", "child", "uncounted", *(f"grouped-{number}" for number in range(6))]
        results = {one: jobs.join(one, timeout=20).result for one in ended}
        assert results == {**{one: f"{one} by attempt 1" for one in ended}, "asks": "yes"}
        assert jobs.queue("paused", unique="key").id == "paused"
        assert [attempt.error for attempt in jobs.attempts("flaky")] == ["ValueError: not yet"]
    assert main(["migrate", url, back]) == 0

    with life(back, logs[2], work=work, later=work, paused=work) as runtime:
        jobs = runtime.jobs
        assert [one.key for one in runtime.scheduler.list()] == ["yearly"]
        assert (jobs.paused(), jobs.get("paused").state) == (("paused",), "queued")
        jobs.resume("paused")
        assert jobs.join("paused", timeout=20).result == "paused by attempt 1"
        assert jobs.get("child").result == results["child"]
    capsys.readouterr()
    code, says = main(["audit", *map(str, logs), "--store", back]), capsys.readouterr().out
    assert (code, "all is well" in says) == (0, True), says
