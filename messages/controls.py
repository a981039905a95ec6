"""Questions to a boot from outside, which pass its actors by: these may hang."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

VERSION = 1
"""The version of the format of questions and answers."""

ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""How long an answer may be."""

ASK_BYTES_MAX = 64 * 1024
"""How long a question may be."""

JobVerb = Literal["cancel", "requeue"]
"""Acts on a job by the boot that holds it."""

Verb = Literal["view", "stacks", "declares", "quiet", "go"] | JobVerb
"""The questions: three pictures, and whether to claim more jobs; on a server also to act on a job."""

VIEW_ASKED = b'{"v":1,"verb":"view"}\n'
"""The line that asks for a view, for whoever loads nothing that could make it."""

Refusal = Literal["unreadable", "unknown_verb", "too_large", "failed"]
"""Why there is no answer: the question cannot be read; it is not known here; what it asks for is more than a line may
hold; an error was met, which is said.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question.

    Attributes:
        verb: a `Verb`, or what another version has.
        by: on whose behalf.
        via: through what: `cli`, say.
        reason: why.
        boot: whom it is for, where all hear it; None for all.
        job_id: of the job that is acted on; None if none is.
        delay: how many seconds it is to wait when it is requeued.
        asked_at: when it was asked, by the clock of whoever asks; None where it does not matter.
    """

    verb: str
    by: str | None = None
    via: str | None = None
    reason: str | None = None
    boot: str | None = None
    job_id: str | None = None
    delay: float = 0.0
    asked_at: float | None = None
