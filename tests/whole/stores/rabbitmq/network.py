"""A network of one's own: a namespace for each node, all on one bridge; any can be cut off from the others.

It takes root and Linux. What is cut loses its packets without a word, as behind a switch that has died: no connection
is refused or reset.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from typing import NamedTuple, Self


class NoNetwork(Exception):
    """This machine gives none; the message says why."""


class Place(NamedTuple):
    """Where a node lives.

    Attributes:
        address: on which it listens, and how its peers call it.
        command: what a command begins with that runs there.
    """

    address: str = "127.0.0.1"
    command: tuple[str, ...] = ()


class Network:
    """A network that a test can cut and slow down.

    Args:
        places: how many.

    Raises:
        NoNetwork (when entered): it takes root, Linux and the program `ip`.
    """

    def __init__(self, places: int) -> None:
        self._bridge = f"lm{secrets.token_hex(3)}"
        # One of the private ranges; two runs on a machine take different parts of it.
        self._range = f"10.231.{secrets.randbelow(254) + 1}"
        self._spaces = [f"{self._bridge}-{number}" for number in range(places)]
        self.places = [
            Place(f"{self._range}.{number + 2}", ("ip", "netns", "exec", space))
            for number, space in enumerate(self._spaces)
        ]

    def __enter__(self) -> Self:
        if os.name != "posix" or os.geteuid() != 0 or shutil.which("ip") is None:
            raise NoNetwork(
                "cutting a node off takes root, Linux and the program ip (Debian: apt-get install iproute2)"
            )
        try:
            self._make()
        except subprocess.CalledProcessError as error:
            self.__exit__()
            raise NoNetwork(f"no network namespaces here: {error.stderr.strip()}") from error
        return self

    def __exit__(self, *_: object) -> None:
        for space in self._spaces:
            _ip("netns", "delete", space, check=False)
        _ip("link", "delete", self._bridge, check=False)

    def part(self, number: int) -> None:
        """It and the other places do not reach one another. Whoever is outside reaches all."""
        for peer in self._peers(number):
            _ip("-n", self._spaces[number], "route", "add", "blackhole", f"{peer}/32")

    def unite(self, number: int) -> None:
        """Take that back."""
        for peer in self._peers(number):
            _ip("-n", self._spaces[number], "route", "delete", "blackhole", f"{peer}/32")

    def isolate(self, number: int) -> None:
        """Nobody reaches it, and it nobody."""
        _ip("link", "set", self._end(number), "down")

    def connect(self, number: int) -> None:
        """Take that back."""
        _ip("link", "set", self._end(number), "up")

    def _peers(self, number: int) -> Sequence[str]:
        return [place.address for place in self.places if place != self.places[number]]

    def _end(self, number: int) -> str:
        """The cable of a place, at the bridge."""
        return f"{self._bridge}p{number}"

    def _make(self) -> None:
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("address", "add", f"{self._range}.1/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for number, (space, place) in enumerate(zip(self._spaces, self.places, strict=True)):
            _ip("netns", "add", space)
            _ip("link", "add", self._end(number), "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", self._end(number), "master", self._bridge, "up")
            _ip("-n", space, "address", "add", f"{place.address}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", space, "link", "set", "lo", "up")


def _ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)
