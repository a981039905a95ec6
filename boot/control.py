"""Answers questions to a boot from outside, without its actors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args

from ..errors import UsageError, check_seconds, shown
from ..log.log_line import safe_str
from ..messages.controls import ANSWER_BYTES_MAX, Ask, JobVerb
from ..messages.jobs import Attribution, JobRecord, Seconds
from ..messages.mail import CancelJob, Requeue
from ..messages.views import ActedJob, JobAnswer, QuietAnswer
from ..rules.control_lines import decode_ask, encode_answer, encode_refusal
from ..rules.validation import check_name, check_who
from ..stores.ports import Notifier
from .views import Views

WANTED_SECONDS = 5.0
"""Questions older than this are ignored: their senders are about to give up. A process that was stopped finds old ones
in its socket, so each has its time. Clocks may differ by as much.
"""


@dataclass(eq=False)
class AskedJobs:
    """Hands requests about jobs to the broker, and sends the answers."""

    views: Views
    notifier: Notifier

    def act(self, ask: Ask, who: Attribution, later: Callable[[bytes], object]) -> bytes:
        """Return whether the job is held here, or why nothing is done. The outcome is sent later, after a turn's
        commit.

        Raises:
            UsageError: something in the question is invalid.
        """
        job_id, delay = check_name(ask.job_id, "job_id"), check_seconds(ask.delay, "delay")
        if not self.notifier.holds(job_id):
            return encode_answer(JobAnswer(boot=self.views.id, is_held=False))
        post, clock = self.views.context.post, self.views.context.clock
        age = 0.0 if ask.asked_at is None else clock.now() - ask.asked_at
        if abs(age) > WANTED_SECONDS:
            return encode_refusal(
                "failed",
                f"runtime instance {self.views.id} holds job {shown(job_id)}, and does nothing: by its clock that was "
                f"asked {age:.0f} s ago; its process was stopped meanwhile, or the clocks of two machines differ",
            )
        reply = _Reply(self.views, later, clock.monotonic() + WANTED_SECONDS - max(age, 0.0))
        cancels = ask.verb == "cancel"
        if not post.tell("broker", CancelJob(job_id, reply, who) if cancels else Requeue(job_id, delay, reply, who)):
            return encode_refusal(
                "failed", f"the broker of runtime instance {self.views.id} is being restarted: try again"
            )
        return encode_answer(JobAnswer(boot=self.views.id, is_held=True))


@dataclass(eq=False)
class _Reply:
    """The `Reply` of a caller in another process."""

    views: Views
    say: Callable[[bytes], object]
    late_at: Seconds

    def cancelled(self) -> bool:
        return self.views.context.clock.monotonic() > self.late_at

    def answer(self, value: JobRecord, error: BaseException | None) -> None:
        if error is not None:
            self.say(encode_refusal("failed", safe_str(error)))
            return
        job = ActedJob(**{one.name: getattr(value, one.name) for one in fields(ActedJob)})
        self.say(encode_answer(JobAnswer(boot=self.views.id, is_held=True, job=job)))


VIA = "control"
"""The default for through what somebody acts."""


class Control:
    """Answers the questions of one boot on the thread of its control socket, so nothing here blocks.

    Args:
        be_quiet: has the boot be quiet, or go on, on somebody's behalf.
        asked_jobs: acts on jobs; None where callers can do that in the store.
    """

    def __init__(
        self, views: Views, be_quiet: Callable[[bool, Attribution], object], asked_jobs: AskedJobs | None
    ) -> None:
        self._verbs: Mapping[str, Callable[[Ask], Any]] = {
            "view": lambda ask: views.runtime(),
            "stacks": lambda ask: views.stacks(),
            "declares": lambda ask: views.declared(),
            "output": lambda ask: views.output(check_name(ask.job_id, "job_id")),
            "quiet": lambda ask: self._switch(ask, True),
            "go": lambda ask: self._switch(ask, False),
        }
        self._views = views
        self._be_quiet = be_quiet
        self._asked_jobs = asked_jobs

    def _switch(self, ask: Ask, is_quiet: bool) -> QuietAnswer:
        self._be_quiet(is_quiet, check_who(ask.by, ask.reason, ask.via or VIA))
        return self._views.quiet()

    def answer(self, line: bytes, later: Callable[[bytes], object] | None = None, /) -> bytes:
        """See `stores.ports.Answer`."""
        try:
            ask = decode_ask(line)
            if ask.boot not in (None, self._views.id):
                return b""
            if self._asked_jobs is not None and later is not None and ask.verb in get_args(JobVerb):
                return self._asked_jobs.act(ask, check_who(ask.by, ask.reason, ask.via or VIA), later)
            verb = self._verbs.get(ask.verb)
            if verb is None:
                known = ", ".join(self._verbs)
                return encode_refusal("unknown_verb", f"expected one of {known}, got: {ask.verb[:100]!r}")
            answer = encode_answer(verb(ask))
        except UsageError as error:
            return encode_refusal("unreadable", str(error))
        except Exception as error:
            # The caller gets the error. Nobody else is harmed, and the next question may well be answered.
            return encode_refusal("failed", f"{type(error).__name__}: {safe_str(error)}"[:1000])
        if len(answer) > ANSWER_BYTES_MAX:
            return encode_refusal(
                "too_large", f"expected an answer of at most {ANSWER_BYTES_MAX} bytes, got: {len(answer)}"
            )
        return answer
