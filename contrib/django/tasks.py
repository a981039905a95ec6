"""Django's own Tasks, from Django 6.0 on: a task is a job, whose name is that of the task's queue."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from traceback import format_exception
from typing import Any, ParamSpec, TypeVar, cast

from django.apps import apps
from django.core.checks import CheckMessage, Error
from django.db import transaction
from django.tasks import Task, TaskContext, TaskResult, TaskResultStatus, task_backends
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.base import TaskError
from django.tasks.exceptions import TaskResultDoesNotExist
from django.tasks.signals import task_enqueued, task_finished, task_started
from django.utils import timezone
from django.utils.json import normalize_json
from django.utils.module_loading import import_string

from ...api.job import Job
from ...api.jobs import Jobs
from ...api.runtime import Runtime
from ...errors import UnknownJob, UsageError
from ...messages.jobs import Attempt, Instant, JobState
from ...messages.outcomes import OutcomeKind
from ...rules.validation import options_of, unknown_options
from .configured import configured_runtime, database

P = ParamSpec("P")
R = TypeVar("R")

MAX_ATTEMPTS = 1
"""Django's own backends do not repeat a task that has failed, and its task functions are written for that."""

OPTIONS = ("ALIASES", *(name.upper() for name in options_of(Jobs.add_handler)))
"""The keys of OPTIONS: those of `jobs.add_handler`, for each queue of the backend; and paths that have moved."""

STATUS = {
    JobState.QUEUED: TaskResultStatus.READY,
    JobState.RUNNING: TaskResultStatus.RUNNING,
    JobState.DONE: TaskResultStatus.SUCCESSFUL,
    JobState.DEAD: TaskResultStatus.FAILED,
    JobState.CANCELLED: TaskResultStatus.FAILED,
}

ERRORS = {
    OutcomeKind.TIMED_OUT: "lamplighter.JobTimeout",
    OutcomeKind.DISCARDED: "lamplighter.Discard",
    OutcomeKind.CANCELLED: "lamplighter.Cancel",
}
"""The class of what ended an attempt, where that was no error which the task has raised."""

CLASS_PATH = re.compile(r"[^\W\d][\w.]*")


class LamplighterBackend(BaseTaskBackend):
    """`TASKS = {"default": {"BACKEND": "lamplighter.contrib.django.LamplighterBackend"}}`."""

    supports_defer = True
    supports_async_task = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.supports_get_result = configured_runtime().current_boot.has_table

    def enqueue(self, task: Task[P, R], args: list[Any], kwargs: dict[str, Any]) -> TaskResult[P, R]:
        """Queue a task; inside of `transaction.atomic()` it exists if and only if that commits."""
        self.validate_task(task)
        run_after = task.run_after
        if run_after is not None and timezone.is_naive(run_after):
            run_after = timezone.make_aware(run_after)
        data = {"task": task.module_path, "args": list(args), "kwargs": kwargs, "backend": self.alias}
        job = configured_runtime().jobs.queue(
            task.queue_name, normalize_json(data), priority=task.priority, at=run_after
        )
        result = cast("TaskResult[P, R]", self.result_of(job))
        transaction.on_commit(partial(task_enqueued.send, type(self), task_result=result), using=database())
        return result

    def get_result(self, result_id: str) -> TaskResult[..., Any]:
        """The result of a task.

        Raises:
            TaskResultDoesNotExist: there is none, or retention has removed it.
            NotSupported: the store does not keep ended jobs.
        """
        try:
            job = configured_runtime().jobs.get(result_id)
        except (UnknownJob, UsageError) as error:
            raise TaskResultDoesNotExist(result_id) from error
        if not isinstance(job.data, dict) or job.data.get("backend") != self.alias:
            raise TaskResultDoesNotExist(result_id)
        return self.result_of(job)

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """Called by Django's check framework."""
        return [Error(f"TASKS[{self.alias!r}]: {said}", id="lamplighter.E002") for said in self._problems()]

    def _problems(self) -> Iterator[str]:
        if not apps.is_installed("lamplighter.contrib.django"):
            yield 'expected "lamplighter.contrib.django" in INSTALLED_APPS'
        if not self.queues:
            yield "expected the names of the queues in QUEUES, for which workers have handlers, got: none"
        if unknown := self.options.keys() - set(OPTIONS):
            yield str(unknown_options(unknown, OPTIONS, "OPTIONS"))
            return
        try:
            # Add the handlers to a throw-away runtime: only errors in their options matter.
            self.add_handlers(Runtime(":memory:").jobs)
        except UsageError as error:
            yield f"OPTIONS: {error}"

    def add_handlers(self, jobs: Jobs) -> None:
        """Have a worker run the tasks of each queue.

        Raises:
            UsageError: an option cannot be.
        """
        options = {name.lower(): value for name, value in self.options.items() if name != "ALIASES"}
        for name in sorted(self.queues):
            jobs.add_handler(name, run_task, **{"max_attempts": MAX_ATTEMPTS, **options})

    def task_of(self, job: Job[Any]) -> Task[..., Any]:
        """The task that a job stands for.

        Raises:
            ImportError: its module, or the task in it, is no longer there; ALIASES may say where it is now.
            UsageError: what is there is no task.
        """
        path = self.options.get("ALIASES", {}).get(job.data["task"], job.data["task"])
        found = import_string(path)
        if not isinstance(found, Task):
            raise UsageError(f"expected a task at {path}, got: {type(found).__name__}")
        return found.using(
            priority=job.priority,
            queue_name=job.name,
            run_after=job.run_at if job.record.due_in is None else None,
            backend=self.alias,
        )

    def result_of(self, job: Job[Any]) -> TaskResult[..., Any]:
        """A job as Django's TaskResult."""
        record, attempts = job.record, self._attempts_of(job)
        workers = [attempt.boot for attempt in attempts]
        if job.state in (JobState.RUNNING, JobState.DONE):
            # A task that was marked as done while it was queued has no boot.
            workers.append(record.boot or f"claim {record.claim_no}")
        begun = [attempt.claimed_at for attempt in attempts]
        if record.claimed_at is not None:
            begun.append(record.claimed_at)
        result = TaskResult(
            task=self.task_of(job),
            id=job.id,
            status=STATUS[job.state],
            enqueued_at=job.queued_at,
            started_at=_time(begun[0]) if begun else None,
            last_attempted_at=_time(begun[-1]) if begun else None,
            finished_at=job.ended_at,
            args=job.data["args"],
            kwargs=job.data["kwargs"],
            backend=self.alias,
            errors=[_error(attempt) for attempt in attempts if attempt.outcome != OutcomeKind.INTERRUPTED],
            worker_ids=workers,
        )
        if job.state is JobState.DONE:
            # Its class is frozen, and Django's own backends set it like this too.
            object.__setattr__(result, "_return_value", job.result)
        return result

    def _attempts_of(self, job: Job[Any]) -> Sequence[Attempt]:
        claims_max = 1 if job.state in (JobState.RUNNING, JobState.DONE) else 0
        if not self.supports_get_result or job.record.claim_no <= claims_max:
            return ()
        return [attempt for attempt in configured_runtime().jobs.attempts(job) if attempt.begun]


def run_task(job: Job[Any]) -> Any:
    """The handler of every queue."""
    backend = task_backends[job.data["backend"]]
    assert isinstance(backend, LamplighterBackend)
    result = backend.result_of(job)
    task_started.send(type(backend), task_result=result)
    context = [TaskContext(task_result=result)] if result.task.takes_context else []
    try:
        value = normalize_json(result.task.call(*context, *result.args, **result.kwargs))
    except BaseException as error:
        if not job.is_tried_again(error):
            path = f"{type(error).__module__}.{type(error).__qualname__}"
            result.errors.append(TaskError(exception_class_path=path, traceback="".join(format_exception(error))))
            _finish(backend, result, TaskResultStatus.FAILED)
        raise
    object.__setattr__(result, "_return_value", value)
    _finish(backend, result, TaskResultStatus.SUCCESSFUL)
    return value


def add_task_handlers(jobs: Jobs) -> None:
    """Have a worker run the tasks of every backend of ours that `settings.TASKS` has."""
    for backend in task_backends.all():
        if isinstance(backend, LamplighterBackend):
            backend.add_handlers(jobs)


def _finish(backend: LamplighterBackend, result: TaskResult[..., Any], status: TaskResultStatus) -> None:
    """Tell that a task has ended, right before its worker stores it."""
    object.__setattr__(result, "status", status)
    object.__setattr__(result, "finished_at", _time(configured_runtime().current_boot.now()))
    task_finished.send(type(backend), task_result=result)


def _error(attempt: Attempt) -> TaskError:
    """How an attempt failed, with the class of its error by its path, as Python's tracebacks have it."""
    found = CLASS_PATH.match(attempt.error or "")
    path = ERRORS.get(OutcomeKind(attempt.outcome)) or (found[0] if found else "Exception")
    return TaskError(
        exception_class_path=path if "." in path else f"builtins.{path}",
        traceback=attempt.traceback or attempt.error or "",
    )


def _time(instant: Instant) -> datetime:
    return datetime.fromtimestamp(instant, UTC)
