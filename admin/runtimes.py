"""The boots on a store, and which one is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from ..errors import LamplighterError, UsageError, shown
from ..messages.jobs import JobRecord, JobState
from ..stores.control_client import BootView, ControlClient
from ..stores.ports import Readable


class Runtimes:
    """Looks at the boots on a store, any number of times.

    Args:
        store: tells which boots there are; None where only their answers tell.
        client: asks them.
        once: whether they are asked once for one view, however often that looks.
    """

    def __init__(self, store: Readable | None, client: ControlClient, *, once: bool = False) -> None:
        self._store = store
        self._client = client
        self._once = once
        self._found: Sequence[BootView] | None = None

    def all(self) -> Sequence[BootView]:
        """Every boot, the oldest first, without operators.

        Raises:
            StoreUnavailable, StoreError: the store cannot be read.
        """
        if self._found is not None:
            return self._found
        found = self._client.found() if self._store is None else self._client.look(self._store)
        self._found = found if self._once else None
        return found

    def at(self, store: Readable) -> Runtimes:
        """The same by a snapshot of the store, which asks each boot once."""
        return Runtimes(store, self._client, once=True)

    def declared(self) -> Mapping[str, frozenset[str]] | None:
        """By boot, the ids of the schedules that its code declares; None unless every living one has answered."""
        return None if self._store is None else self._client.declared(self._store)

    def output(self, job: JobRecord, boots: Sequence[BootView]) -> Sequence[tuple[int, str]]:
        """What the claim that runs a job has logged so far, as a store keeps it; nothing unless its boot is one of
        `boots`, which have just been asked, and has answered.
        """
        if job.state == JobState.RUNNING and any(one.boot == job.boot and one.view is not None for one in boots):
            # The boot may have ended meanwhile, or be of an earlier version.
            with suppress(LamplighterError):
                claim_no, lines = self._client.ask(str(job.boot), "output", tuple[int, str], job_id=job.id)
                return [(claim_no, lines)] if claim_no == job.claim_no else []
        return []

    def one(self, boot: str) -> BootView | None:
        """The boot with this id, id prefix or number; None if there is none.

        Raises:
            UsageError: there are several.
        """
        return named(self.all(), boot)


def named(found: Sequence[BootView], boot: str) -> BootView | None:
    """The boot with an id or a number, or else with an id prefix; None if there is none.

    Raises:
        UsageError: it may be several.
    """
    meant = [one for one in found if one.boot == boot or (boot and str(one.boot_no or "") == boot)] or [
        one for one in found if boot and one.boot.startswith(boot)
    ]
    if len(meant) > 1:
        may_be = ", ".join(one.boot for one in meant)
        raise UsageError(f"expected the id of one runtime instance, got: {shown(boot)}, which may be {may_be}")
    return meant[0] if meant else None
