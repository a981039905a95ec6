"""The base of all actors: none dies unnoticed or takes others with it, and each log line names its writer.

Three private methods of pykka are replaced, each with its reason beside it: there is no public way to give an actor
another mailbox, another thread or another loop.
"""

from __future__ import annotations

import traceback
from abc import abstractmethod
from collections.abc import Callable
from contextvars import Context
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import pykka

from ..environment.clock import Clock, Timer
from ..environment.environment import Environment
from ..environment.threads import Thread
from ..log.emitter import NOBODY, Log, Speaker
from ..log.log_line import safe_str
from ..messages.jobs import Seconds
from ..messages.mail import Died, Mail
from ..rules.limits import Limits
from ..stores.ports import Store


class Post:
    """Actors by name. A name is kept over incarnations; a reference would become stale."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._actors: dict[str, RuntimeActor] = {}
        self._ids = count(1)

    def tell(
        self, to: str, body: Any, *, speaker: Speaker = NOBODY, root_id: str | None = None, here: bool = False
    ) -> bool:
        """Put a message into an actor's mailbox. False if no such actor lives.

        Args:
            here: whether the calling thread may handle the message itself.
        """
        actor = self._actors.get(to)
        if actor is None:
            return False
        mail = Mail(next(self._ids), speaker.message_id, root_id or speaker.root_id, self._clock.now(), body)
        if here and actor.handle_here(mail):
            return True
        try:
            actor.actor_ref.tell(mail)
        except pykka.ActorDeadError:
            return False
        if actor.actor_stopped.is_set():
            # The actor died after the check, and may have emptied its mailbox before this message was put there.
            actor.return_mail()
        return True

    def new_id(self) -> int:
        """A number unique among this boot's messages and `Resync`s."""
        return next(self._ids)

    def find(self, name: str) -> RuntimeActor | None:
        return self._actors.get(name)

    def enter(self, actor: RuntimeActor) -> None:
        self._actors[actor.name] = actor

    def names(self) -> list[str]:
        return list(self._actors)


class ActorContext(NamedTuple):
    """The parts of a boot that each of its actors works with, and so do the parts beside them."""

    store: Store
    environment: Environment
    clock: Clock
    log: Log
    limits: Limits
    post: Post
    died: Callable[[Died], None]


def death_of(error: BaseException, limits: Limits) -> tuple[str, str]:
    trace = "".join(traceback.format_exception(error))[-limits.error_characters_max :]
    return f"{type(error).__name__}: {safe_str(error)}"[:500], trace


class RuntimeActor(pykka.ThreadingActor):
    """The base of JobBroker, HandlerActor, SchedulerActor and Supervisor."""

    use_daemon_thread = True

    is_lent_to_hosts = False
    """Whether threads of the application may handle this actor's mail."""

    def __init__(self, context: ActorContext, name: str, incarnation: int) -> None:
        # pykka's own __init__ asks for the mailbox, so the context comes first.
        self.context = context
        self.name = name
        self.incarnation = incarnation
        self.thread: Thread | None = None
        self.busy_since: float | None = None
        self.in_hand: Mail | None = None
        self.speaker = Speaker(actor=name, incarnation=incarnation)
        self._fatal: BaseException | None = None
        self.is_lent = False
        # Its lines must not carry context variables of the threads that stand in for it.
        self._own_context = Context()
        super().__init__()

    @abstractmethod
    def receive(self, mail: Mail) -> None:
        """Handle one message. `self.speaker` says which."""

    def tell(self, to: str, body: Any, *, root_id: str | None = None) -> bool:
        return self.context.post.tell(to, body, speaker=self.speaker, root_id=root_id)

    def tell_self(self, body: Any) -> None:
        """Send itself a message without a cause. Any thread may call this."""
        self.context.post.tell(self.name, body)

    def later(self, seconds: Seconds, body: Any) -> Timer:
        """Send itself a message after a time. If this incarnation is gone, the next one gets it."""
        return self.context.clock.after(seconds, lambda: self.tell_self(body))

    def say(self, event: str, **fields: Any) -> None:
        self.context.log.emit(event, self.speaker, **fields)

    def speaker_of(self, mail: Mail) -> Speaker:
        if mail is self.in_hand:
            return self.speaker
        waited = round(max(0.0, self.context.clock.now() - mail.sent_at), 6)
        return Speaker(self.name, self.incarnation, mail.message_id, mail.cause, mail.root_id, waited)

    def take_more(self, most: int) -> list[Mail]:
        """Take waiting messages, up to the first object that is no `Mail` (a stop)."""
        taken: list[Mail] = []
        mail = self.mailbox.mail
        while mail and len(taken) < most and isinstance(mail[0].message, Mail):
            envelope = self.mailbox.take()
            if envelope is None:
                break
            taken.append(envelope.message)
        return taken

    @property
    def has_mail(self) -> bool:
        """Whether a `Mail` is next; a stop or a foreign object does not count."""
        mail = self.mailbox.mail
        return bool(mail) and isinstance(mail[0].message, Mail)

    @property
    def behind(self) -> int:
        return len(self.mailbox)

    def handle_here(self, mail: Mail) -> bool:
        """Handle a message on the calling thread, after the unread mail, while the actor's thread waits for mail. False
        if that is not possible.
        """
        return self._stand_in(partial(self._read_here, mail))

    def hear_first(self) -> None:
        """A thread that stands in calls this before it handles its own message."""

    def _stand_in(self, read: Callable[[], object]) -> bool:
        # Nobody stands in for an actor that is about to die.
        return self._fatal is None and self.may_be_stood_in_for and self.mailbox.lend(read)

    def _read_here(self, new: Mail | None = None) -> None:
        over = new
        self.is_lent = True
        try:
            if new is not None:
                self.hear_first()
                self.actor_ref.tell(new)
            for _ in range(len(self.mailbox)):
                if self.may_be_stood_in_for:
                    # None is left if an earlier message has taken the others along.
                    for over in self.take_more(1):
                        self._own_context.run(self.on_receive, over)
        except BaseException as error:
            self._is_to_die(error)
            if over is not None:
                self.actor_ref.tell(over)
        finally:
            self.is_lent = False

    def _is_to_die(self, error: BaseException) -> None:
        """Have the actor die of an error of a thread that stands in for it: on its own thread, which its mail wakes."""
        # Exit the blocks that the error left suspended on this thread, which may hold locks.
        traceback.clear_frames(error.__traceback__)
        self._fatal = error

    @property
    def may_be_stood_in_for(self) -> bool:
        """Whether other threads may handle messages while the actor's own waits for mail."""
        return False

    def on_receive(self, message: Any) -> None:
        """Runs on the actor's thread, or on one that stands in for it."""
        if not isinstance(message, Mail):
            raise TypeError(f"expected a Mail, got: {type(message).__name__}")
        if self._fatal is not None:
            # A message that a stand-in thread handled is still `in_hand`.
            if message is not self.in_hand:
                self.on_lost(message, read=False)
            raise self._fatal
        self.busy_since = self.context.clock.monotonic()
        self.speaker = self.speaker_of(message)
        self.in_hand = message
        failpoints = self.context.environment.failpoints
        try:
            if failpoints.is_live:
                failpoints.at("actor.receive", self)
            self.receive(message)
            if failpoints.is_live:
                failpoints.at("actor.received", self)
            self.in_hand = None
        finally:
            self.busy_since = None

    def _create_actor_inbox(self) -> Any:  # type: ignore[override]
        """pykka makes a queue. This mailbox is the environment's, and other threads may stand in for its reader."""
        self.mailbox = self.context.environment.actor_mailbox()
        return self.mailbox

    def _start_actor_loop(self) -> None:
        """pykka makes a thread and keeps no handle of it. This thread is the environment's, and its end is noticed."""
        # An application that stops all *its* actors through pykka's registry must not stop these.
        pykka.ActorRegistry.unregister(self.actor_ref)
        self.context.post.enter(self)
        self.thread = self.context.environment.spawn(self._actor_loop, self.name)

    def _actor_loop(self) -> None:
        """pykka's loop stops *every* actor of the process on a BaseException, logs errors under a name of its own, and
        throws away unread messages, whose senders would wait in vain. This one reports its end, whatever ends it.
        """
        limits = self.context.limits
        death: tuple[str, str | None] = "stopped", None
        try:
            self.context.environment.failpoints.at("actor.start", self)
            self.on_start()
            while not self.actor_stopped.is_set():
                envelope = self.mailbox.get()
                try:
                    # It ends the actor for a stop, and calls `on_receive` for all else.
                    answer = self._handle_receive(envelope.message)
                    if envelope.reply_to is not None:
                        envelope.reply_to.set(answer)
                except Exception:
                    if envelope.reply_to is None:
                        raise
                    envelope.reply_to.set_exception()
        except BaseException as error:
            death = death_of(error, limits)
        finally:
            self.actor_stopped.set()
            try:
                self.on_down()
                if self.in_hand is not None:
                    self.on_lost(self.in_hand, read=True)
                self.return_mail()
            except BaseException as error:
                # An error in the last log line must not keep the supervisor from learning of the death.
                death = death_of(error, limits)
            self.context.died(
                Died(
                    child=self.name,
                    incarnation=self.incarnation,
                    reason=death[0],
                    traceback=death[1],
                    over=self.in_hand,
                    is_anothers=self._fatal is not None and self.is_lent_to_hosts,
                )
            )

    def return_mail(self) -> None:
        """Empty a dead actor's mailbox. Any thread may call this, also a sender that sees the actor die."""
        while (envelope := self.mailbox.take()) is not None:
            if isinstance(envelope.message, Mail):
                self.on_lost(envelope.message, read=False)
            elif envelope.reply_to is not None:
                envelope.reply_to.set(None)

    def on_down(self) -> None:
        """Runs on the actor's thread at its end, whatever it died of."""

    def on_lost(self, mail: Mail, *, read: bool) -> None:
        """A message that this actor will not handle any more; `read` if it died over it."""
