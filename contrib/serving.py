"""A runtime in a process that serves requests, where those processes do the work too."""

from __future__ import annotations

from ..api.runtime import Runtime


def work_from_now_on(runtime: Runtime) -> None:
    """Start, also where a call has started a producer already."""
    with runtime.current_boot.lock:
        if runtime.boot is not None and not runtime.boot.share.works:
            runtime.stop()
        runtime.start()
