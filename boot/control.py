"""The answers of a boot to questions from outside, past its actors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from ..errors import UsageError
from ..log.json_line import safe_str
from ..messages.acts import Attribution
from ..messages.controls import ANSWER_BYTES_MAX, Ask, JobVerb
from ..messages.views import QuietAnswer
from ..rules.control_lines import decode_ask, encode_answer, encode_refusal
from ..rules.validation import check_who
from .asked_jobs import AskedJobs
from .views import Views

VIA = "control"
"""Through what somebody acts who has not said it."""


class Control:
    """Answers the questions of one boot. The thread of its control socket calls it: nothing here waits for anybody.

    Args:
        be_quiet: has the boot be quiet, or go on, on somebody's behalf.
        asked_jobs: acts on jobs; None where whoever wants that can do it in the store.
    """

    def __init__(
        self, views: Views, be_quiet: Callable[[bool, Attribution], object], asked_jobs: AskedJobs | None
    ) -> None:
        self._verbs: Mapping[str, Callable[[Ask], Any]] = {
            "view": lambda ask: views.runtime(),
            "stacks": lambda ask: views.stacks(),
            "declares": lambda ask: views.declared(),
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
        """As `stores.ports.Answer`."""
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
            # The caller is told. Nobody else is harmed, and the next question may well be answered.
            return encode_refusal("failed", f"{type(error).__name__}: {safe_str(error)}"[:1000])
        if len(answer) > ANSWER_BYTES_MAX:
            return encode_refusal(
                "too_large", f"expected an answer of at most {ANSWER_BYTES_MAX} bytes, got: {len(answer)}"
            )
        return answer
