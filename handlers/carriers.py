"""What an application has go along with its jobs: from the call that queues one to the function that runs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

from ..errors import UsageError, shown
from ..job import Job

CARRIED_BYTES_MAX = 8192
"""JSON text of what one job carries."""


class Carrier:
    """One thing that goes along with jobs: the context of a trace, a database's connections, a web framework's
    application context. Override what you need; give it to `Runtime(carriers=[...])`.
    """

    def inject(self) -> Mapping[str, str]:
        """What a job that is queued now carries; `around` reads it as `job.carried`.

        Runs on the thread that queues, once a call. If it raises, the job is queued without, and `carrier.failed` is
        logged. What schedules queue carries nothing.
        """
        return {}

    def around(self, job: Job[Any]) -> AbstractContextManager[Any]:
        """Entered before the handler's function is called, and left when that has ended, on the same thread.

        If it raises, that attempt fails, as if the function had. A coroutine function is called inside of it too: what
        it sets in context variables is seen there. Handlers with `isolation="process"` run in a child that has no
        carriers.
        """
        return nullcontext()


class Carriers:
    """The carriers of a runtime, in their order."""

    def __init__(self, carriers: Sequence[Carrier]) -> None:
        self._carriers = carriers

    def __bool__(self) -> bool:
        return bool(self._carriers)

    def __iter__(self) -> Iterator[Carrier]:
        return iter(self._carriers)

    def injected(self, failed: Callable[[Carrier, Exception], None]) -> str | None:
        """What a job that is queued now carries, as JSON text.

        Args:
            failed: is told of a carrier that raises, or whose part JSON cannot carry or is too long.
        """
        carried: dict[str, str] = {}
        for carrier in self._carriers:
            try:
                more = {**carried, **_checked(carrier.inject())}
                size = len(json.dumps(more))
                if size > CARRIED_BYTES_MAX:
                    raise UsageError(f"expected at most {CARRIED_BYTES_MAX} bytes for a job to carry, got: {size}")
            except Exception as error:
                failed(carrier, error)
            else:
                carried = more
        return json.dumps(carried) if carried else None

    def around(self, job: Job[Any]) -> ExitStack:
        """All of them, entered in their order."""
        with ExitStack() as entered:
            for carrier in self._carriers:
                entered.enter_context(carrier.around(job))
            return entered.pop_all()


NO_CARRIERS = Carriers(())


def check_carriers(carriers: Any) -> Carriers:
    """The carriers that an application has given.

    Raises:
        UsageError: they are none.
    """
    if not isinstance(carriers, Sequence) or not all(isinstance(carrier, Carrier) for carrier in carriers):
        raise UsageError(f"expected carriers to be a list of Carrier objects, got: {shown(carriers)}")
    return Carriers(tuple(carriers))


def _checked(injected: Any) -> Mapping[str, str]:
    if not isinstance(injected, Mapping) or not all(
        isinstance(text, str) for pair in injected.items() for text in pair
    ):
        raise UsageError(f"expected inject to return a dict of str to str, got: {shown(injected)}")
    return injected
