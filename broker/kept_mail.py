"""Mail kept while the store cannot be written: which messages are still wanted.

It may be kept for a whole night. Accepted messages are never dropped; where only the newest counts, such as a job's
progress, only that is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..environment.replies import answer_all, reply_of
from ..errors import LamplighterError
from ..messages.mail import (
    Capacity,
    CheckDue,
    ClockJumped,
    Drain,
    Ended,
    Housekeep,
    Mail,
    Progressed,
    Tick,
    WatchExternalCommit,
)

HINTS = (ClockJumped, Drain, Housekeep)
"""One message of these kinds is as good as several."""


def still_wanted(mails: Sequence[Mail]) -> list[Mail]:
    """The mail without messages whose senders no longer wait, or that a later message supersedes."""
    said: set[Any] = set()
    kept: list[Mail] = []
    for mail in reversed(mails):
        if given_up(mail.body) or isinstance(mail.body, CheckDue):
            continue
        if isinstance(mail.body, Ended):
            endings = tuple(one for one in mail.body.endings if one.claim.key not in said)
            said.update(one.claim.key for one in endings)
            if endings:
                kept.append(mail._replace(body=mail.body._replace(endings=endings)))
            continue
        subject = _subject(mail.body)
        if subject is None or subject not in said:
            kept.append(mail)
            said.add(subject)
    return kept[::-1]


def refuse_callers(mails: Sequence[Mail], error: LamplighterError) -> list[Mail]:
    """Refuse the messages that await an answer, and return the rest."""
    answer_all((reply, None, error) for mail in mails if (reply := reply_of(mail.body)) is not None)
    return [mail for mail in mails if reply_of(mail.body) is None]


def may_wait_apart(body: object) -> bool:
    """Whether later messages may be handled before this one: a caller that waits for its answer sends nothing else
    meanwhile, and the store compares an ending with its claim, and a tick with its schedule.
    """
    return isinstance(body, Ended | Tick) or reply_of(body) is not None


def given_up(body: object) -> bool:
    """Whether the sender no longer waits for its answer; the message is then skipped."""
    reply = reply_of(body)
    return reply is not None and reply.cancelled()


def _subject(body: object) -> Any:
    """The subject of which only the newest message counts, such as a job's progress; None if every message counts."""
    match body:
        case Progressed():
            return Progressed, body.key
        case Tick():
            return Tick, body.schedule_id
        case Capacity():
            return Capacity, body.name, body.incarnation
        case WatchExternalCommit():
            return WatchExternalCommit, body.key
        case _:
            return type(body) if isinstance(body, HINTS) else None
