"""Who leads on a RabbitMQ, and who leads next when the one that does hangs."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from lamplighter.stores.rabbitmq.leading import HEARTBEAT_SECONDS

from ....faults.kit import eventually
from .kit import Effects, Fleet


@pytest.mark.timeout(300)
def test_a_process_that_is_stopped_is_replaced_long_before_its_heartbeat_is_missed(
    url: str, tmp_path: Path, runtime
) -> None:
    with Fleet(url, Effects(tmp_path / "effects"), tmp_path, "--every-second") as fleet:
        fleet.start(1)
        (leader,) = fleet.hosts
        leader.expect("leads")
        leader.expect("started")
        leader.process.send_signal(signal.SIGSTOP)
        try:
            # With the default heartbeat of 30 s the server would find out after more than a minute.
            one = runtime(url)
            eventually(lambda: one.current_boot.get().store.leads, 4 * HEARTBEAT_SECONDS, what="another leader")
        finally:
            leader.process.send_signal(signal.SIGCONT)
        fleet.end()
