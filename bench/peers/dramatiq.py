"""Dramatiq on RabbitMQ, with publisher confirms."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from starts import ran

from .base import Peer


class Dramatiq(Peer):
    title, package = "Dramatiq (RabbitMQ)", "dramatiq"
    durability = (
        "quorum queue, persistent messages, publisher confirms: survives a power cut; a message is acknowledged after "
        "it ran"
    )
    survives_power, survives_worker = True, True
    cannot: ClassVar = {"enqueue-async-64": "it has no coroutines", "bulk-500": "it has no bulk call"}

    def __init__(self, folder: Path, url: str) -> None:
        self._broker = RabbitmqBroker(url=url, confirm_delivery=True)
        dramatiq.set_broker(self._broker)
        self._actor = dramatiq.actor(nothing, queue_name=folder.parent.name)
        self._worker = dramatiq.Worker(self._broker, worker_threads=1)

    def queue(self, number: int) -> None:
        self._actor.send(number)

    def work(self) -> None:
        self._worker.start()

    def close(self) -> None:
        self._worker.stop(timeout=1000)
        self._broker.close()


def nothing(number: int) -> None:
    """An actor that does nothing."""
    ran(number)
