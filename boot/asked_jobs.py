"""Acts that somebody elsewhere wants done to a job that this runtime holds, where nobody else can do it.

On a server a job that runs is with whoever was given it, and only they can end it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

from ..actors.base import Post
from ..environment.clock import Clock
from ..errors import shown
from ..log.json_line import safe_str
from ..messages.acts import Attribution
from ..messages.controls import Ask
from ..messages.jobs import JobRecord, Seconds
from ..messages.mail import CancelJob, Requeue
from ..messages.views import ActedJob, JobAnswer
from ..rules.control_lines import encode_answer, encode_refusal
from ..rules.validation import check_name, check_seconds
from ..stores.ports import Notifier

WANTED_SECONDS = 5.0
"""Who comes to it only later does nothing: whoever asks is about to give up. A process that was stopped meanwhile finds
the question in its socket, so when it was asked is in it. Clocks may differ by as much.
"""

TOLD = tuple(field.name for field in fields(ActedJob))


class AskedJobs:
    """Hands the broker what is asked of a job, and sends the answer.

    Args:
        boot: under which boot the runtime is known now.
    """

    def __init__(self, boot: Callable[[], str], post: Post, clock: Clock, notifier: Notifier) -> None:
        self._boot = boot
        self._post = post
        self._clock = clock
        self._notifier = notifier

    def act(self, ask: Ask, who: Attribution, later: Callable[[bytes], object]) -> bytes:
        """Whether the job is held here, or why nothing is done. Its outcome comes later, once a turn has been
        committed.

        Raises:
            UsageError: something in the question cannot be.
        """
        job_id, delay = check_name(ask.job_id, "job_id"), check_seconds(ask.delay, "delay")
        if not self._notifier.holds(job_id):
            return encode_answer(JobAnswer(boot=self._boot(), is_held=False))
        age = 0.0 if ask.asked_at is None else self._clock.now() - ask.asked_at
        if abs(age) > WANTED_SECONDS:
            return encode_refusal(
                "failed",
                f"runtime instance {self._boot()} holds job {shown(job_id)}, and does nothing: by its clock that was "
                f"asked {age:.0f} s ago; its process was stopped meanwhile, or the clocks of two machines differ",
            )
        reply = _Reply(self._boot, later, self._is_late(WANTED_SECONDS - max(age, 0.0)))
        if ask.verb == "cancel":
            is_sent = self._post.tell("broker", CancelJob(job_id, reply, who))
        else:
            is_sent = self._post.tell("broker", Requeue(job_id, delay, reply, who))
        if not is_sent:
            return encode_refusal(
                "failed", f"the broker of runtime instance {self._boot()} is being restarted: try again"
            )
        return encode_answer(JobAnswer(boot=self._boot(), is_held=True))

    def _is_late(self, seconds: Seconds) -> Callable[[], bool]:
        late_at = self._clock.monotonic() + seconds
        return lambda: self._clock.monotonic() > late_at


class _Reply:
    """The `Reply` of one who waits elsewhere."""

    def __init__(self, boot: Callable[[], str], say: Callable[[bytes], object], is_late: Callable[[], bool]) -> None:
        self._boot = boot
        self._say = say
        self._is_late = is_late

    def cancelled(self) -> bool:
        return self._is_late()

    def set_result(self, result: JobRecord, /) -> None:
        job = ActedJob(**{name: getattr(result, name) for name in TOLD})
        self._say(encode_answer(JobAnswer(boot=self._boot(), is_held=True, job=job)))

    def set_exception(self, exception: BaseException | None, /) -> None:
        self._say(encode_refusal("failed", safe_str(exception)))
