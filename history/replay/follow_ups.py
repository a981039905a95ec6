"""The replay of what follows jobs that are done: as many are born in the turn of the end as the end says, and none
without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ...rules.wording import many
from ..log_files.lines import Line, LoggedMove
from .findings import Findings


class FollowUpReplay:
    """Replays the turns of all boots, each by itself."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        # For turns of which a part is yet to come: how many jobs are still to follow each that is done.
        self._open: dict[tuple[str, int], Counter[str]] = {}

    def hear(self, boot: str, turn: int, moves: Sequence[LoggedMove], line: Line, *, is_whole: bool) -> None:
        """Take in a turn, or a part of one.

        Args:
            is_whole: whether all of the turn is told with this.
        """
        ties = [move for move in moves if move.q is not None or (move.x is not None and move.k == "done")]
        due = self._open.pop((boot, turn), Counter[str]()) if self._open else Counter[str]()
        for move in ties:
            if move.q is None:
                due[move.j] += move.x or 0
            else:
                due[move.q] -= 1
        if not is_whole:
            self._open[boot, turn] = due
            return
        for job_id, number in due.items():
            if number > 0:
                says = f"job {job_id} is done, and its turn lacks {many(number, 'job')} that should follow it"
                self._findings.say("lost follow-up", says, line)
            elif number < 0:
                says = f"{many(-number, 'job')} followed job {job_id}, whose end says nothing of it"
                self._findings.say("lost follow-up", says, line)
