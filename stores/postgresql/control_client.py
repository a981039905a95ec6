"""Asks the boots on a PostgreSQL."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg

from ...errors import StoreUnavailable
from ...messages.controls import ANSWER_SECONDS, HUNG_SECONDS_MAX
from ..asking import Heard
from ..tables.boots import read_boots
from ..tables.control_client import DEAD, TableControlClient, is_stopped
from .asks import ask_boots, run
from .presence import LOOK, SESSION_SECONDS, has_ended, this_machine

if TYPE_CHECKING:
    from ...messages.boots import BootRecord
    from ...messages.jobs import Seconds
    from ..control_client import BootView
    from .connection import PostgresDatabase

ENDED = "it has ended: the store has no row of it"

UNSURE = "its session has ended: its process is dead, or finds its way back to the server, which has just been started"

UPTIME = "select extract(epoch from clock_timestamp() - pg_postmaster_start_time())::float8"


class PostgresControlClient(TableControlClient):
    """The `ControlClient` of a PostgreSQL. It has a connection only while it asks.

    Args:
        connect: connects, in the store's schema.
        timeout, is_plain, hung_seconds_max: as `StorePlace.client` has them.
    """

    def __init__(
        self,
        connect: Callable[[], PostgresDatabase],
        timeout: Seconds = ANSWER_SECONDS,
        *,
        is_plain: bool = False,
        hung_seconds_max: Seconds = HUNG_SECONDS_MAX,
    ) -> None:
        super().__init__(timeout, is_plain=is_plain, hung_seconds_max=hung_seconds_max)
        self._connect = connect

    def found(self) -> Sequence[BootView]:
        with contextlib.closing(self._connect()) as database:
            records = [record for record in read_boots(database) if record.kind != "operator"]
        return list(self.views([record.boot for record in records], records).values())

    def ask_these(self, boots: Sequence[str], question: bytes, timeout: Seconds) -> dict[str, Heard]:
        with contextlib.closing(self._connect()) as database:
            try:
                return self._asked(database.raw, boots, question, timeout)
            except psycopg.Error as error:
                raise StoreUnavailable(f"expected the store to take a question, got: {error}") from error

    def _asked(
        self, connection: psycopg.Connection[Any], boots: Sequence[str], question: bytes, timeout: Seconds
    ) -> dict[str, Heard]:
        execute, here = partial(run, connection), this_machine()
        rows = {boot: row for boot, *row in execute(LOOK)}
        found: dict[str, Heard] = {}
        for boot in boots:
            pid, machine, is_held = rows.get(boot, (0, None, False))
            if boot not in rows:
                found[boot] = Heard(None, ENDED, is_alive=False)
            elif not is_held and has_ended(pid, machine, here):
                found[boot] = Heard(None, DEAD, is_alive=False)
            elif machine == here and is_stopped(pid):
                found[boot] = Heard(None, f"process {pid} is stopped", pid)
        asked = [boot for boot in boots if boot not in found]
        answers, unheard = {}, f"no answer within {timeout:g} s"
        try:
            answers = ask_boots(connection, asked, question, timeout, self._clock.monotonic) if asked else {}
        except psycopg.errors.InsufficientPrivilege as error:
            # Somebody who may only read is still told who lives.
            unheard = f"this user may not ask it: {error}"
        silent = [boot for boot in asked if not answers.get(boot)]
        held = {boot: is_held for boot, _, _, is_held in execute(LOOK)} if silent else {}
        for boot in asked:
            if line := answers.get(boot):
                found[boot] = Heard(line)
            elif held.get(boot) or rows[boot][-1]:
                pid, machine, _ = rows[boot]
                found[boot] = Heard(None, unheard, pid if machine == here else None)
            else:
                # Nobody has held its lock, from before the question until now.
                ((uptime,),) = execute(UPTIME)
                is_alive = None if uptime < SESSION_SECONDS else False
                found[boot] = Heard(None, UNSURE if is_alive is None else DEAD, is_alive=is_alive)
        return found

    def pid_here(self, record: BootRecord) -> int | None:
        return record.pid if record.hint == this_machine() else None
