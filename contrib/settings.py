"""The settings of a web framework for a runtime, and the start in a process that serves requests."""

from __future__ import annotations

from typing import Any

from ..api.runtime import Runtime
from ..rules.limits import Limits
from ..rules.validation import options_of

WORK_IN = ("worker", "web")
"""Who runs jobs: processes of their own, which a command of the framework starts; or each process that serves requests
too."""

OPTIONS = tuple(name.upper() for name in (*options_of(Runtime), *Limits.__slots__))
"""The options of `Runtime`, as settings are written."""


def check_option(name: str, value: Any) -> None:
    """Refuse an option, named in capitals, that `Runtime` does not have, or cannot be made with."""
    Runtime(**{"store": ":memory:", name.lower(): value})


def work_from_now_on(runtime: Runtime) -> None:
    """Start, also where a call has started a producer already."""
    with runtime.current_boot.lock:
        if runtime.boot is not None and not runtime.boot.share.works:
            runtime.stop()
        runtime.start()
