"""Where events go: the host's structlog or logging, and subscribers. Nothing here ever raises into an actor.

The host's configuration is used, never changed: no `structlog.configure`, no handler on any logger.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import structlog

from .clock import Clock
from .environment import Mailbox
from .errors import UsageError
from .events import EVENTS
from .failpoints import Failpoints

Subscriber = Callable[[dict[str, Any]], None]

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who speaks, and about which message: what every line of theirs carries."""

    actor: str | None = None
    incarnation: int | None = None
    msg: int | None = None
    cause: int | None = None
    corr: str | None = None
    mail_seconds: float | None = None

    def fields(self) -> dict[str, Any]:
        """Those that apply."""
        given = {
            "actor": self.actor, "incarnation": self.incarnation, "msg": self.msg,
            "cause": self.cause, "corr": self.corr, "mail_seconds": self.mail_seconds,
        }  # fmt: skip
        return {name: value for name, value in given.items() if value is not None}


NOBODY = Speaker()


def default_logger() -> Any:
    """The host's structlog if it has configured it, otherwise the standard logger `lamplighter`, as JSON text."""
    if structlog.is_configured():
        return structlog.get_logger("lamplighter")
    return structlog.wrap_logger(
        logging.getLogger("lamplighter"),
        processors=[structlog.stdlib.filter_by_level, structlog.processors.JSONRenderer(default=repr)],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


class Log:
    """The log of one boot."""

    def __init__(
        self,
        logger: Any,
        boot: str,
        clock: Clock,
        *,
        waiting_max: int,
        lock: AbstractContextManager[Any],
        failpoints: Failpoints,
    ) -> None:
        self._logger = logger
        self._boot = boot
        self._clock = clock
        self._waiting_max = waiting_max
        self._seq = 0
        self.dropped = 0
        self._drop_reason = ""
        self._lock = lock
        self._failpoints = failpoints
        self._subscriptions: list[Subscription] = []

    def emit(self, event: str, speaker: Speaker = NOBODY, /, **fields: Any) -> None:
        """Say that something happened. Fields that are None are left out."""
        said = {name: value for name, value in fields.items() if value is not None}
        # Numbered and written under one lock, so that the lines of a boot lie in the file in the order of `seq`.
        with self._lock:
            if self.dropped:
                dropped, self.dropped = self.dropped, 0
                if not self._write("log.dropped", NOBODY, {"count": dropped, "reason": self._drop_reason}):
                    self.dropped += dropped
            self._write(event, speaker, said)

    def subscribe(self, subscription: Subscription) -> None:
        """Give every event from now on to a subscriber too."""
        self._subscriptions.append(subscription)

    def bound(self, **fields: Any) -> Any:
        """A logger of the host's own for a handler to write to."""
        return self._logger.bind(**fields)

    def _write(self, event: str, speaker: Speaker, fields: dict[str, Any]) -> bool:
        self._seq += 1
        line = {"ts": round(self._clock.now(), 6), "boot": self._boot, "seq": self._seq, **speaker.fields(), **fields}
        level = EVENTS[event].level
        for subscription in self._subscriptions:
            subscription.offer({"event": event, "level": level, **line}, self._waiting_max)
        try:
            self._failpoints.at("log.write", event)
            getattr(self._logger, level)(event, **line)
        except Exception as error:
            # A full disk, or a host's processor that raises: neither may kill the actor that speaks.
            self.dropped += 1
            self._drop_reason = f"{type(error).__name__}: {error}"[:200]
            return False
        return True


@dataclass(eq=False)
class Subscription:
    """A host's function that is called after the commit, on a thread of its own.

    Attributes:
        call: gets each event as a dict.
        events: which names; None for all.
        waiting: what it has not been given yet; None ends it.
        failures: how often it raised.
        dropped: how many events it was too slow for.
    """

    call: Subscriber
    events: frozenset[str] | None
    waiting: Mailbox
    failures: int = 0
    dropped: int = 0

    def offer(self, event: dict[str, Any], waiting_max: int) -> None:
        """Put an event in line, or count it as dropped when the subscriber is that far behind."""
        if self.events is not None and event["event"] not in self.events:
            return
        if len(self.waiting) >= waiting_max:
            self.dropped += 1
            return
        self.waiting.put(event)

    def close(self) -> None:
        """Let `run` return once it has given out what waits."""
        self.waiting.put(None)

    def run(self, failed: Callable[[Subscription, BaseException], None]) -> None:
        """Give out events until closed; runs on the subscription's own thread."""
        while (event := self.waiting.get()) is not None:
            try:
                self.call(event)
            except BaseException as error:
                self.failures += 1
                # Its own failure is not news to it: that would be a loop.
                if event["event"] != "subscriber.failed":
                    failed(self, error)


def check_events(events: Collection[str] | None) -> frozenset[str] | None:
    """The names a subscriber asked for.

    Raises:
        UsageError: one of them is no event.
    """
    if events is None:
        return None
    wanted = frozenset([events] if isinstance(events, str) else events)
    unknown = sorted(wanted - EVENTS.keys())
    if unknown:
        raise UsageError(f"expected events= to name events of docs/events.md, got: {', '.join(unknown)}")
    return wanted


_corr: ContextVar[str | None] = ContextVar("lamplighter_corr", default=None)


@contextlib.contextmanager
def job_context(corr: str, **fields: Any) -> Iterator[None]:
    """While it lasts, structlog lines of this thread or task carry the job's fields, and then no longer."""
    token = _corr.set(corr)
    try:
        with structlog.contextvars.bound_contextvars(**fields):
            yield
    finally:
        _corr.reset(token)


def current_corr() -> str | None:
    """The root of the job that this thread or task runs; None outside of a handler."""
    return _corr.get()
