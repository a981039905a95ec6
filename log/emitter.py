"""Emits events to the application's structlog or logging, and to subscribers. Nothing here ever raises into an actor.

The application's configuration is used, never changed: no `structlog.configure`, no handler on any logger.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, NamedTuple

from ..environment.clock import Clock
from ..environment.failpoints import Failpoints
from ..environment.replies import Mailbox
from ..errors import UsageError, shown
from ..messages.boots import MOVES_MAX, LedgerTurn
from ..rules.codec import checksum, ready
from ..rules.ledger_moves import ledger_line
from .events import EVENTS
from .log_line import Unwritten
from .outlets import outlet_of

Subscriber = Callable[[dict[str, Any]], None]

SPEAKER_FIELDS = ("actor", "incarnation", "msg", "cause", "corr", "mail_seconds")
"""The log's names for a `Speaker`'s fields, in order."""


class Speaker(NamedTuple):
    """The fields of every line of one actor: its identity, and the message that it handles."""

    actor: str | None = None
    incarnation: int | None = None
    message_id: int | None = None
    cause: int | None = None
    root_id: str | None = None
    mail_seconds: float | None = None

    def about(self, root_id: str | None) -> Speaker:
        """The same with another root."""
        return Speaker(self.actor, self.incarnation, self.message_id, self.cause, root_id, self.mail_seconds)


NOBODY = Speaker()

TOGETHER_MAX = 1000
"""How many lines are made at most before they are written."""


class Said(NamedTuple):
    """Lines of one event by one speaker. The fields of each line are made from an item of `each`."""

    event: str
    speaker: Speaker
    each: Sequence[Any]


Make = Callable[[str, Any], dict[str, Any]]
"""Makes the fields of a line. Those that are None are left out."""


@dataclass(eq=False)
class Log:
    logger: Any
    boot: str
    clock: Clock
    waiting_max: int
    lock: AbstractContextManager[Any]
    failpoints: Failpoints
    thread_id: Callable[[], int] = threading.get_ident
    dropped: int = 0
    _drop_reason: str = ""
    _writer: int | None = None
    _subscriptions: list[Subscription] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._outlet, self._numbers = outlet_of(self.logger), count(1)

    @property
    def is_ours(self) -> bool:
        """Whether writing a line calls no code of the application."""
        return self._outlet.is_ours()

    @property
    def is_written_here(self) -> bool:
        """Whether the calling thread is writing a line."""
        return self._writer == self.thread_id()

    def emit(self, event: str, speaker: Speaker = NOBODY, /, **fields: Any) -> None:
        self.emit_all((Said(event, speaker, (fields,)),), _as_given)

    def emit_made(self, event: str, speaker: Speaker, make: Callable[[], dict[str, Any]]) -> None:
        """`emit`, with fields that are made only if somebody listens."""
        if self._subscriptions or self._outlet.hears(EVENTS[event].level):
            self.emit_all((Said(event, speaker, (make,)),), lambda _, said: said())
        else:
            next(self._numbers)

    def emit_all(self, lines: Iterable[Said], make: Make) -> None:
        """Log events, in order and in one write, with fields that are made only if somebody listens."""
        heard: list[tuple[Said, bool]] = []
        hears: dict[str, bool] = {}
        for some in lines:
            level = EVENTS[some.event].level
            if level not in hears:
                hears[level] = self._outlet.hears(level)
            is_written = hears[level]
            if is_written or (self._subscriptions and self._listening(some.event)):
                heard.append((some, is_written))
                continue
            # Unwritten lines get their numbers all the same. Nothing here waits for a thread that is writing a line.
            for _ in some.each:
                next(self._numbers)
        if not heard:
            return
        # Numbered and written under one lock, so that the lines of a boot lie in the file in the order of `seq`.
        with self.lock:
            self._writer = self.thread_id()
            try:
                if self.dropped:
                    # Others may read the count meanwhile.
                    dropped = self.dropped
                    said = {"count": dropped, "reason": self._drop_reason}
                    dropping = Said("log.dropped", NOBODY, (said,))
                    self._write([(dropping, self._outlet.hears(EVENTS[dropping.event].level))], _as_given)
                    if self.dropped == dropped:
                        self.dropped = 0
                self._write(heard, make)
            finally:
                self._writer = None

    def emit_turn(self, turn: LedgerTurn, store_id: str | None, teller: Speaker, besides: Iterable[Said]) -> bool:
        """Log a committed turn as one text, with the bytes of `emit_all` in two thirds of its time.

        Args:
            teller: an actor without a message, of which only the name and the incarnation are written.
            besides: the other lines of the turn.

        Returns:
            False, with nothing done, unless one file of ours listens alone and hears one line of the turn.
        """
        event, outlet, unheard = "turn.committed", self._outlet, 0
        file = outlet.only_file()
        if file is None or self._subscriptions or self.dropped or len(turn.moves) > MOVES_MAX:
            return False
        for some in besides:
            if outlet.hears(EVENTS[some.event].level):
                return False
            unheard += len(some.each)
        level = EVENTS[event].level
        if not outlet.hears(level):
            return False
        for _ in range(unheard):
            next(self._numbers)
        fields = ledger_line(turn, store_id, None, ready(turn.moves))
        with self.lock:
            self._writer = self.thread_id()
            try:
                now, boot, seq, (actor, incarnation, *_) = self.clock.now(), self.boot, next(self._numbers), teller
                crc = checksum((event, boot, seq, actor, incarnation), fields["crc"])
                head = {"event": event, "level": level, "ts": round(now, 6), "boot": boot, "seq": seq}
                line = {**head, "actor": actor, "incarnation": incarnation, **fields, "crc": crc}
                if None in line.values():
                    line = {name: value for name, value in line.items() if value is not None}
                self._put(partial(file.write, now=now), [line])
            finally:
                self._writer = None
        return True

    def begin(self, boot: str) -> None:
        """Write another boot's id into every line from now on."""
        with self.lock:
            self.boot, self._numbers = boot, count(1)

    def subscribe(self, subscription: Subscription) -> None:
        self._subscriptions.append(subscription)

    def bound(self, **fields: Any) -> Any:
        return self._outlet.bound(**fields)

    def _write(self, heard: Iterable[tuple[Said, bool]], make: Make) -> None:
        written: list[dict[str, Any]] = []
        now = round(self.clock.now(), 6)
        for (event, speaker, each), is_written in heard:
            head: dict[str, Any] = {"event": event, "level": EVENTS[event].level, "ts": now, "boot": self.boot}
            said = {name: value for name, value in zip(SPEAKER_FIELDS, speaker, strict=True) if value is not None}
            subscriptions = self._listening(event) if self._subscriptions else ()
            for one in each:
                line = {**head, "seq": next(self._numbers), **said}
                for name, value in make(event, one).items():
                    if value is not None:
                        line[name] = value
                if "crc" in line:
                    # The ledger line of a turn: only here is known which line of which actor it is.
                    teller = (event, self.boot, line["seq"], speaker.actor, speaker.incarnation)
                    line["crc"] = checksum(teller, line["crc"])
                for subscription in subscriptions:
                    subscription.offer(dict(line), self.waiting_max)
                if is_written:
                    written.append(line)
                    if len(written) == TOGETHER_MAX:
                        self._put(self._outlet.write, written)
                        written = []
        if written:
            self._put(self._outlet.write, written)

    def _put(self, write: Callable[..., Unwritten | None], lines: Sequence[dict[str, Any]]) -> None:
        for tries_left in (1, 0):
            try:
                if self.failpoints.is_live:
                    self.failpoints.at("log.write", lines[0]["event"])
                lost = write(lines)
            except Exception as error:
                lost = Unwritten(len(lines), error)
            if lost is None:
                return
            if tries_left == 0 or not self._outlet.is_ours() or isinstance(lost.why, OSError | ValueError):
                # The disk may be full, or a processor of the application may raise: neither may kill the actor that
                # logs.
                self.dropped += lost.lines
                self._drop_reason = lost.reason
                return
            # No file has failed: the host may have raised that into its own thread, which stands in for the broker.
            # Lines that were written all the same appear twice.

    def _listening(self, event: str) -> list[Subscription]:
        return [subscription for subscription in self._subscriptions if subscription.wants(event)]


@dataclass(eq=False)
class Subscription:
    """A function of the application that is called with committed events on a thread of its own.

    Attributes:
        call: gets each event as a dict.
        events: the wanted names; None for all.
        waiting: undelivered events; None ends the thread.
        failures: how often it raised.
        dropped: how many events it was too slow for.
    """

    call: Subscriber
    events: frozenset[str] | None
    waiting: Mailbox
    failures: int = 0
    dropped: int = 0

    def wants(self, event: str) -> bool:
        return self.events is None or event in self.events

    def offer(self, event: dict[str, Any], waiting_max: int) -> None:
        """Queue an event, or count it as dropped when the subscriber is that far behind."""
        if len(self.waiting) >= waiting_max:
            self.dropped += 1
            return
        self.waiting.put(event)

    def close(self) -> None:
        """Let `run` return once it has delivered the waiting events."""
        self.waiting.put(None)

    def run(self, failed: Callable[[Subscription, BaseException], None]) -> None:
        """Deliver events until closed; runs on the subscription's own thread."""
        while (event := self.waiting.get()) is not None:
            try:
                self.call(event)
            except BaseException as error:
                self.failures += 1
                # A subscriber does not get the event of its own failure: it might fail again, for ever.
                if event["event"] != "subscriber.failed":
                    failed(self, error)


def _as_given(_: str, fields: dict[str, Any]) -> dict[str, Any]:
    return fields


def check_events(events: Collection[str] | None) -> frozenset[str] | None:
    """Check a subscriber's event names. Raises a UsageError if one is no event."""
    if events is None:
        return None
    try:
        wanted = frozenset([events] if isinstance(events, str) else events)
    except TypeError:
        raise UsageError(f"expected events= to be names of events, got: {shown(events)}") from None
    if unknown := sorted(str(name) for name in wanted - EVENTS.keys()):
        raise UsageError(f"expected events= to name events of docs/events.md, got: {', '.join(unknown)}")
    return wanted
