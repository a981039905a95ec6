"""Asks the boots on a file."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...messages.controls import ANSWER_SECONDS, HUNG_SECONDS_MAX
from ..asking import Heard, ask_all
from ..controls import CONTROL, boot_file
from ..locks import check_is_file
from ..presence import FilePresence, folder_of
from ..tables.control_client import DEAD, TableControlClient, is_stopped

if TYPE_CHECKING:
    from ...messages.boots import BootRecord
    from ...messages.jobs import Seconds
    from ..control_client import BootView


class FileControlClient(TableControlClient):
    """The `ControlClient` of a file.

    Args: as `StorePlace.client` has them.
    """

    def __init__(
        self,
        path: str,
        timeout: Seconds = ANSWER_SECONDS,
        *,
        is_plain: bool = False,
        hung_seconds_max: Seconds = HUNG_SECONDS_MAX,
    ) -> None:
        super().__init__(timeout, is_plain=is_plain, hung_seconds_max=hung_seconds_max)
        # The path by which its boots know it, whatever link leads there.
        self._path = path
        self._folder = folder_of(os.path.realpath(path))
        self._presence = FilePresence(self._folder)

    def found(self) -> Sequence[BootView]:
        """The boots that have left traces beside the file, alive or not."""
        check_is_file(self._path)
        found = list(self.views(self._presence.entered()).values())
        if all(one.is_alive is False for one in found):
            # Imported only here: a health check of runtimes that live loads no SQLite.
            from .read_only import LOOK_SECONDS_MAX, opened

            # Only a runtime that lives shows that the file is a store.
            opened(self._path, busy_seconds_max=LOOK_SECONDS_MAX)[0].close()
        return found

    def ask_these(self, boots: Sequence[str], question: bytes, timeout: Seconds) -> dict[str, Heard]:
        alive = {boot: self._presence.is_alive(boot) for boot in boots}
        sockets = {boot: boot_file(self._folder, boot, CONTROL) for boot in boots if alive[boot] is not False}
        found = ask_all(sockets, question, timeout, self._clock.monotonic, is_stopped=is_stopped)
        for boot, heard in found.items():
            if heard.answer is None and alive[boot] is None:
                found[boot] = heard._replace(is_alive=None, why=self._presence.hidden(boot) or heard.why)
        dead = Heard(None, DEAD, is_alive=False)
        return {boot: found.get(boot, dead) for boot in boots}

    def pid_here(self, record: BootRecord) -> int | None:
        return record.pid if record.host == socket.gethostname() else None
