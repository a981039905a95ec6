"""The error for an option or a method that there is none of, with the name that is meant. Loaded for such an error."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import UsageError, alike

OPTIONS = {
    "retries": "max_attempts",
    "max_retries": "max_attempts",
    "attempts": "max_attempts",
    "retry_delay": "backoff",
    "retry_backoff": "backoff",
    "autoretry_for": "retry_on",
    "dont_autoretry_for": "discard_on",
    "countdown": "delay",
    "delay_ms": "delay",
    "eta": "at",
    "run_at": "at",
    "ttl": "expires",
    "unique_key": "unique",
    "job_id": "id",
    "task_id": "id",
    "time_limit": "timeout",
    "workers": "concurrency",
    "threads": "concurrency",
    "max_instances": "overlap",
    "misfire_grace_time": "catch_up_window",
    "coalesce": "catch_up",
    "tz": "timezone",
}
"""Names of options elsewhere, and their names here."""

CALLS = {
    "delay": ".queue(data)",
    "delay_on_commit": ".queue(data, connection=...)",
    "apply_async": ".queue(data, delay=..., at=..., expires=..., priority=...)",
    "send": ".queue(data)",
    "send_with_options": ".queue(data, delay=..., priority=...)",
    "enqueue": ".queue(data)",
    "enqueue_at": ".queue(data, at=...)",
    "enqueue_in": ".queue(data, delay=...)",
    "schedule": ".queue(data, delay=...)",
    "submit": ".queue(data)",
    "perform_async": ".queue(data)",
    "defer": ".queue(data)",
    "aenqueue": ".aqueue(data)",
    "defer_async": ".aqueue(data)",
    "kiq": ".aqueue(data)",
    "map": ".many([data, data])",
    "starmap": ".many([data, data])",
    "apply": ".queue(data) with lamplighter.testing.Inline",
    **dict.fromkeys(("call_local", "fn", "run"), "{function}(job), which calls the function"),
    **dict.fromkeys(
        ("s", "si", "signature", "subtask", "then", "pipe", "message"),
        ".spec(data), as job.then(...) in the handler of the job before it takes it, or .queue(data, after=[job])",
    ),
}
"""Names that the functions of other job queues have, and their names here."""


def unknown_options(unknown: Iterable[str], known: Iterable[str], what: str) -> UsageError:
    got, there = sorted(unknown), list(known)
    meant = {name: OPTIONS[name] for name in got if OPTIONS.get(name) in there}
    # A single letter is the application's own argument, and is like many an option.
    close = {name: one for name in got if len(name) > 1 for one in alike(name, there)}
    hints = dict.fromkeys({**close, **meant}.values())
    hint = f"; did you mean {' and '.join(hints)}?" if hints else ""
    return UsageError(f"unknown option {', '.join(got)}{hint or '.'} The options of {what} are {', '.join(there)}")
