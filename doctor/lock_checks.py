"""Checks who holds the write lock of a file, and who keeps its log from being copied into the database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..environment.process import state_of
from ..messages.jobs import Seconds
from ..rules.wording import many, span
from ..stores.places import LOOK_SECONDS, LOOKS
from .diagnosis import Symptom, error, note, ok, process, size, unknown, warning
from .evidence import Evidence

if TYPE_CHECKING:
    from ..stores.sqlite.shared_memory import LogState

NAMELESS = "look for a program that has a transaction open on this file: a shell of SQLite, a backup, your application"

LOCKED_SECONDS_MAX = 2.0
"""A longer hold of the write lock keeps all others from writing."""

WAL_BYTES_MAX = 64 * 1024 * 1024

PINNED_FRAMES_MIN = 2_000
"""Fewer pages in the log are no finding, whoever keeps them there: SQLite itself copies from 1,000 on."""

FRAME_BYTES = 24
"""The bytes of the log for a page, beside the page."""


def lock(seen: Evidence) -> Iterator[Symptom]:
    # First, because asking opens the file, and only then its other files exist.
    waiting = _waiting(seen)
    state = seen.file.log_state()
    if state is None or state.is_write_locked is None:
        if waiting:
            yield _waits(waiting)
        elif state is None and not os.path.exists(f"{seen.path}-shm"):
            yield ok("nobody has the file open")
        else:
            yield unknown("this system does not tell who has the write lock, and no runtime says that it waits")
        return
    holder, seconds = _keeper(seen)
    if holder is not None:
        others = f"; {_who_waits(waiting)}" if waiting else ""
        yield error(
            f"{process(holder)} has kept the write lock for {span(seconds)} or longer, without a commit{others}",
            f"see what it does (`py-spy dump -p {holder}`), and end it if it hangs (`kill -9 {holder}`, or `kill -CONT "
            f"{holder}` if it was stopped): its transaction is rolled back, and nothing that was stored is lost",
        )
    elif waiting:
        yield _waits(waiting)
    elif state.is_write_locked and _stays_locked(seen):
        yield error(
            "somebody keeps the write lock, and this system does not tell who: a process in another container, say",
            NAMELESS,
        )
    else:
        yield ok("nobody keeps the write lock, and no runtime that answers waits for it")


def _keeper(seen: Evidence) -> tuple[int | None, Seconds]:
    """The holder of the lock, and for how long it was seen to hold it. A stopped process holds it for ever."""
    holder, seconds = None, 0.0
    while seconds < LOCKED_SECONDS_MAX:
        found = seen.file.lock_holder(seen.wait)
        if found is None or holder not in (None, found.pid):
            return None, seconds
        holder, seconds = found.pid, seconds + LOOKS * LOOK_SECONDS
        if found.pid is not None and state_of(found.pid) == "stopped":
            break
    return holder, seconds


def _stays_locked(seen: Evidence) -> bool:
    """Whether the lock is held, and nothing is written, for the whole observation."""
    written = seen.file.log_written_at()
    for _ in range(LOOKS * 2):
        seen.wait(LOOK_SECONDS)
        state = seen.file.log_state()
        if state is None or not state.is_write_locked or seen.file.log_written_at() != written:
            return False
    return True


def _waiting(seen: Evidence) -> dict[str, Seconds]:
    """For how long each boot that cannot write has waited."""
    return {
        view.boot: seconds
        for view in seen.views
        if view.turns.is_waiting and (seconds := view.turns.under_way_seconds or 0.0) > LOCKED_SECONDS_MAX
    }


def _who_waits(waiting: dict[str, Seconds]) -> str:
    boot, seconds = max(waiting.items(), key=lambda one: one[1])
    more = f", as do {len(waiting) - 1} more" if len(waiting) > 1 else ""
    return f"runtime {boot} has waited for it for {span(seconds)}{more}"


def _waits(waiting: dict[str, Seconds]) -> Symptom:
    return error(
        f"{_who_waits(waiting)}, and this system does not tell who has it",
        NAMELESS,
    )


def wal(seen: Evidence) -> Iterator[Symptom]:
    state, log_bytes = seen.file.log_state(), seen.file.log_bytes()
    if state is None:
        if log_bytes == 0:
            yield ok("there is no log beside the database: nobody has it open")
        else:
            yield unknown(f"the log has {size(log_bytes)}, and this system does not tell who keeps it so")
        return
    page_bytes = seen.file.pages().page_bytes + FRAME_BYTES
    pending = (state.frames - state.copied) * page_bytes
    pinned = _pinned(seen, state) if state.frames - state.copied >= PINNED_FRAMES_MIN else None
    if pinned is not None:
        frames, pids = pinned
        who = " or ".join(map(process, pids)) or "a process that this system does not name"
        yield warning(
            f"{who} reads the store as it was {many(state.frames - frames, 'page')} ago, and keeps the log from being "
            f"copied: {size(pending)} of it wait, and it grows with each write",
            "end that transaction: a cursor that was not read to its end, a backup, a shell of SQLite that began one",
        )
    elif pending > WAL_BYTES_MAX:
        yield warning(
            f"{size(pending)} wait in the log to be copied into the database",
            "see whether a runtime writes on and on without a pause; the next checkpoint that gets through copies them",
        )
    elif log_bytes > WAL_BYTES_MAX:
        yield note(f"the log takes {size(log_bytes)} on the disk, and all but {size(pending)} of that is used anew")
    else:
        yield ok(f"the log has {size(log_bytes)}, of which {size(pending)} wait to be copied")


def _pinned(seen: Evidence, state: LogState) -> tuple[int, tuple[int, ...]] | None:
    """How far back a reader keeps the log for the whole observation, and the processes that may be that reader."""
    # The process of this look reads the store for moments too, and is no suspect.
    kept: dict[int, tuple[int, ...]] = {
        reader.frames: reader.pids
        for reader in state.readers
        if reader.frames < state.frames and reader.pids != (os.getpid(),)
    }
    for _ in range(LOOKS):
        if not kept:
            return None
        seen.wait(LOOK_SECONDS)
        again = seen.file.log_state()
        still = {} if again is None else {reader.frames: reader.pids for reader in again.readers}
        kept = {frames: pids for frames, pids in kept.items() if still.get(frames) == pids}
    return min(kept.items()) if kept else None
