"""Each option of a job, on every road that a job takes: nobody who adds one may forget a road."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lamplighter import Debounce, Job, Operator, Runtime
from lamplighter.cli.main import main
from lamplighter.cli.migrate import NOT_MOVED, as_new
from lamplighter.messages.jobs import JobRecord, NewJob
from lamplighter.rules.new_jobs import KEPT_OPTIONS, SPEC_OPTIONS

from .web.kit import Page

LATER = datetime(2100, 1, 1, tzinfo=UTC)
KEPT = {"priority": 7, "max_attempts": 3, "timeout": 60.0, "unique": "one", "group": "tenant"}
"""A value of each option that is kept as a call has said it."""

OTHERS = {
    "id": "mine",
    "delay": 3600,
    "at": LATER,
    "expires": LATER,
    "after": ("parent",),
    "after_ended": ("parent",),
    "after_failed": ("parent",),
    "debounce": Debounce("doc", quiet=60, at_most=600),
}
"""A value of each that says when a job is due, or what it waits for."""

SAYS = {
    "id": {"id": "mine"},
    "delay": {"due_in": 3600.0},
    "at": {"run_at": LATER.timestamp(), "due_in": None},
    "expires": {"expires_at": LATER.timestamp()},
    "after": {"is_linked": True},
    "after_ended": {"is_linked": True},
    "after_failed": {"is_linked": True},
    "debounce": {"debounce_key": "doc"},
}
"""The fields of the stored job by which each of these is seen."""


def kept_of(job: Job[Any]) -> dict[str, Any]:
    return {option: getattr(job.record, kept.column) for option, kept in KEPT_OPTIONS.items()}


def seen_of(option: str, job: Job[Any]) -> dict[str, Any]:
    return {field: getattr(job.record, field) for field in SAYS[option]}


@pytest.fixture
def rt(runtime: Callable[..., Runtime]) -> Runtime:
    started = runtime()
    started.jobs.queue("parent", id="parent")
    return started


def test_every_option_has_a_value_here() -> None:
    assert SPEC_OPTIONS.keys() == KEPT.keys() | OTHERS.keys()
    assert KEPT_OPTIONS.keys() == KEPT.keys()
    assert all(KEPT[option] != SPEC_OPTIONS[option] for option in KEPT)


def test_the_fields_of_a_new_job_are_those_of_a_record_but_its_parents() -> None:
    assert {name for name in NewJob._fields if name not in JobRecord._fields} == {"parents"}


def test_what_is_kept_is_stored_and_survives_a_requeue(rt: Runtime) -> None:
    queued = rt.jobs.queue("mail", **KEPT)  # type: ignore[arg-type]

    assert kept_of(queued) == kept_of(rt.jobs.get(queued)) == kept_of(rt.jobs.requeue(queued)) == KEPT


@pytest.mark.parametrize("option", OTHERS)
def test_each_other_option_is_stored(rt: Runtime, option: str) -> None:
    queued = rt.jobs.queue("mail", **{option: OTHERS[option]})

    assert seen_of(option, queued) == seen_of(option, rt.jobs.get(queued)) == SAYS[option]


def test_a_copy_has_what_is_kept(rt: Runtime) -> None:
    queued = rt.jobs.queue("mail", **KEPT)  # type: ignore[arg-type]
    rt.jobs.cancel(queued)

    copy = Operator(rt.address, by="ada", via="test").copy(queued.id)

    assert kept_of(copy) == KEPT


def test_the_next_call_with_a_debounce_key_replaces_what_is_kept(rt: Runtime) -> None:
    replaced = {option: value for option, value in KEPT.items() if option != "unique"}
    first = rt.jobs.queue("mail", debounce=Debounce("doc", quiet=60, at_most=600))

    job = rt.jobs.queue("mail", debounce=Debounce("doc", quiet=60, at_most=600), **replaced)  # type: ignore[arg-type]

    assert job.id == first.id
    assert kept_of(rt.jobs.get(job)) == {**replaced, "unique": None}


def test_what_a_server_can_keep_is_moved_to_it(rt: Runtime) -> None:
    queued = rt.jobs.queue("mail", at=LATER, expires=LATER, **KEPT)  # type: ignore[arg-type]

    moved = as_new(queued.record)

    columns = {kept.column for kept in KEPT_OPTIONS.values()} | {"run_at", "expires_at"}
    assert {name: getattr(moved, name) for name in columns - NOT_MOVED} == {
        name: getattr(queued.record, name) for name in columns - NOT_MOVED
    }
    assert set(NewJob._fields) > NOT_MOVED


def test_jobs_show_shows_what_is_kept(rt: Runtime, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queued = rt.jobs.queue("mail", **KEPT)  # type: ignore[arg-type]
    rt.stop()
    capsys.readouterr()

    main(["jobs", "show", queued.id, "--json", "--store", rt.address])
    shown = json.loads(capsys.readouterr().out)
    main(["jobs", "show", queued.id, "--store", rt.address])
    page = capsys.readouterr().out

    assert {option: shown["job"][option] for option in KEPT} == KEPT
    assert [option for option in KEPT if option not in page and option != "max_attempts"] == []


def test_the_page_of_a_job_shows_what_is_kept(rt: Runtime) -> None:
    queued = rt.jobs.queue("mail", **KEPT)  # type: ignore[arg-type]

    page = Page(Path(rt.address)).text(f"/jobs/{queued.id}")

    facts = dict(re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", page))
    shown = {**KEPT, "timeout": "60 s"}
    assert facts.pop("attempts") == f"0 of {shown.pop('max_attempts')}"
    assert {option: facts[option] for option in shown} == {option: str(value) for option, value in shown.items()}
