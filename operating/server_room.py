"""Asking the runtimes on a RabbitMQ what only their memory knows: all that hear it answer, and nobody else is known of.

There, no row says which runtimes there are: what they have said of themselves lies in the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from ..errors import LamplighterError, StoreUnavailable, UsageError
from ..messages.boots import BootRecord
from ..messages.controls import Ask, Verb
from ..messages.jobs import Seconds
from ..messages.views import RuntimeView
from ..rules.control_lines import decode_answer, encode_ask
from ..stores.opening import visit
from .controls import ANSWER_SECONDS, Reached
from .runtimes import Runtimes, named
from .situation import SeenBoot

if TYPE_CHECKING:
    from ..stores.rabbitmq.viewing import ServerReadable

V = TypeVar("V")

SILENT = "it has said that it is there, and does not answer: it may hang, or have died within the last minute"


class ServerRoom:
    """Asks the runtimes on one server, and lists those that answer.

    Args:
        url: the server's address.
        timeout: how long they may take to answer.

    Raises:
        StoreUnavailable, StoreError: of every method: the server does not let anybody in.
    """

    def __init__(self, url: str, timeout: Seconds = ANSWER_SECONDS) -> None:
        self._url = url
        self._timeout = timeout

    def look(self, enough: int | None = None) -> Sequence[Reached]:
        """What each says of itself, in the order of their starts.

        Args:
            enough: how many there are, if that is known: no more are waited for.
        """
        with visit(self._url) as visitor:
            lines = visitor.ask(encode_ask(Ask(verb="view")), self._timeout, enough=enough)
        views = [view for line in lines if (view := _view(line)) is not None]
        views.sort(key=lambda view: (view.started_at, view.boot))
        return [Reached(boot=view.boot, condition="answers", is_alive=True, view=view, pid=view.pid) for view in views]

    def ask(
        self,
        boot: str,
        verb: Verb,
        kind: type[V],
        *,
        by: str | None = None,
        via: str | None = None,
        reason: str | None = None,
    ) -> V:
        """Ask one boot, as `ControlRoom.ask`."""
        question = encode_ask(Ask(verb=verb, by=by, via=via, reason=reason, boot=boot))
        with visit(self._url) as visitor:
            lines = visitor.ask(question, self._timeout, enough=1)
        if not lines:
            why = f"no answer within {self._timeout:g} s"
            raise StoreUnavailable(f"expected runtime instance {boot} to answer, got: {why}")
        return decode_answer(lines[0], kind)

    def all(self) -> Sequence[SeenBoot]:
        """Every boot that answers."""
        return [_seen(reached.view) for reached in self.look() if reached.view is not None]

    def one(self, boot: str) -> SeenBoot | None:
        """As `Runtimes.one`."""
        return named(self.all(), boot)


class ServerRuntimes(Runtimes):
    """The runtimes on a server: what they have said of themselves in the ledger, and what those that answer say now."""

    def __init__(self, store: ServerReadable, room: ServerRoom) -> None:
        super().__init__(store, None)
        self._ledger = store
        self._asked = room

    def all(self) -> Sequence[SeenBoot]:
        """As `Runtimes.all`. Of one that does not answer nobody knows whether it lives, until the leader has not heard
        it for about a minute and takes it for ended.
        """
        with self._ledger.snapshot() as seen:
            records = {record.boot: record for record in seen.boots()}
        answered = {one.boot: one.view for one in self._asked.look(enough=len(records)) if one.view is not None}
        known = [record for boot, record in records.items() if boot not in answered]
        return [
            *(_seen(view) for view in answered.values()),
            *(SeenBoot(record=one, is_alive=None, unheard=SILENT, condition="silent") for one in known),
        ]

    def declared(self, *, but: str | None = None) -> Mapping[str, frozenset[str]] | None:
        """As `Runtimes.declared`: they have all said so in the ledger."""
        with self._ledger.snapshot() as seen:
            return {boot: frozenset(ids) for boot, ids in seen.declared().items() if boot != but}


def _view(line: bytes) -> RuntimeView | None:
    try:
        return decode_answer(line, RuntimeView)
    except (LamplighterError, UsageError):
        # Of another version, say: who it is cannot be known then.
        return None


def _seen(view: RuntimeView) -> SeenBoot:
    record = BootRecord(
        boot=view.boot,
        pid=view.pid,
        host=view.host,
        started_at=view.started_at,
        hint=None,
        names=view.names,
        boot_no=view.boot_no,
        stopping=view.is_draining,
        kind=view.kind,
        version=view.version,
        python=view.python,
    )
    return SeenBoot(record=record, is_alive=True, view=view, unheard="", condition="answers")
