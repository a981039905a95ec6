"""A model of a RabbitMQ, and stores on it, in a test's own time, which passes while somebody waits."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from itertools import count

from lamplighter import StoreUnavailable
from lamplighter.stores.rabbitmq.link import StoreEnvironment
from lamplighter.stores.rabbitmq.store import RabbitStore

from support.rabbitmq.model import ModelServer
from support.rabbitmq.model_link import MODEL, ModelLink

STEP_SECONDS = 1.0


class SkewedClock:
    """The clock of one host: its wall clock is wrong, and its monotonic clock begins anywhere."""

    def __init__(self, world: World, skew: float) -> None:
        self._world = world
        self._skew = skew

    def now(self) -> float:
        return self._world.elapsed + self._skew

    def monotonic(self) -> float:
        return self._world.elapsed + 7.0 * self._skew


class World:
    """A model, its time, and the stores on it. It is the clock, and what they wait at.

    Attributes:
        attended: stores that are looked after while another waits, as their brokers would.
    """

    def __init__(self) -> None:
        self.server = ModelServer()
        self.elapsed = 0.0
        self.given_up: list[tuple[float, str]] = []
        self.attended: list[RabbitStore] = []
        self._ids = count(1)

    def monotonic(self) -> float:
        return self.elapsed

    now = monotonic

    def set(self) -> None:
        """Whoever waits looks by itself."""

    clear = set

    def wait(self, seconds: float) -> None:
        self.elapsed += min(seconds, STEP_SECONDS)
        self.server.let_pass(min(seconds, STEP_SECONDS))
        for store in self.attended:
            store.jobs.outlook((), self.elapsed)

    def let_pass(self, seconds: float) -> None:
        """Let time pass in which nobody asks for anything."""
        until = self.elapsed + seconds
        while self.elapsed < until:
            self.wait(STEP_SECONDS)

    def store(self, *, wait: float = 0.0, skew: float = 0.0) -> RabbitStore:
        """A store of a host whose clock is so many seconds ahead."""
        link = ModelLink(self.server)
        end = link.give_up

        def give_up(session: int, reason: str) -> None:
            self.given_up.append((self.elapsed, reason))
            end(session, reason)

        link.give_up = give_up  # type: ignore[method-assign]
        its_own = StoreEnvironment(
            clock=SkewedClock(self, skew),  # type: ignore[arg-type]
            event=lambda: self,
            future=Future,
            new_id=lambda: f"{next(self._ids):012}{0:012}",  # type: ignore[arg-type]
        )
        store = RabbitStore(MODEL, link, partial(ModelLink, self.server), environment=its_own, wait=wait)
        store.open()
        return store

    def turn(self, store: RabbitStore) -> bool:
        """Whether a turn can be had."""
        try:
            with store.turn("boot", self.elapsed):
                return True
        except StoreUnavailable:
            self.wait(STEP_SECONDS)
            return False
