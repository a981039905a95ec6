"""Questions to a boot from outside, which do not go through its actors: these may hang."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

VERSION = 1
"""The version of the format of questions and answers."""

ANSWER_BYTES_MAX = 4 * 1024 * 1024

ASK_BYTES_MAX = 64 * 1024

ANSWER_SECONDS, HUNG_SECONDS_MAX = 1.0, 30.0
"""How long a boot may take to answer. No part of a runtime may handle one message, or let one wait, for longer."""

JobVerb = Literal["cancel", "requeue"]
"""Acts on a job by the boot that holds it."""

Verb = Literal["view", "stacks", "declares", "output", "quiet", "go"] | JobVerb
"""The questions: four views, and two switches of claiming; on a server also acts on a job."""

VIEW_ASKED = b'{"v":1,"verb":"view"}\n'
"""The line that asks for a view, for a caller that loads no encoder."""

Refusal = Literal["unreadable", "unknown_verb", "too_large", "failed"]
"""Why there is no answer: the question is unreadable or unknown here; the answer is too large for a line; or an error
came, whose text is sent.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question.

    Attributes:
        verb: a `Verb`, or another version's.
        by, via, reason: the attribution of an act.
        boot: the boot that is asked, where all read it; None for all.
        job_id: the job that is acted on, or whose output is wanted, if any.
        delay: the delay of a requeue in seconds.
        asked_at: when it was asked, by the asker's clock; None where it does not matter.
    """

    verb: str
    by: str | None = None
    via: str | None = None
    reason: str | None = None
    boot: str | None = None
    job_id: str | None = None
    delay: float = 0.0
    asked_at: float | None = None
