"""Asks the runtimes on RabbitMQ for what only their memory has: all that hear a question answer it, and no others are
known.

No row lists the runtimes there: their own records lie in the ledger.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from functools import partial
from typing import TypeVar, cast

from ...environment.clock import SystemClock
from ...errors import LamplighterError, StoreUnavailable, UnknownJob, UsageError, shown
from ...messages.controls import ANSWER_SECONDS, HUNG_SECONDS_MAX, VIEW_ASKED, Ask, JobVerb, Verb
from ...messages.jobs import Attribution, Instant, JobRecord, Seconds
from ...messages.views import JobAnswer, RuntimeView
from ...rules.control_lines import AskRefused, decode_answer, encode_ask
from ...rules.wording import many
from ..control_client import BootView, boot_view
from ..ports import Readable
from .admin_connection import AdminConnection, ServerView

V = TypeVar("V")

ACT_SECONDS = 10.0
"""How long a job's holder may take to act on it. Its broker may be busy; a request that it reads later is not carried
out.
"""

SILENT = "it has said that it is there, and does not answer: it may hang, or have died within the last minute"


@dataclass(frozen=True)
class RabbitControlClient:
    """The `ControlClient` of a server, and its `JobHolders`.

    Args:
        visit: opens a connection.
        timeout, hung_seconds_max: as `StorePlace.client` has them.
        act_seconds: how long an act on a job may take.
        now: wall time; this machine's unless given.
    """

    visit: Callable[[], AdminConnection]
    timeout: Seconds = ANSWER_SECONDS
    _: KW_ONLY
    act_seconds: Seconds = ACT_SECONDS
    hung_seconds_max: Seconds = HUNG_SECONDS_MAX
    now: Callable[[], Instant] = SystemClock().now

    def found(self, enough: int | None = None) -> Sequence[BootView]:
        """Those that answer, in the order of their starts; stops waiting after `enough` answers."""
        with self.visit() as visitor:
            lines = visitor.ask(VIEW_ASKED, self.timeout, is_enough=lambda lines: len(lines) == enough)
        views = [view for line in lines if (view := _view(line)) is not None]
        views.sort(key=lambda view: (view.started_at, view.boot))
        seen = partial(boot_view, is_alive=True, condition="answers", hung_seconds_max=self.hung_seconds_max)
        return [seen(view, view=view) for view in views]

    def look(self, store: Readable) -> Sequence[BootView]:
        """Those that answer, and those that the ledger has. One that does not answer may live, until the leader has
        not heard it for about a minute and records its end.
        """
        with store.snapshot() as seen:
            records = {record.boot: record for record in seen.boots()}
        answered = self.found(enough=len(records))
        known = records.keys() - {one.boot for one in answered}
        silent = [one for one in records.values() if one.boot in known]
        return [*answered, *(boot_view(one, is_alive=None, unheard=SILENT, condition="silent") for one in silent)]

    def declared(self, store: Readable, *, but: str | None = None) -> Mapping[str, frozenset[str]] | None:
        """The ledger has them all."""
        with store.snapshot() as seen:
            declared = cast("ServerView", seen).declared()
        return {boot: frozenset(ids) for boot, ids in declared.items() if boot != but}

    def ask(self, boot: str, verb: Verb, kind: type[V], who: Attribution | None = None, job_id: str | None = None) -> V:
        question = encode_ask(Ask(verb=verb, **({} if who is None else who._asdict()), boot=boot, job_id=job_id))
        with self.visit() as visitor:
            lines = visitor.ask(question, self.timeout, is_enough=bool)
        if not lines:
            why = f"no answer within {self.timeout:g} s"
            raise StoreUnavailable(f"expected runtime instance {boot} to answer, got: {why}")
        return decode_answer(lines[0], kind)

    def act(self, verb: JobVerb, job_id: str, who: Attribution, *, delay: Seconds = 0.0) -> JobRecord:
        with self.visit() as visitor:
            known = _known_boots(visitor)
            ask = Ask(verb=verb, **who._asdict(), job_id=job_id, delay=delay, asked_at=self.now())
            # Where the ledger knows no runtime, only a new one could answer.
            seconds = self.timeout if known == set() else self.act_seconds
            lines = visitor.ask(encode_ask(ask), seconds, is_enough=lambda lines: _is_settled(lines, known))
        answers = [answer for line in lines if (answer := _answer(line)) is not None]
        for answer in answers:
            if answer.job is not None:
                return JobRecord(row_id=0, data="null", **asdict(answer.job))
        for answer in answers:
            if answer.is_held:
                raise StoreUnavailable(_late(verb, job_id, answer.boot, self.act_seconds))
        answered = {answer.boot for answer in answers}
        if known is None or known - answered:
            raise StoreUnavailable(_unheard(job_id, self.act_seconds, sorted((known or set()) - answered)))
        raise UnknownJob(
            f"no runtime holds job {shown(job_id)}, as {many(len(answered), 'runtime')} said: it has ended, or it "
            "waits in a queue, where none can be found by its id"
        )


def _known_boots(visitor: AdminConnection) -> set[str] | None:
    """The boots that have announced themselves; None while the ledger cannot be read."""
    with contextlib.suppress(StoreUnavailable):
        return {row["boot"] for row in visitor.ledger().boots.values()}
    return None


def _is_settled(lines: Sequence[bytes], known: set[str] | None) -> bool:
    """Whether a boot has acted on a job, or has refused to, or all have denied holding it."""
    try:
        answers = [answer for line in lines if (answer := _answer(line)) is not None]
    except AskRefused:
        return True
    if any(answer.is_held for answer in answers):
        return any(answer.job is not None for answer in answers)
    return known is not None and known <= {answer.boot for answer in answers}


def _answer(line: bytes) -> JobAnswer | None:
    """The answer of a boot about a job; None from one whose version knows no such question.

    Raises:
        AskRefused: it holds the job, and does not act.
    """
    try:
        return decode_answer(line, JobAnswer)
    except UsageError:
        return None
    except AskRefused as refused:
        if refused.refusal == "unknown_verb":
            return None
        raise


def _late(verb: JobVerb, job_id: str, boot: str, seconds: Seconds) -> str:
    """The error text for a holder that has not acted yet."""
    return (
        f"runtime instance {boot} holds job {shown(job_id)}, and could not {verb} it within {seconds:g} s: its broker "
        "is busy, or hangs. Unless it has begun to do it, it does not do it later. If its process ends, others run the "
        "job"
    )


def _unheard(job_id: str, seconds: Seconds, silent: Sequence[str]) -> str:
    """Why the outcome of an act is unknown."""
    who = f"runtime instance {', '.join(silent)}" if silent else "the runtimes, of which nobody says which there are"
    return (
        f"expected whoever holds job {shown(job_id)} to answer within {seconds:g} s, got nothing from {who}: it may "
        "hang, be of an older version, or have died within the last minute"
    )


def _view(line: bytes) -> RuntimeView | None:
    try:
        return decode_answer(line, RuntimeView)
    except (LamplighterError, UsageError):
        # It may be of another version: its identity cannot be known then.
        return None
