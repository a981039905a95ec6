"""Checks a function and its options when they are registered as a handler."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any, get_args

from ..api.job import Job
from ..errors import UsageError, check_seconds, shown
from ..messages.outcomes import Policy
from ..rules.capabilities import not_supported
from ..rules.lifecycle import check_exceptions
from ..rules.limits import Limits, RestartBudget
from ..rules.new_jobs import KEPT_OPTIONS
from ..rules.rates import check_rate
from ..rules.validation import check_backoff, check_bool, check_iterable, check_name, check_one_of, check_whole
from .handler import HandedDown, Handler, Isolation, OnTimeout
from .payload import HandlerTypes, payload_type, result_type

CONCURRENCY_MAX = 10_000


def check_handler(
    name: str,
    fn: Callable[..., Any],
    *,
    new_id: Callable[[], str],
    limits: Limits,
    has_table: bool,
    **options: Any,
) -> Handler:
    """Make a handler from the options of `jobs.add_handler`.

    Raises:
        UsageError: an option is invalid.
        NotSupported: the store cannot do it.
    """
    name = check_name(name)
    if not callable(fn):
        raise UsageError(f"expected a callable handler for {name}, got: {shown(fn)}")
    check_one_of(options["isolation"], "isolation", get_args(Isolation))
    check_one_of(options["on_timeout"], "on_timeout", get_args(OnTimeout))
    is_task = inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004
    if options["isolation"] == "process" and is_task:
        raise UsageError(f"expected a plain function for isolation='process', got the coroutine function {_title(fn)}")
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise UsageError(
            f"expected a function that returns, got the generator function {_title(fn)}, of which a call runs nothing; "
            "return a list, or queue a job for each item"
        )
    _check_takes_job(fn, name)
    total, timeout, most = options["concurrency_total"], options["timeout"], options["interruptions_max"]
    if total is not None and not has_table:
        raise not_supported("limit")
    rate, rate_per_group = (
        None if options[which] is None else check_rate(options[which], which) for which in ("rate", "rate_per_group")
    )
    per_group = options["concurrency_per_group"]
    if rate is not None and not has_table:
        raise not_supported("rate")
    if (per_group is not None or rate_per_group is not None) and not has_table:
        raise not_supported("groups")
    auto_done = check_bool(options["auto_done"], "auto_done")
    retry_on, discard_on = _check_errors(options["retry_on"], options["discard_on"])
    return Handler(
        id=f"{name}#{new_id()[:8]}",
        name=name,
        fn=fn,
        kind="process" if options["isolation"] == "process" else "task" if is_task else "thread",
        concurrency=check_whole(options["concurrency"], "concurrency", least=1, most=CONCURRENCY_MAX),
        concurrency_total=None
        if total is None
        else check_whole(total, "concurrency_total", least=1, most=CONCURRENCY_MAX),
        timeout=None if timeout is None else check_seconds(timeout, "timeout", least=0.001),
        on_timeout=options["on_timeout"],
        auto_done=auto_done,
        policy=Policy(
            max_attempts=check_whole(options["max_attempts"], "max_attempts", least=1, most=10**9),
            backoff=check_backoff(options["backoff"]),
            interruptions_max=limits.interruptions_max
            if most is None
            else check_whole(most, "interruptions_max", least=1, most=10**9),
            retry_on=retry_on,
            discard_on=discard_on,
        ),
        restart=None if options["restart"] is None else _check_budget(options["restart"]),
        types=_check_types(fn, name, auto_done, options["upcast"]),
        rate=rate,
        concurrency_per_group=None
        if per_group is None
        else check_whole(per_group, "concurrency_per_group", least=1, most=CONCURRENCY_MAX),
        rate_per_group=rate_per_group,
        hands_down=_check_handed_down(options["hands_down"], has_table),
    )


def _check_handed_down(names: Any, has_table: bool) -> tuple[str, ...]:
    each = check_iterable(names, "hands_down", "a sequence of options")
    wanted = [check_one_of(one, "hands_down", get_args(HandedDown)) for one in each]
    if "group" in wanted and not has_table:
        raise not_supported("groups")
    return tuple(KEPT_OPTIONS[name].column for name in wanted)


def _check_types(fn: Callable[..., Any], name: str, auto_done: bool, upcast: Any) -> HandlerTypes:
    wanted = payload_type(fn, Job)
    if upcast is not None and (wanted is None or not callable(upcast)):
        raise UsageError(
            f"expected upcast to be a function, and the handler for {name} to be annotated Job[X], got: {shown(upcast)}"
            f" for {_title(fn)}"
        )
    return HandlerTypes(wanted, result_type(fn, f"the handler for {name}") if auto_done else None, upcast)


def _check_errors(retry_on: Any, discard_on: Any) -> tuple[frozenset[str] | None, frozenset[str]]:
    """The names of the errors that are retried, and of those that are not.

    Raises:
        UsageError: they are no exception classes, overlap, or rule out every retry.
    """
    again = check_exceptions(retry_on, "retry_on")
    never = check_exceptions(discard_on, "discard_on") or frozenset()
    if again is not None and not again:
        raise UsageError(
            f"expected retry_on to name an exception, got: {shown(retry_on)}; write max_attempts=1 for none"
        )
    if both := (again or frozenset()) & never:
        raise UsageError(f"expected retry_on or discard_on to name an error, got both for: {', '.join(sorted(both))}")
    return again, never


def _check_budget(restart: Any) -> RestartBudget:
    if not isinstance(restart, RestartBudget):
        raise UsageError(f"expected restart to be a RestartBudget, got: {shown(restart)}")
    return RestartBudget(
        restarts_max=check_whole(restart.restarts_max, "restart.restarts_max", least=0, most=10**9),
        window_seconds=check_seconds(restart.window_seconds, "restart.window_seconds"),
        backoff_seconds_max=check_seconds(restart.backoff_seconds_max, "restart.backoff_seconds_max"),
    )


def name_of(fn: Callable[..., Any]) -> str:
    """The name of a function, the default name of its jobs. Raises a UsageError if it has none."""
    name = getattr(fn, "__name__", None)
    if not isinstance(name, str) or not name.isidentifier():
        raise UsageError(f"expected a name for the jobs of {shown(fn)}, which has none of its own: handler('name')")
    return name


def check_only(handler: Handler, others: Sequence[Handler]) -> None:
    """A handler object queues for its own function, so it may not share its name with another function. The same
    function replaces its earlier registrations: a module is reloaded, or a cell of a notebook is run again.

    Raises:
        UsageError: another function has the name already.
    """
    for other in others:
        if _title(other.fn) != _title(handler.fn):
            raise UsageError(
                f"expected one function for jobs of {handler.name!r}, got {_title(other.fn)} and {_title(handler.fn)}; "
                "give one of them another name: handler('name'). Those that compete for jobs are added by add_handler"
            )
    if any(other.fn is not handler.fn for other in others):
        warnings.warn(
            f"the handler of {handler.name!r} is defined again: from now on the new function does its jobs, with its "
            "own options",
            RuntimeWarning,
            stacklevel=3,
        )


def check_importable(handler: Handler, *, is_defined: bool = True) -> None:
    """Check that a child process can import the function by name. Raises a UsageError if not.

    Args:
        is_defined: whether the function has its name by now: a decorator runs before that.
    """
    if handler.kind != "process":
        return
    fn: Any = handler.fn
    found: Any = None
    module, qualname = getattr(fn, "__module__", None), getattr(fn, "__qualname__", "<unnamed>")
    if module not in (None, "__main__") and "<" not in qualname:
        if not is_defined:
            return
        found = importlib.import_module(str(module))
        for part in qualname.split("."):
            found = getattr(found, part, None)
    # A decorator may have left a wrapper there, as `jobs.handler` does.
    while found is not fn and hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    if found is not fn:
        raise UsageError(
            f"expected a function that a child process can import for isolation='process', got: {_title(fn)}, the "
            f"handler for {handler.name}; define it at the top level of a module other than __main__"
        )


def _check_takes_job(fn: Callable[..., Any], name: str) -> None:
    """Raise a UsageError unless the function can be called with one argument, the job."""
    try:
        # Check the callable itself, not its wrapped function: a decorator may pass that more arguments.
        signature = inspect.signature(fn, follow_wrapped=False)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(None)
    except TypeError:
        raise UsageError(
            f"expected a handler for {name} that can be called with one argument, its Job, got: "
            f"{_title(fn)}{signature}; write def {getattr(fn, '__name__', 'handler')}(job), and find in job.data what "
            "the job was queued with"
        ) from None


def _title(fn: Callable[..., Any]) -> str:
    return f"{getattr(fn, '__module__', None)}.{getattr(fn, '__qualname__', type(fn).__qualname__)}"
