"""Steps of jobs: what is kept of them, for whoever looks, and how handlers keep more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from ..boot.boot import Boot
from ..boot.job_refs import Ref, id_of
from ..boot.joining import stored
from ..broker.steps import stale_step
from ..broker.turn_context import is_current
from ..messages.jobs import Claim, JobRecord, Seconds
from ..messages.steps import KeepStep, StepRecord
from ..rules.capabilities import needed
from ..rules.codec import decode
from ..stores.ports import JobTable
from .job_steps import KeptStep
from .steering import Steering


class Stepping(Steering):
    """Keeps the results of steps."""

    def steps(self, job: Ref) -> list[KeptStep]:
        """The steps of a job that are kept, the oldest first: how far it has come. One that is done has none any more.

        Raises:
            UnknownJob: it is not in the store.
            NotSupported: the store is a RabbitMQ.
        """
        boot, table = self._with_table()
        return [
            KeptStep(
                name=step.name,
                result=decode(step.result),
                claim_no=step.claim_no,
                at=datetime.fromtimestamp(step.at, UTC),
            )
            for step in table.steps(stored(boot, id_of(job)).no)
        ]

    async def asteps(self, job: Ref) -> Sequence[KeptStep]:
        """`steps` for asyncio applications."""
        return await asyncio.to_thread(self.steps, job)

    def check_step(self, *, blocks: bool) -> None:
        """Before the function of a step is called.

        Args:
            blocks: whether the calling thread is to wait until the step is kept.

        Raises:
            NotStarted: the runtime does not run here.
            NotSupported: the store keeps no steps.
            UsageError: this thread's own transaction would be waited for.
        """
        boot, _ = self._with_table()
        if blocks:
            boot.requests.check_caller()

    def check_claim(self, claim: Claim, name: str) -> None:
        """Before the function of a step is called that no attempt has kept.

        Raises:
            StaleClaim: the claim no longer holds the job.
            UnknownJob: retention has removed the job.
            StoreUnavailable: the store cannot be read.
        """
        now = self._current_boot.get().store.jobs.known((claim.job.id,)).get(claim.job.id)
        if now is None or not is_current(now, claim.key) or now.boot != claim.job.boot:
            raise stale_step(claim.job, now, f"the function of step {name!r} is not called")

    def kept_steps(self, job: JobRecord) -> Sequence[StepRecord]:
        """The steps that earlier claims of a running job have kept."""
        _, table = self._with_table()
        return table.steps(job.no) if job.claim_no > 1 else ()

    def keep_step(self, claim: Claim, name: str, result: str, took: Seconds) -> str:
        """Keep a step of a running job: the JSON text that is kept under its name.

        Raises:
            StaleClaim: the claim no longer holds it.
        """
        boot, _ = self._with_table()
        kept: str = boot.requests.ask(partial(KeepStep, claim, name, result, took), corr=claim.job.corr, here=True)
        return kept

    async def akeep_step(self, claim: Claim, name: str, result: str, took: Seconds) -> str:
        """`keep_step`, without blocking the event loop."""
        boot, _ = self._with_table()
        kept: str = await boot.requests.ask_async(partial(KeepStep, claim, name, result, took), corr=claim.job.corr)
        return kept

    def _with_table(self) -> tuple[Boot, JobTable]:
        boot = self._current_boot.get()
        return boot, needed(boot.store.table, "steps")
