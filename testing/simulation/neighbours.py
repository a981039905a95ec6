"""Presence and hints between the processes of a simulation; hints may come late or never."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable

from ...messages.boots import BootRecord
from .faults import Faults
from .virtual_scheduler import Process, VirtualScheduler

HINT_SECONDS_MAX = 0.005
"""The longest that a hint takes, if it arrives."""


class VirtualPresence:
    """The `Presence` of one simulated process: a boot lives as long as its process does.

    Args:
        homes: the processes that boots live in. A boot whose entry is taken away has lost its lock file.
        is_sole: whether there are no others.
    """

    def __init__(self, homes: dict[str, Process], process: Process, *, is_sole: bool) -> None:
        self.is_sole = is_sole
        self._homes = homes
        self._process = process

    def enter(self, boot: str) -> None:
        self._homes[boot] = self._process
        self._process.boots.add(boot)

    def keep(self, boot: str) -> None:
        if boot not in self._homes:
            self.enter(boot)

    def leave(self, boot: str, *, stays: bool = False) -> None:
        self._process.boots.discard(boot)

    def is_alive(self, boot: str) -> bool | None:
        home = self._homes.get(boot)
        return None if home is None else home.is_alive and boot in home.boots

    def hidden(self, boot: str) -> str | None:
        return None

    def bury(self, boot: BootRecord) -> None:
        self._homes.pop(boot.boot, None)

    def tidy(self, known: Collection[str]) -> None:
        pass


class VirtualHints:
    """The `Hints` of one simulated process."""

    def __init__(
        self,
        world: VirtualScheduler,
        process: Process,
        boot: str,
        listeners: dict[str, tuple[Process, Callable[[], None]]],
        faults: Faults,
        reached: Counter[str],
    ) -> None:
        self.address: str | None = boot
        self._world = world
        self._process = process
        self._listeners = listeners
        self._faults = faults
        self._reached = reached

    def listen(self, heard: Callable[[], None], spawn: Callable[[Callable[[], None], str], object]) -> None:
        assert self.address is not None
        self._listeners[self.address] = (self._process, heard)

    def keep(self) -> None:
        pass

    def send(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            if self._strikes("lost_hint"):
                continue
            if self._strikes("deafen"):
                self._listeners.pop(address, None)
                continue
            self._world.after(self._world.chance.uniform(0.0, HINT_SECONDS_MAX), lambda to=address: self._hear(to))  # type: ignore[misc]

    def close(self) -> None:
        self._listeners.pop(self.address or "", None)

    def _strikes(self, fault: str) -> bool:
        odds = getattr(self._faults, fault)
        if not odds or self._world.chance.random() >= odds:
            return False
        self._reached[fault] += 1
        return True

    def _hear(self, address: str) -> None:
        process, heard = self._listeners.get(address, (None, None))
        if process is not None and heard is not None and process.is_alive:
            heard()
