"""Mail that is kept while the store cannot be written: which messages of it are still wanted.

It may be kept for a whole night. Nothing that was accepted is dropped; where only the newest message counts, such as a
job's progress, only that is kept.
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
"""One message of these kinds says as much as several."""


def still_wanted(mails: Sequence[Mail]) -> list[Mail]:
    """The mail without messages whose senders no longer wait, or which a later message makes superfluous."""
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
    """Have everybody who waits for an answer get this error. The mail of all others."""
    answer_all((reply, None, error) for mail in mails if (reply := reply_of(mail.body)) is not None)
    return [mail for mail in mails if reply_of(mail.body) is None]


def given_up(body: object) -> bool:
    """Whether the sender of a message waits for its answer no longer; the message is then skipped."""
    reply = reply_of(body)
    return reply is not None and reply.cancelled()


def _subject(body: object) -> Any:
    """The subject for which only the newest message counts, such as one job's progress; None if each message of its
    kind counts.
    """
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
