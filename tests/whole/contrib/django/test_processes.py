"""What starts when: nothing by being imported, a producer by the first call, and a worker by the command."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from ....contrib.django.test_processes import JOIN_SECONDS_MAX


def test_a_handler_in_a_child_process_has_django_set_up(
    worker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.conf import settings
    from shop.models import Order

    (tmp_path / "heavy_jobs.py").write_text(
        "from lamplighter.contrib.django import runtime\n"
        "from shop.models import Order\n"
        "def heavy(job): return [Order.objects.count(), runtime.boot is None]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SHOP_DATA", str(settings.DATA_DIR))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "mysite.settings")
    heavy = importlib.import_module("heavy_jobs").heavy

    handler = worker.jobs.add_handler("heavy", heavy, isolation="process")
    job = worker.jobs.join(worker.jobs.queue("heavy"), timeout=JOIN_SECONDS_MAX)
    worker.jobs.remove_handler(handler)

    assert job.result == [Order.objects.count(), True]
