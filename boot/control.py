"""What a boot answers to whoever asks from outside, past its actors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import UsageError
from ..log.json_line import safe_str
from ..messages.acts import Attribution
from ..messages.controls import ANSWER_BYTES_MAX, Ask
from ..messages.views import QuietAnswer
from ..rules.control_lines import decode_ask, encode_answer, encode_refusal
from ..rules.validation import check_who
from .views import Views

VIA = "control"
"""Through what somebody acts who has not said it."""


class Control:
    """Answers the questions of one boot. The thread of its control socket calls it: nothing here waits for anybody.

    Args:
        be_quiet: has the boot be quiet, or go on, on somebody's behalf.
    """

    def __init__(self, views: Views, be_quiet: Callable[[bool, Attribution], object]) -> None:
        self._verbs: Mapping[str, Callable[[Ask], Any]] = {
            "view": lambda ask: views.runtime(),
            "stacks": lambda ask: views.stacks(),
            "declares": lambda ask: views.declared(),
            "quiet": lambda ask: self._switch(ask, True),
            "go": lambda ask: self._switch(ask, False),
        }
        self._views = views
        self._be_quiet = be_quiet

    def _switch(self, ask: Ask, is_quiet: bool) -> QuietAnswer:
        self._be_quiet(is_quiet, check_who(ask.by, ask.reason, ask.via or VIA))
        return self._views.quiet()

    def answer(self, line: bytes) -> bytes:
        """The line that answers a line; nothing if it is for another boot."""
        try:
            ask = decode_ask(line)
            if ask.boot not in (None, self._views.id):
                return b""
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
