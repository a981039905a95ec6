"""The audit of several stores whose boots nothing but their revisions tells apart."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from lamplighter.history.audit.report import Report
from lamplighter.history.audit.same_path_stores import audit_logs
from lamplighter.history.audit.store_view import StoreView

from ..kit import Said, clean_run, kinds, write_log

LEVELS = pytest.mark.parametrize("level", ["debug", "info"])


def audited(folder: Path, lines: list[Said], store: Path | None = None) -> Report:
    view = None if store is None else StoreView(store)
    return audit_logs([str(write_log(folder / "log", lines))], view)


def another(lines: list[Said], boot: str, **fields: Any) -> list[Said]:
    """The same run once more, as another boot with other jobs has it."""
    again = [{**line, "boot": boot, **(fields if line["event"] == "runtime.started" else {})} for line in lines]
    return [{**line, "job_id": f"{boot}-{line['job_id']}"} if _is_plain_job(line) else line for line in again]


def _is_plain_job(line: Said) -> bool:
    return "job_id" in line and "-" not in line["job_id"]


def ours(level: str) -> list[Said]:
    return [line for line in clean_run(level).lines if "seq" in line]


def in_turns(one: list[Said], other: list[Said]) -> list[Said]:
    return [line for pair in zip(one, other, strict=True) for line in pair]


def both_well(report: Report, level: str) -> None:
    assert report.ok, report.findings[:5]
    assert any("they are taken for those of 2 stores" in note for note in report.notes)
    assert report.boots == 2
    assert report.transitions == 2 * len([line for line in ours(level) if "rev" in line])


@LEVELS
def test_the_same_path_on_two_hosts_is_two_stores_whoever_speaks_first(tmp_path, level):
    one = ours(level)
    other = another(one, "b2", host="two")
    start = next(index for index, line in enumerate(one) if "rev" in line)
    lines = [*one[:start], *other[:start], *in_turns(other[start:], one[start:])]

    both_well(audited(tmp_path, lines), level)


@LEVELS
def test_two_stores_are_told_apart_in_a_log_that_begins_after_they_said_where(tmp_path, level):
    one = ours(level)[1:]
    both_well(audited(tmp_path, in_turns(one, another(one, "b2"))), level)


@LEVELS
def test_a_store_that_was_made_anew_is_another_one(tmp_path, level):
    one = ours(level)

    both_well(audited(tmp_path, [*another(one, "b2"), *one], clean_run(level).store), level)


def test_a_store_that_lost_its_last_transitions_with_the_power_is_still_one_store(tmp_path):
    lines = ours("debug")
    # An heir that told the very first revision again, be it as the beginning of a job that it ends, would be of a store
    # made anew.
    told = [index for index, line in enumerate(lines) if "rev" in line]
    kept, lost, first_job = told[len(told) // 4], told[len(told) // 2], lines[told[0]]["job_id"]
    rest = [line for line in lines[kept:] if line.get("job_id") != first_job]
    heir = [{**line, "boot": "b2", "seq": number} for number, line in enumerate(another(rest, "b2"), 1)]

    assert "revision twice" in kinds(audited(tmp_path, [*lines[:lost], *heir]))


def test_two_boots_with_the_same_revisions_and_the_same_jobs_are_on_one_store(tmp_path):
    one = ours("debug")
    other = another(one, "b2")
    # A slot's job, which has the same id in both, would be born in both.
    claimed = next(i for i, line in enumerate(one) if line["event"] == "job.claimed" and _is_plain_job(line))
    other[claimed] = {**one[claimed], "boot": "b2"}

    assert "revision twice" in kinds(audited(tmp_path, in_turns(one, other)))


def test_a_revision_that_one_boot_takes_twice_is_found(tmp_path):
    lines = ours("debug")
    last = [index for index, line in enumerate(lines) if "rev" in line][-1]
    again = {**lines[last], "seq": 10_000, "job_id": "another"}

    assert kinds(audited(tmp_path, [*lines[: last + 1], again, *lines[last + 1 :]])).count("revision twice") == 1


def test_boots_of_three_stores_at_one_path_are_each_with_their_own(tmp_path):
    runs = [ours("debug"), another(ours("debug"), "b2"), another(ours("debug"), "b3")]

    report = audited(tmp_path, list(itertools.chain.from_iterable(zip(*runs, strict=True))))

    assert report.ok, report.findings[:5]
    assert any("those of 3 stores" in note for note in report.notes)
