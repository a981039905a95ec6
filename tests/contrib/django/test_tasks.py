"""Django's own Tasks, on Lamplighter."""

from __future__ import annotations

import contextlib
import datetime
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

# Django has Tasks from 6.0 on, which needs Python 3.12.
pytest.importorskip("django.tasks", reason="needs Django 6.0")

from django.core import checks
from django.db import transaction
from django.tasks import TaskResultStatus, task_backends
from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist, TaskResultMismatch
from django.tasks.signals import task_enqueued, task_finished, task_started
from django.test import override_settings
from lamplighter import Cancel, JobFailed

JOIN_SECONDS_MAX = 15
BACKEND = {"BACKEND": "lamplighter.contrib.django.LamplighterBackend", "QUEUES": ["default", "mail"]}


@pytest.fixture
def probes(shop: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Tasks, and a worker that runs them."""
    from lamplighter.contrib.django import runtime

    with override_settings(TASKS={"default": BACKEND}):
        from . import probes

        forget_handlers(runtime)
        # As in a process that has just begun.
        monkeypatch.setattr(runtime, "_has_discovered", False)
        with runtime:
            yield probes
        forget_handlers(runtime)


def forget_handlers(runtime: Any) -> None:
    for name in BACKEND["QUEUES"]:
        for handler in runtime.current_boot.declared.handlers(name):
            runtime.jobs.remove_handler(handler.id)


def ended(result: Any) -> Any:
    """A result, refreshed, when its job has ended."""
    from lamplighter.contrib.django import jobs

    with contextlib.suppress(JobFailed):
        jobs.join(result.id, timeout=JOIN_SECONDS_MAX)
    result.refresh()
    return result


def test_a_task_is_queued_run_and_its_result_is_there(probes: Any) -> None:
    result = probes.add.enqueue(1, other=2)
    first = (result.status, result.args, result.kwargs, result.started_at, result.worker_ids)

    ended(result)

    assert first == (TaskResultStatus.READY, [1], {"other": 2}, None, [])
    assert (result.status, result.return_value, result.attempts, result.errors) == ("SUCCESSFUL", 3, 1, [])
    assert result.enqueued_at <= result.started_at <= result.last_attempted_at <= result.finished_at
    assert probes.add.get_result(result.id).return_value == 3


def test_priority_queue_and_time_are_those_of_the_job(probes: Any) -> None:
    from lamplighter.contrib.django import jobs

    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    result = probes.later.using(run_after=later).enqueue("moin")
    job = jobs.get(result.id)

    assert (job.name, job.priority, job.run_at) == ("mail", 5, later)
    assert probes.later.get_result(result.id).task == probes.later.using(run_after=later)
    assert ended(probes.later.enqueue("moin")).return_value == "moin"
    jobs.cancel(job)
    result.refresh()
    assert (result.status, result.is_finished) == ("FAILED", True)


def test_a_task_that_takes_its_context_is_told_of_itself(probes: Any) -> None:
    result = ended(probes.told.enqueue())

    assert result.return_value == [1, result.id, "RUNNING"]


def test_a_task_that_fails_is_not_repeated_and_says_its_error(probes: Any) -> None:
    refused, fell = ended(probes.refuse.enqueue()), ended(probes.fall.enqueue())

    assert [refused.status, fell.status, refused.attempts] == ["FAILED", "FAILED", 1]
    assert [error.exception_class for error in (*refused.errors, *fell.errors)] == [probes.Refused, KeyError]
    assert "raise Refused" in refused.errors[0].traceback
    with pytest.raises(ValueError, match="failed"):
        _ = refused.return_value


def test_a_task_that_is_not_needed_any_more_has_failed_by_a_cancel(probes: Any) -> None:
    result = ended(probes.leave.enqueue())

    # Django has no status of its own for it.
    assert result.status == "FAILED"
    assert [(one.exception_class, one.traceback) for one in result.errors] == [(Cancel, "the order was deleted")]


def test_a_task_is_tried_as_often_as_its_backend_says(shop: None, probes: Any) -> None:
    from lamplighter.contrib.django import jobs, runtime

    forget_handlers(runtime)
    patient = {**BACKEND, "OPTIONS": {"MAX_ATTEMPTS": 2, "BACKOFF": [0]}}
    with override_settings(TASKS={"default": patient}):
        task_backends["default"].add_handlers(jobs)
        result = ended(probes.refuse.enqueue())

    assert (result.status, result.attempts, len(result.errors)) == ("FAILED", 2, 2)


def test_an_attempt_whose_process_was_killed_is_one_of_a_worker_and_no_error(shop: None, probes: Any) -> None:
    from lamplighter.contrib.django import jobs, runtime

    forget_handlers(runtime)
    with override_settings(TASKS={"default": {**BACKEND, "OPTIONS": {"MAX_ATTEMPTS": 2, "BACKOFF": [0]}}}):
        task_backends["default"].add_handlers(jobs)
        result = ended(probes.refuse.enqueue())
    with contextlib.closing(sqlite3.connect(runtime.address)) as store, store:
        told = "update lamplighter_attempts set outcome = 'interrupted', boot = 'killed', claimed_at = 1, error = null "
        store.execute(f"{told}, traceback = null where job_id = ? and claim_no = 1", (result.id,))

    result.refresh()

    assert [error.exception_class for error in result.errors] == [probes.Refused]
    assert (result.attempts, result.worker_ids[0]) == (2, "killed")
    assert result.started_at.year == 1970 < result.last_attempted_at.year


def test_signals_are_sent_when_a_task_is_queued_begun_and_ended(probes: Any) -> None:
    sent: list[tuple[str, str]] = []

    def note(name: str) -> Any:
        return lambda sender, task_result, **kwargs: sent.append((name, task_result.status))

    receivers = {
        signal: note(name) for signal, name in zip((task_enqueued, task_started, task_finished), "qbe", strict=True)
    }
    for signal, receiver in receivers.items():
        signal.connect(receiver)
    try:
        ended(probes.add.enqueue(1))
        ended(probes.refuse.enqueue())
    finally:
        for signal, receiver in receivers.items():
            signal.disconnect(receiver)

    one = [("q", "READY"), ("b", "RUNNING")]
    assert sorted(sent) == sorted([*one, ("e", "SUCCESSFUL"), *one, ("e", "FAILED")])


def test_the_end_of_a_task_that_gives_up_early_is_sent(shop: None, probes: Any) -> None:
    from lamplighter.contrib.django import jobs, runtime

    sent: list[Any] = []

    def note(sender: Any, task_result: Any, **kwargs: Any) -> None:
        sent.append((task_result.status, [error.exception_class for error in task_result.errors]))

    forget_handlers(runtime)
    task_finished.connect(note)
    try:
        with override_settings(TASKS={"default": {**BACKEND, "OPTIONS": {"MAX_ATTEMPTS": 9}}}):
            task_backends["default"].add_handlers(jobs)
            ended(probes.leave.enqueue())
    finally:
        task_finished.disconnect(note)

    assert sent == [("FAILED", [Cancel])]


def test_a_task_of_a_transaction_that_rolls_back_never_was(probes: Any) -> None:
    sent = []

    def note(sender: Any, task_result: Any, **kwargs: Any) -> None:
        sent.append(task_result.id)

    task_enqueued.connect(note)
    with transaction.atomic():
        gone = probes.add.enqueue(1)
        transaction.set_rollback(True)
    with transaction.atomic():
        there = probes.add.enqueue(1)
        assert sent == []

    assert ended(there).return_value == 1
    assert sent == [there.id]
    with pytest.raises(TaskResultDoesNotExist):
        gone.refresh()
    task_enqueued.disconnect(note)


def test_only_a_task_of_its_backend_is_a_result(probes: Any) -> None:
    from lamplighter.contrib.django import jobs

    plain = jobs.queue("nobody")

    for result_id in (plain.id, "nobody", ""):
        with pytest.raises(TaskResultDoesNotExist):
            probes.add.get_result(result_id)
    with pytest.raises(TaskResultMismatch):
        probes.refuse.get_result(probes.add.enqueue(1).id)
    with pytest.raises(InvalidTask, match="Queue"):
        probes.add.using(queue_name="nowhere")


def test_a_task_that_has_moved_is_found_by_its_alias(probes: Any) -> None:
    from lamplighter.contrib.django import jobs

    data = {"task": "old.place.add", "args": [4], "kwargs": {}, "backend": "default"}
    moved = {**BACKEND, "OPTIONS": {"ALIASES": {"old.place.add": probes.add.module_path}}}
    with override_settings(TASKS={"default": moved}):
        job = jobs.join(jobs.queue("default", data), timeout=JOIN_SECONDS_MAX)

        assert probes.add.get_result(job.id).return_value == 4


async def _enqueue(task: Any) -> Any:
    return await task.aget_result((await task.aenqueue(1)).id)


def test_tasks_are_queued_from_coroutines(probes: Any) -> None:
    from asgiref.sync import async_to_sync

    assert ended(async_to_sync(_enqueue)(probes.add)).return_value == 1


def test_a_backend_with_all_of_its_options_is_well(shop: None) -> None:
    options = {"ALIASES": {"old.place.add": "new.place.add"}, "CONCURRENCY": 2, "MAX_ATTEMPTS": 3}

    with override_settings(TASKS={"default": {**BACKEND, "OPTIONS": options}}):
        found = [str(found.id) for found in checks.run_checks()]

    assert [one for one in found if one.startswith("lamplighter")] == []


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"QUEUES": []}, "expected the names of the queues"),
        ({"OPTIONS": {"RETRIES": 3}}, "RETRIES"),
        ({"OPTIONS": {"CONCURRENCY": 0}}, "concurrency"),
    ],
)
def test_what_is_wrong_with_a_backend_is_told_by_its_alias(shop: None, params: dict[str, Any], says: str) -> None:
    with override_settings(TASKS={"default": {**BACKEND, **params}}):
        found = [(found.id, str(found.msg)) for found in checks.run_checks() if str(found.id).startswith("lamplighter")]

    assert [code for code, _ in found] == ["lamplighter.E002"]
    assert found[0][1].startswith("TASKS['default']: ") and says in found[0][1]
