"""Celery on RabbitMQ, with publisher confirms and late acknowledgement."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import ClassVar

from celery import Celery
from starts import ran

from .base import Peer


class CeleryOnRabbit(Peer):
    title, package = "Celery (RabbitMQ)", "celery"
    durability = (
        "quorum queue, persistent messages, publisher confirms, acks_late: survives a power cut; a message is "
        "acknowledged after it ran"
    )
    survives_power, survives_worker = True, True
    cannot: ClassVar = {"enqueue-async-64": "it has no coroutines", "bulk-500": "it has no bulk call"}

    def __init__(self, folder: Path, url: str) -> None:
        self._app = Celery("bench", broker=url)
        self._app.conf.update(
            broker_transport_options={"confirm_publish": True},
            task_acks_late=True,
            task_ignore_result=True,
            task_default_queue=folder.parent.name,
            worker_hijack_root_logger=False,
            worker_enable_remote_control=False,
        )
        self._task = self._app.task(nothing, name="nothing")

    def queue(self, number: int) -> None:
        self._task.delay(number)

    def work(self) -> None:
        worker = self._app.WorkController(app=self._app, pool="solo", concurrency=1, without_gossip=True)
        threading.Thread(target=worker.start, daemon=True).start()


def nothing(number: int) -> None:
    """A task that does nothing."""
    ran(number)
