"""Boots on a PostgreSQL without their runtimes: each has a watcher, and is told, asked and seen by the others."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from lamplighter.environment.threads import spawn
from lamplighter.errors import StoreUnavailable
from lamplighter.stores.postgresql.address import parse_address
from lamplighter.stores.postgresql.connection import PostgresDatabase, connect
from lamplighter.stores.postgresql.control_client import PostgresControlClient
from lamplighter.stores.postgresql.presence import PostgresPresence
from lamplighter.stores.postgresql.watcher import Channel, Watcher

from ....support.postgresql.server import Server

SECONDS = 15.0
"""In which everything happens, also on a busy machine."""


class Boot:
    """A boot of this process, as far as others can tell.

    Attributes:
        hints: one for each time that it was told to look.
    """

    def __init__(self, people: People, boot: str, monotonic: Callable[[], float]) -> None:
        self.boot = boot
        self.hints: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.watcher = Watcher(people.connect, spawn, threading.Event, monotonic)
        self.channel = Channel(self.watcher, boot)
        self.presence = PostgresPresence(self.watcher, self.channel)

    def enter(self, answer: Callable[..., bytes] = lambda line, later=None: b"") -> None:
        self.presence.enter(self.boot)
        self.channel.listen(lambda: self.hints.put(None), spawn)
        self.channel.serve(answer, spawn)

    def hear(self) -> None:
        """Wait for a hint."""
        self.hints.get(timeout=SECONDS)

    def forget_hints(self) -> None:
        with suppress(queue.Empty):
            while True:
                self.hints.get_nowait()

    def is_back(self) -> bool:
        with suppress(StoreUnavailable):
            self.presence.keep(self.boot)
            return True
        return False


class People:
    """The boots on an empty store."""

    def __init__(self, server: Server, url: str) -> None:
        self.server = server
        self.url = url
        self._made = ExitStack()

    def connect(self) -> PostgresDatabase:
        return connect(parse_address(self.url), application_name="tests")

    def boot(
        self, name: str, *, monotonic: Callable[[], float] = time.monotonic, **answers: Callable[..., bytes]
    ) -> Boot:
        """A boot that lives in this process."""
        one = Boot(self, name, monotonic)
        self._made.callback(one.watcher.close)
        one.enter(**answers)
        self.register(name, os.getpid(), one.channel.address)
        return one

    def register(self, boot: str, pid: int, hint: str | None) -> None:
        row = (boot, pid, hint)
        query = (
            "insert into lamplighter_boots (boot, pid, host, started_at, hint, boot_no) values (?, ?, '', 0.0, ?, 1)"
        )
        with closing(self.connect()) as database:
            database.execute(query, row)

    def process(self, boot: str) -> subprocess.Popen[str]:
        """A process of its own with a boot that lives."""
        host = [sys.executable, "-P", str(Path(__file__).with_name("host.py")), self.url, boot]
        process = self._made.enter_context(
            subprocess.Popen(host, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        self._made.callback(process.kill)
        assert process.stdout is not None and process.stdout.readline() == "holds\n"
        return process

    def client(self, timeout: float = SECONDS) -> PostgresControlClient:
        return PostgresControlClient(self.connect, timeout)

    def terminate(self, boot: Boot) -> None:
        """End the session of a boot's watcher, if it has one."""
        session = boot.watcher._session
        if session is not None:
            self.server.psql(f"select pg_terminate_backend({session.pid})")

    def close(self) -> None:
        self._made.close()


def eventually(check: Callable[[], bool], what: str) -> None:
    pause, give_up_at = threading.Event(), time.monotonic() + SECONDS
    while not check():
        assert time.monotonic() < give_up_at, what
        pause.wait(0.005)


@pytest.fixture
def people(postgres_server: Server, postgres: str) -> Iterator[People]:
    with closing(People(postgres_server, postgres)) as people:
        yield people
