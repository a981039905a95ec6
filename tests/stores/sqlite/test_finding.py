"""What a table finds is what matches, whichever index leads to it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lamplighter.admin.finding import find_all
from lamplighter.errors import UsageError
from lamplighter.messages.jobs import JobRecord, JobState
from lamplighter.messages.outcomes import Outcome, OutcomeKind
from lamplighter.messages.queries import DataTerm, JobQuery
from lamplighter.rules.codec import encode
from lamplighter.rules.queries import matches
from lamplighter.stores.ports import JobTable, Store
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.tables import finding
from lamplighter.stores.tables.turns import PRIORITIES_MAX

from support.conformance.kit import DEAD, DONE, NOW, RETRY, SUCCEEDED, new, take

NAMES = ("a", "B", "a b", "ü")
DATA: tuple[Any, ...] = (
    None,
    7,
    {"a": {"b": [1, True, "1", 1.0, None, {"c d": "ü"}]}},
    {"a": "x", "ü": "ß", "": 2**63, "a.b": "\\", "n": 10**400},
    {"a": {"b": "1"}, "big": 2**62, "real": 0.5},
    ["x", {"a": False}],
    '{"a":1}',
    {"a": {"b": None}, "\n": "\x00"},
)
ERRORS = ("TimeoutError: No answer", "ValueError: ü", "E%_", 'KeyError: "x"')
PATHS: tuple[tuple[str | int, ...], ...] = (
    (),
    ("a",),
    ("a", "b"),
    ("a", "b", 0),
    ("a", "b", 1),
    ("a", "b", 5, "c d"),
    ("ü",),
    ("",),
    ("a.b",),
    ("\n",),
    ("n",),
    ("big",),
    ("real",),
    (0,),
    (1, "a"),
    ("nothing",),
)
VALUES = (None, True, False, 0, 1, 7, 1.0, 0.5, 2**62, 2.0**63, "", "1", "x", "ü", "ß", "\\", "\x00", '{"a":1}', "true")


def filled() -> tuple[SqliteStore, list[JobRecord]]:
    """A store with jobs in every state, and all of them."""
    store = SqliteStore(":memory:")
    store.open()
    jobs = [
        new(
            ("id", "ID-", "é", "other:7")[n % 4] + str(n),
            name=NAMES[n % len(NAMES)],
            data=encode(DATA[n % len(DATA)], what="data", bytes_max=10_000),
            queued_at=NOW + n // 3,
            run_at=NOW + n // 3 + (100 if n % 5 == 4 else 0),
            root_id=f"c{n % 7}",
            unique_key=f"k{n}" if n % 3 == 0 else None,
            schedule="s" if n % 4 == 1 else None,
            slot=NOW + n if n % 4 == 1 else None,
            priority=n % 3 if n % 8 == 7 else 0,
            group_key=f"g{n % 5}" if n % 8 >= 6 else None,
            debounce_key=f"d{n % 7}" if n % 6 == 2 else None,
        )
        for n in range(80)
    ]
    with store.turn("b", NOW) as turn:
        turn.jobs.insert(jobs)
    for n, name in enumerate(NAMES * 4):
        claimed = take(store, NOW + n, name=name, begun=3)
        with store.turn("b", NOW + n) as turn:
            error = Outcome(kind=OutcomeKind.FAILED, error=ERRORS[n % len(ERRORS)])
            for job, outcome, verdict in zip(
                claimed,
                (SUCCEEDED, error, error),
                (DONE, DEAD, RETRY._replace(run_at=NOW + 50, attempt=n)),
                strict=False,
            ):
                turn.jobs.settle(job, outcome, verdict)
    for name in NAMES:
        take(store, NOW + 60, name=name, begun=2)
    with store.turn("b", NOW + 70) as turn:
        for job in list(turn.jobs.find([job.id for job in jobs]).values())[::9]:
            if job.state == "queued":
                turn.queued.cancel(job, "no Reason")
    late = [
        new(f"late{n}", name="a", queued_at=NOW + 70, run_at=NOW + 70, priority=n % 2, group_key="g1") for n in range(4)
    ]
    with store.turn("b", NOW + 71) as turn:
        turn.jobs.insert(late)
    return store, list(store.jobs.known([job.id for job in (*jobs, *late)]).values())


STORE, JOBS = filled()


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


instants = st.integers(-1, 110).map(lambda n: NOW + n)
texts = st.sampled_from(["", "e", "ERROR", "ü", "%", "_", "id", "-", "7", "reason", "No answer", '"', "other:"])
queries = st.builds(
    JobQuery,
    names=st.lists(st.sampled_from([*NAMES, "none"]), max_size=3, unique=True).map(tuple),
    states=st.lists(st.sampled_from(JobState), max_size=3).map(tuple),
    id_prefix=optional(st.sampled_from(["", "id", "i", "é", "ID-", "other:7", "id1", "z", "\U0010ffff"])),
    error=optional(texts),
    schedule=optional(st.sampled_from(["s", "t"])),
    slot=optional(st.sampled_from([NOW + 1, NOW + 5, NOW])),
    boot=optional(st.sampled_from(["b", "c"])),
    root_id=optional(st.sampled_from(["c0", "c3"])),
    unique=optional(st.sampled_from(["k0", "k3", "k1"])),
    debounce=optional(st.sampled_from(["d0", "d1", "none"])),
    group=optional(st.sampled_from(["g0", "g1", "g2", "none"])),
    attempt_min=optional(st.integers(-1, 9)),
    attempt_max=optional(st.integers(0, 9)),
    queued_since=optional(instants),
    queued_until=optional(instants),
    ended_since=optional(instants),
    ended_until=optional(instants),
    due_since=optional(instants),
    due_until=optional(instants),
    data=st.lists(st.builds(DataTerm, st.sampled_from(PATHS), st.sampled_from(VALUES)), max_size=1).map(tuple),
    words=st.lists(texts.filter(bool), max_size=2).map(tuple),
)
ENDED = (JobState.DONE, JobState.DEAD, JobState.CANCELLED)
FIELDS = sorted(JobQuery.__dataclass_fields__)


@st.composite
def sparse_queries(draw: Any) -> JobQuery:
    """Queries of a few criteria: of all at once next to nothing matches."""
    whole, kept = draw(queries), draw(st.lists(st.sampled_from(FIELDS), max_size=3))
    return JobQuery(**{field: getattr(whole, field) for field in kept})


def table_of(store: Store) -> JobTable:
    assert store.table is not None
    return store.table


def test_the_jobs_that_are_looked_for_are_in_every_state() -> None:
    assert {job.state for job in JOBS} == {state.value for state in JobState}


# A whole number that no float holds equals none.
@example(JobQuery(data=(DataTerm(("n",), 2.0**63),)), 3, 100)
@given(sparse_queries(), st.sampled_from([1, 3, 100]), st.sampled_from([1, 7, 100_000]))
def test_what_is_found_page_by_page_is_what_matches(query: JobQuery, limit: int, looked_max: int) -> None:
    found, after, is_over = [], None, False
    while not is_over:
        page = table_of(STORE).find(query, limit=limit, after=after, looked_max=looked_max)
        found += page.jobs
        assert len(page.jobs) <= limit
        after, is_over = page.next, page.next is None

    assert sorted(job.id for job in found) == sorted(job.id for job in JOBS if matches(query, job))
    ends = query.states or ENDED * ((query.ended_since, query.ended_until) != (None, None))
    by_end = bool(ends) and set(ends) <= set(ENDED)
    keys = [(job.ended_at, job.row_id) if by_end else job.row_id for job in found]
    assert keys == sorted(keys, reverse=True)


@given(sparse_queries())
def test_a_sweep_comes_by_what_matches(query: JobQuery) -> None:
    swept = [job_id for ids in table_of(STORE).sweep(query) for job_id in ids]

    assert sorted(swept) == sorted(job.id for job in JOBS if matches(query, job))


@given(sparse_queries())
def test_as_many_looks_as_it_takes_find_as_many_as_are_asked_for(query: JobQuery) -> None:
    wanted = [job for job in JOBS if matches(query, job)]

    assert len(find_all(STORE, query, limit=5)) == min(5, len(wanted))


@given(st.builds(DataTerm, st.sampled_from(PATHS), st.sampled_from(VALUES)))
def test_what_stands_in_data_is_found_by_its_place_and_of_just_its_type(term: DataTerm) -> None:
    found = {job.id for job in table_of(STORE).find(JobQuery(data=(term,)), limit=100).jobs}

    def at(value: Any) -> Any:
        for key in term.path:
            if not isinstance(value, list if isinstance(key, int) else dict):
                raise LookupError
            value = value[key]
        return value

    def equals(job: JobRecord) -> bool:
        try:
            value = at(json.loads(job.data))
        except LookupError:
            return False
        numbers = [isinstance(one, int | float) and not isinstance(one, bool) for one in (value, term.value)]
        return value == term.value and (all(numbers) or type(value) is type(term.value))

    assert found == {job.id for job in JOBS if equals(job)}


@pytest.mark.parametrize("key", ['a"b', "a\0b"])
def test_a_key_that_cannot_be_looked_for_is_refused(key: str) -> None:
    query = JobQuery(data=(DataTerm((key,), 1),))

    with pytest.raises(UsageError, match="quotation mark or NUL"):
        table_of(STORE).find(query, limit=1)


@given(st.sampled_from(NAMES), st.sampled_from([1, 2, 5, 100]), instants)
def test_a_census_counts_what_is_there(name: str, cap: int, now: float) -> None:
    census = table_of(STORE).census((name,), cap, now)[name]

    queued = [job for job in JOBS if (job.name, job.state) == (name, "queued")]
    due = [job.run_at for job in queued if job.run_at <= now]
    running = sum((job.name, job.state) == (name, "running") for job in JOBS)
    if not census.capped:
        counted = (len(due), len(queued) - len(due), running)
        assert (census.ready, census.scheduled, census.running) == counted
    assert max(census.ready, census.scheduled, census.running) <= cap
    assert census.oldest_ready == min(due, default=None) or census.capped


@pytest.mark.parametrize("cursor", ["", "x", "[]", "[1,2]", '["a",1,"b"]', "[1.0,1.5,null]"])
def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    with pytest.raises(UsageError, match="expected the cursor of a page"):
        table_of(STORE).find(JobQuery(), limit=1, after=cursor)


def statements_of(query: JobQuery) -> Iterator[str]:
    """How SQLite goes about each statement that a look makes, in its words."""
    with STORE._lock:
        connection = STORE._writer
        assert connection is not None
        said: list[str] = []
        connection.set_trace_callback(said.append)
        table_of(STORE).find(query, limit=10)
        connection.set_trace_callback(None)
        for text in said:
            if text.startswith("select"):
                yield from (row[3] for row in connection.execute(f"explain query plan {text}"))


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (JobQuery(states=(JobState.DEAD,), error="x"), "lamplighter_jobs_ended"),
        (JobQuery(ended_since=NOW), "lamplighter_jobs_ended"),
        (JobQuery(states=(JobState.RUNNING,), names=("a",)), "lamplighter_jobs_running"),
        (JobQuery(states=(JobState.QUEUED,)), "lamplighter_jobs_ready"),
        (JobQuery(states=(JobState.QUEUED,), names=("a",)), "lamplighter_jobs_waiting"),
        (JobQuery(states=(JobState.RUNNING,), names=("a",), group="g1"), "(name=? AND group_key=?"),
        (JobQuery(states=(JobState.QUEUED,), names=("a",), group="g1"), "(name=? AND priority=? AND group_key=?"),
        (JobQuery(states=(JobState.QUEUED,), attempt_min=1), "lamplighter_jobs_tried"),
        (JobQuery(root_id="c1"), "lamplighter_jobs_children"),
        (JobQuery(id_prefix="id"), "sqlite_autoindex_lamplighter_jobs_1"),
    ],
    ids=str,
)
def test_an_index_leads_to_what_is_looked_for(query: JobQuery, index: str) -> None:
    plans = list(statements_of(query))

    assert any(index in plan for plan in plans)
    assert not [plan for plan in plans if plan == "SCAN lamplighter_jobs"]


def test_a_group_is_found_behind_more_jobs_than_are_looked_at() -> None:
    query = JobQuery(names=("work",), states=(JobState.QUEUED, JobState.RUNNING), group="old")
    with contextlib.closing(SqliteStore(":memory:")) as store:
        store.open()
        with store.turn("b", NOW) as turn:
            turn.jobs.insert([new(f"old{n}", group_key="old", priority=n) for n in range(3)])
            turn.jobs.insert([new(f"new{n}", group_key=f"g{n}", priority=n % 3) for n in range(40)])

        found = table_of(store).find(query, limit=10, looked_max=10)

    assert ([job.id for job in found.jobs], found.complete) == (["old2", "old1", "old0"], True)


def test_a_group_at_more_priorities_than_are_worth_a_seek_is_found_among_the_newest() -> None:
    query = JobQuery(names=("work",), states=(JobState.QUEUED,), group="old")
    with contextlib.closing(SqliteStore(":memory:")) as store:
        store.open()
        with store.turn("b", NOW) as turn:
            turn.jobs.insert([new(f"old{n}", group_key="old", priority=n) for n in range(PRIORITIES_MAX + 1)])

        found = table_of(store).find(query, limit=1_000)

    assert len(found.jobs) == PRIORITIES_MAX + 1


def test_among_what_is_queued_only_what_was_tried_is_looked_at_for_what_has_failed() -> None:
    queued = [job for job in JOBS if job.state == "queued"]
    tried = [job for job in queued if job.attempt > 0]

    looked, *others = (
        table_of(STORE).find(JobQuery(states=(JobState.QUEUED,), attempt_min=least), limit=100) for least in (1, 0, -1)
    )

    assert 0 < looked.looked_at == len(looked.jobs) == len(tried) < len(queued)
    assert [len(other.jobs) for other in others] == [len(queued)] * 2


def test_where_no_index_helps_the_newest_jobs_are_looked_at_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    look = finding._look
    monkeypatch.setattr(finding, "_look", lambda *args, **how: looks.append(how["looked_max"]) or look(*args, **how))

    found = table_of(STORE).find(JobQuery(words=("nowhere",)), limit=10, looked_max=20)

    assert (looks, found.looked_at, found.complete) == ([20], 20, False)
