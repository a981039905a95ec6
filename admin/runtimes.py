"""The boots on a store, and which one is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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

    def output(self, job: JobRecord, boots: Sequence[BootView]) -> tuple[Sequence[tuple[int, str]], str | None]:
        """The lines that the claim that runs a job has logged so far, as a store keeps them; if they are not known,
        also why. `boots` have just been asked.
        """
        boot = next((one for one in boots if one.boot == job.boot), None)
        if job.state != JobState.RUNNING or job.deferred or boot is None:
            return [], None
        if boot.view is None:
            return [], f"{boot.words} does not answer: {boot.unheard}"
        try:
            claim_no, lines = self._client.ask(boot.boot, "output", tuple[int, str], job_id=job.id)
        except LamplighterError as error:
            # The boot may have ended meanwhile, or be of an earlier version.
            return [], str(error)
        return [(claim_no, lines)] if claim_no == job.claim_no else [], None

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
