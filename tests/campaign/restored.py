"""A host whose operator puts a backup in the place of the store's file, or into it, while every process has it open."""

from __future__ import annotations

from application import Host
from lamplighter.testing.simulation.simulation import Simulation

NOTICED_SECONDS = 5.0
"""After so long somebody has seen that health is red, and starts every process again."""


class RestoredHost(Host):
    """A host whose file is set back to an older copy."""

    def let_pass(self, simulation: Simulation, minutes: float) -> None:
        """Faults, a backup, and its return; whoever has the old file open accepts nothing any more."""
        if simulation.faults.power_cut:
            super().let_pass(simulation, minutes)
            return
        simulation.run(minutes=minutes / 4)
        copy, self.copied = simulation.copy_store(), simulation.log
        simulation.run(minutes=minutes / 4)
        if self.seed // 16 % 2:
            simulation.replace_store(copy, in_place=True)
            simulation.run(minutes=minutes / 2)
            return
        simulation.replace_store(copy)
        simulation.run(seconds=NOTICED_SECONDS)
        for number in range(1, len(simulation.runtimes) + 1):
            simulation.kill(number)
        simulation.run(minutes=minutes / 2)
