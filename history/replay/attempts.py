"""Whether a move tells as many attempts as there were, and an end that an attempt can have."""

from __future__ import annotations

from ..log_files.lines import Told

OUTCOMES: dict[str, frozenset[str | None]] = {
    "done": frozenset({"succeeded", None}),
    "snoozed": frozenset({"snoozed"}),
    "failed": frozenset({"failed", "timed_out", "interrupted"}),
    "dead": frozenset({"failed", "timed_out", "interrupted", "discarded"}),
    "cancelled": frozenset({"cancelled", None}),
}
"""How an attempt may have ended that a move tells the end of."""

NO_OUTCOME: frozenset[str | None] = frozenset({None})


def wrong_attempt(attempts: int, move: Told) -> str | None:
    """Why a move cannot follow so many attempts; None when it can."""
    attempt = attempt_after(attempts, move)
    if move.a != attempt:
        return f"expected {move.k} to say attempt {attempt}, got: {move.a}"
    if move.o not in OUTCOMES.get(move.k, NO_OUTCOME):
        return f"{move.k} cannot be the end of an attempt that has {move.o or 'no outcome'}"
    return None


def attempt_after(attempt: int, move: Told) -> int:
    """The attempts that a move must tell, after so many."""
    match move.k:
        case "requeued":
            return 0
        case "done":
            return attempt + (move.f == "running")
        case "failed" | "dead":
            return attempt + (move.o != "interrupted")
    return attempt
