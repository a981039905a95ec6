"""How sizes and processes are written in findings."""

from __future__ import annotations

from ..environment.process import command_of, state_of


def size(count: float) -> str:
    """So many bytes, with a unit."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def process(pid: int) -> str:
    """A process on this machine, by what it runs."""
    stopped = "stopped by a signal or a debugger" if state_of(pid) == "stopped" else ""
    told = ", ".join(text for text in (command_of(pid), stopped) if text)
    return f"process {pid} ({told})" if told else f"process {pid}"


def minutes(seconds: float) -> str:
    """A span of time that a check goes by: whole minutes or hours."""
    return f"{seconds / 3600:g} hours" if seconds >= 7200 else f"{seconds / 60:g} minutes"
