"""Where events go: the application's structlog or logging, and subscribers. Nothing here ever raises into an actor.

The application's configuration is used, never changed: no `structlog.configure`, no handler on any logger.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

from ..environment.clock import Clock
from ..environment.failpoints import Failpoints
from ..environment.mailbox import Mailbox
from ..errors import UsageError, shown
from .events import EVENTS
from .json_line import safe_str
from .outlets import outlet_of

Subscriber = Callable[[dict[str, Any]], None]

SPEAKER_FIELDS = ("actor", "incarnation", "msg", "cause", "corr", "mail_seconds")
"""How the log calls what a `Speaker` says, in order."""


class Speaker(NamedTuple):
    """What every line of one actor says: who it is, and which message it handles."""

    actor: str | None = None
    incarnation: int | None = None
    message_id: int | None = None
    cause: int | None = None
    corr: str | None = None
    mail_seconds: float | None = None

    def about(self, corr: str | None) -> Speaker:
        """The same with another root."""
        return Speaker(self.actor, self.incarnation, self.message_id, self.cause, corr, self.mail_seconds)

    def add_to(self, line: dict[str, Any]) -> None:
        """The fields that apply."""
        for name, value in zip(SPEAKER_FIELDS, self, strict=True):
            if value is not None:
                line[name] = value


NOBODY = Speaker()


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
        self._outlet = outlet_of(logger)
        self._clock = clock
        self._waiting_max = waiting_max
        self._boot = boot
        self._numbers = count(1)
        self.dropped = 0
        self._drop_reason = ""
        self._lock = lock
        self._failpoints = failpoints
        self._subscriptions: list[Subscription] = []

    def emit(self, event: str, speaker: Speaker = NOBODY, /, **fields: Any) -> None:
        """Log an event. Fields that are None are left out."""
        self.emit_made(event, speaker, lambda: fields)

    def emit_made(self, event: str, speaker: Speaker, make: Callable[[], dict[str, Any]]) -> None:
        """`emit`, with fields that are made only if somebody listens."""
        if not self._outlet.hears(EVENTS[event].level) and not (self._subscriptions and self._listening(event)):
            # The event gets its number all the same. Nothing here waits for a thread that is writing a line.
            next(self._numbers)
            return
        fields = make()
        # Numbered and written under one lock, so that the lines of a boot lie in the file in the order of `seq`.
        with self._lock:
            if self.dropped:
                dropped, self.dropped = self.dropped, 0
                if not self._write("log.dropped", NOBODY, {"count": dropped, "reason": self._drop_reason}):
                    self.dropped += dropped
            self._write(event, speaker, fields)

    def begin(self, boot: str) -> None:
        """Write the id of another boot into every line from now on."""
        with self._lock:
            self._boot, self._numbers = boot, count(1)

    def subscribe(self, subscription: Subscription) -> None:
        """Send every event from now on to a subscriber too."""
        self._subscriptions.append(subscription)

    def bound(self, **fields: Any) -> Any:
        """A logger of the application for a handler to write to."""
        return self._outlet.bound(**fields)

    def _write(self, event: str, speaker: Speaker, fields: dict[str, Any]) -> bool:
        level = EVENTS[event].level
        line: dict[str, Any] = {
            "event": event,
            "level": level,
            "ts": round(self._clock.now(), 6),
            "boot": self._boot,
            "seq": next(self._numbers),
        }
        speaker.add_to(line)
        for name, value in fields.items():
            if value is not None:
                line[name] = value
        for subscription in self._listening(event):
            subscription.offer(dict(line), self._waiting_max)
        try:
            if self._outlet.hears(level):
                self._failpoints.at("log.write", event)
                self._outlet.write(line)
        except Exception as error:
            # The disk may be full, or a processor of the application may raise: neither may kill the actor that logs.
            self.dropped += 1
            self._drop_reason = f"{type(error).__name__}: {safe_str(error)}"[:200]
            return False
        return True

    def _listening(self, event: str) -> list[Subscription]:
        return [subscription for subscription in self._subscriptions if subscription.wants(event)]


@dataclass(eq=False)
class Subscription:
    """A function of the application that is called with events after their commit, on a thread of its own.

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

    def wants(self, event: str) -> bool:
        """Whether it asked for events of this name."""
        return self.events is None or event in self.events

    def offer(self, event: dict[str, Any], waiting_max: int) -> None:
        """Put an event in line, or count it as dropped when the subscriber is that far behind."""
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
                # A subscriber does not get the event of its own failure: it might fail again, for ever.
                if event["event"] != "subscriber.failed":
                    failed(self, error)


def check_events(events: Collection[str] | None) -> frozenset[str] | None:
    """The names a subscriber asked for.

    Raises:
        UsageError: one of them is no event.
    """
    if events is None:
        return None
    try:
        wanted = frozenset([events] if isinstance(events, str) else events)
    except TypeError:
        raise UsageError(f"expected events= to be names of events, got: {shown(events)}") from None
    if unknown := sorted(str(name) for name in wanted - EVENTS.keys()):
        raise UsageError(f"expected events= to name events of docs/events.md, got: {', '.join(unknown)}")
    return wanted
