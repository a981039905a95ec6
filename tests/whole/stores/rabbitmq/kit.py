"""What the fault tests on RabbitMQ share: hosts in processes of their own, and the file in which they note effects."""

from __future__ import annotations

import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pika
from lamplighter.environment.threads import spawn
from lamplighter.stores.rabbitmq import topology
from lamplighter.stores.rabbitmq.address import parse_address
from lamplighter.stores.rabbitmq.pika.link import PikaLink

from ....faults.kit import Host, eventually, now_in

HOSTS = Path(__file__).parent / "hosts"
TEST_NAMES = ("work", "else")


class Effects:
    """The file in which workers note what their functions do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def lines(self, word: str) -> list[list[str]]:
        """The words of each line that begins with this one."""
        return [rest for first, *rest in map(str.split, self.path.read_text().splitlines()) if first == word]

    def ended(self) -> set[str]:
        """The jobs whose function has come to its end at least once."""
        return {job_id for job_id, *_ in self.lines("end")}

    def until_all_ended(self, ids: set[str], seconds: float) -> None:
        """Wait for the end of each of these jobs."""
        try:
            eventually(lambda: ids <= self.ended(), seconds, what=f"the end of {len(ids)} jobs")
        except AssertionError as error:
            missing = sorted(ids - self.ended())
            raise AssertionError(f"{error}; {len(missing)} have not, such as {missing[:10]}") from error

    def repeated(self) -> int:
        """How many runs there were beyond the first to the end of each job."""
        ends = Counter(job_id for job_id, *_ in self.lines("end"))
        return sum(ends.values()) - len(ends)


def publish(channel: Any, key: str, body: bytes, properties: pika.BasicProperties | None = None) -> None:
    """Publish on a channel that has `confirm_delivery`, again and again until a queue has the message. A runtime
    declares a handler's queue soon after `add_handler`; until its members have elected a leader it refuses messages.
    """

    def is_taken() -> bool:
        try:
            channel.basic_publish("", key, body, properties, mandatory=True)
        except (pika.exceptions.NackError, pika.exceptions.UnroutableError):
            return False
        return True

    eventually(is_taken, what=f"the confirmation of a message for {key}")


class Fleet:
    """Worker processes."""

    def __init__(self, url: str, effects: Effects, folder: Path, *options: str) -> None:
        self._url = url
        self._effects = effects
        self._folder = folder
        self._options = options
        self.hosts: list[Host] = []

    def start(self, workers: int) -> None:
        """So many more."""
        self.hosts += [self.one() for _ in range(workers)]

    def one(self) -> Host:
        """A worker."""
        script = str(HOSTS / "worker.py")
        return Host(script, self._url, self._effects.path, *self._options, folder=self._folder)

    def replace(self, which: int) -> None:
        """Kill one with SIGKILL, and start another."""
        self.hosts[which].kill()
        self.hosts[which].__exit__()
        self.hosts[which] = self.one()

    def end(self) -> None:
        """Let all end by themselves."""
        for host in self.hosts:
            assert host.end() == 0, host.errors()[-3000:]

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for host in self.hosts:
            host.__exit__()


class Producer:
    """A process that queues jobs; what it has said was accepted is remembered over its lives."""

    def __init__(self, url: str, jobs: int, folder: Path) -> None:
        self._url = url
        self._jobs = jobs
        self._folder = folder
        self.accepted = 0
        self.unavailable = 0
        self.host = self._start()

    @property
    def ids(self) -> set[str]:
        """The jobs that were accepted."""
        return {f"p-{number}" for number in range(self.accepted)}

    def _start(self) -> Host:
        script = str(HOSTS / "producer.py")
        return Host(script, self._url, "p", self.accepted, self._jobs - 1, folder=self._folder)

    def note(self, lines: list[str]) -> None:
        """Read what it has said."""
        for line in lines:
            word, _, rest = line.partition(" ")
            if word == "accepted":
                self.accepted = int(rest)
            self.unavailable += word == "unavailable"

    def listen(self, seconds: float) -> None:
        """Read for so long, or until it is idle."""
        if self.accepted < self._jobs:
            self.note(self.host.lines_until(now_in(seconds), last="idle"))

    def replace(self) -> None:
        """Kill it with SIGKILL, and start another that goes on."""
        self.note(self.host.kill())
        self.host.__exit__()
        self.host = self._start()

    def until_idle(self, seconds: float) -> None:
        """Read until everything was accepted."""
        self.listen(seconds)
        assert self.accepted == self._jobs, f"{self.accepted} of {self._jobs} accepted; {self.host.errors()[-2000:]}"

    def __enter__(self) -> Producer:
        return self

    def __exit__(self, *_: object) -> None:
        self.host.__exit__()


def finish(fleet: Fleet, producer: Producer, effects: Effects, seconds: float) -> None:
    """Wait until all is accepted and has ended, and end the workers."""
    producer.until_idle(seconds)
    effects.until_all_ended(producer.ids, seconds)
    fleet.end()


def link_to(url: str) -> PikaLink:
    """A link that is not started yet."""
    return PikaLink(parse_address(url), spawn=spawn, event=threading.Event, chance=random.Random(), name="a test's")


def left_in(url: str, name: str) -> int:
    """How many jobs of a name are ready in their queue."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    found = connection.channel().queue_declare(topology.queue_of(name), passive=True).method.message_count
    connection.close()
    return int(found)


def wipe(url: str) -> None:
    """Empty a virtual host of all that a runtime may have left there."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    for name in (topology.DEAD, topology.LEDGER, *map(topology.queue_of, TEST_NAMES)):
        channel.queue_delete(name)
    for rung in range(topology.RUNGS):
        try:
            channel.queue_purge(f"{topology.PREFIX}.delay.{rung}")
        except pika.exceptions.ChannelClosedByBroker:
            # The ladder was never made.
            break
    connection.close()
