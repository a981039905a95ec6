"""What starts when: nothing by being imported, a producer by the first call, and a worker by the command."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from django.apps import apps as registry
from django.conf import settings
from django.core import mail
from django.core.management import CommandError, call_command
from django.core.signals import request_started
from django.db import connection, connections
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import path
from lamplighter import NotStarted

JOIN_SECONDS_MAX = 15


def test_the_first_call_starts_a_producer_that_leaves_the_work_to_others(
    worker: Any, elsewhere: Callable[..., Any]
) -> None:
    web = elsewhere(worker.address)

    ran_in: list[Any] = []
    for runtime in (web, worker):
        runtime.jobs.add_handler("where", lambda job, runtime=runtime: ran_in.append(runtime))

    is_idle = web.boot is None
    job = web.jobs.queue("where")
    worker.jobs.join(job, timeout=JOIN_SECONDS_MAX)

    assert is_idle and not web.boot.share.works
    assert ran_in == [worker]


def test_a_name_that_is_none_of_the_module_is_refused_without_the_settings(shop: None) -> None:
    module = importlib.import_module("lamplighter.contrib.django")

    with override_settings(LAMPLIGHTER=None):
        for name in ("job", "configured_runtime", "_private"):
            with pytest.raises(
                AttributeError, match=f"^module 'lamplighter.contrib.django' has no attribute '{name}'$"
            ):
                getattr(module, name)
        with pytest.raises(ImportError, match="cannot import name 'job'"):
            exec("from lamplighter.contrib.django import job")


def test_a_stopped_producer_starts_again_by_itself(elsewhere: Callable[..., Any]) -> None:
    web = elsewhere()
    web.jobs.queue("look")
    web.stop()

    assert web.jobs.counts()["queued"] == 1


def test_a_handler_that_outlives_its_runtime_starts_nothing(elsewhere: Callable[..., Any]) -> None:
    runtime, may_go_on, seen = elsewhere(), threading.Event(), threading.Event()

    def stubborn(job: Any) -> None:
        may_go_on.wait(JOIN_SECONDS_MAX)
        with pytest.raises(NotStarted):
            runtime.jobs.queue("look")
        seen.set()

    begun = threading.Event()
    runtime.jobs.add_handler("stubborn", lambda job: (begun.set(), stubborn(job)))
    runtime.start()
    runtime.jobs.queue("stubborn")
    assert begun.wait(JOIN_SECONDS_MAX)

    runtime.stop(0.0)
    may_go_on.set()

    assert seen.wait(JOIN_SECONDS_MAX)
    assert runtime.boot is None


def test_the_jobs_of_the_installed_apps_are_found_when_a_worker_starts(elsewhere: Callable[..., Any]) -> None:
    from shop import jobs as found

    runtime = elsewhere()
    with runtime:
        pass

    assert found.receipt.name == "receipt"
    assert runtime.discover() is None


def test_nothing_starts_while_the_jobs_modules_are_imported(
    elsewhere: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lamplighter.contrib.django import configured

    runtime = elsewhere()
    monkeypatch.setattr(configured, "autodiscover_modules", lambda name: runtime.jobs.queue("too-early"))

    with pytest.raises(NotStarted, match="while they are imported"):
        runtime.start()
    assert runtime.boot is None


def test_the_jobs_of_a_test_do_not_go_to_the_store_of_the_settings(
    elsewhere: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = elsewhere()
    monkeypatch.setattr(mail, "outbox", [], raising=False)

    with pytest.raises(NotStarted, match=r"testing\.inline"):
        runtime.jobs.queue("look")
    with runtime.start(work=False):
        assert runtime.jobs.queue("look").state == "queued"


def test_the_connections_of_a_job_are_closed_after_it_as_those_of_a_request_are(worker: Any) -> None:
    used = []

    def read(job: Any) -> None:
        connection.ensure_connection()
        used.append(connections["default"])

    handler = worker.jobs.add_handler("read", read)
    worker.jobs.join(worker.jobs.queue("read"), timeout=JOIN_SECONDS_MAX)

    assert used[0].connection is None
    worker.jobs.remove_handler(handler)


def test_a_coroutine_is_run_though_django_lets_no_loop_touch_a_connection(worker: Any) -> None:
    async def later(job: Any) -> str:
        await asyncio.sleep(0)
        return "later"

    handler = worker.jobs.add_handler("later", later)
    job = worker.jobs.join(worker.jobs.queue("later"), timeout=JOIN_SECONDS_MAX)

    assert job.result == "later"
    worker.jobs.remove_handler(handler)


def test_a_name_without_a_handler_is_told_to_whoever_runs_the_command(shop: None) -> None:
    with pytest.raises(CommandError, match="'receipt'"):
        call_command("lamplighter", "run", "--only", "recept")


def test_the_command_runs_with_the_options_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    from lamplighter.contrib.django.management.commands import lamplighter as command

    ran = []
    monkeypatch.setattr(
        command, "configured_runtime", lambda: SimpleNamespace(run=lambda drain, only: ran.append((drain, only)))
    )

    call_command("lamplighter", "run")
    call_command("lamplighter", "run", "--drain", "3.5", "--only", "a", "--only", "b")

    assert ran == [(None, None), (3.5, ["a", "b"])]


def test_a_process_that_cannot_start_serves_its_request_and_starts_at_a_later_one(
    elsewhere: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lamplighter.contrib.django import apps

    web = elsewhere(tmp_path / "mounted-later" / "jobs.db")
    monkeypatch.setattr(apps, "configured_runtime", lambda: web)

    apps._start_in_web()
    is_idle = web.boot is None
    (tmp_path / "mounted-later").mkdir()
    apps._start_in_web()

    assert is_idle and web.boot.share.works


@pytest.mark.parametrize("work_in", ["web", "worker"])
def test_a_process_that_works_too_has_started_before_its_first_request_is_answered(
    elsewhere: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, work_in: str
) -> None:
    from lamplighter.contrib.django import apps

    web, seen = elsewhere(), []
    monkeypatch.setattr(apps, "configured_runtime", lambda: web)
    urls = ModuleType("urls")
    urls.urlpatterns = [path("", lambda request: HttpResponse(seen.append(web.boot)))]  # type: ignore[attr-defined]
    own = {**settings.LAMPLIGHTER, "WORK_IN": work_in}

    with override_settings(LAMPLIGHTER=own, ROOT_URLCONF=urls, ALLOWED_HOSTS=["testserver"], MIDDLEWARE=[]):
        registry.get_app_config("lamplighter").ready()
        try:
            Client().get("/")
        finally:
            request_started.disconnect(apps._start_in_web)

    assert [boot is not None and boot.share.works for boot in seen] == [work_in == "web"]
