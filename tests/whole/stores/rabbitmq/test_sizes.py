"""What is larger than the server takes is refused by itself; all else goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lamplighter import LamplighterError, ResultLost, UsageError

from ....stores.rabbitmq.test_sizes import LIMIT, server
from .conftest import own_server

__all__ = ["server"]
"""Fixtures that both halves of these tests use."""


JOIN_SECONDS = 30.0


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that takes only small messages."""
    folder: Path = tmp_path_factory.mktemp("server")
    with own_server(folder, configuration=f"max_message_size = {LIMIT}\n") as server:
        yield server.url


def test_a_result_and_data_over_the_servers_limit_end_one_job_and_one_call(small: str, runtime) -> None:
    worker, web = runtime(small), runtime(small)
    worker.jobs.add_handler("work", lambda job: "x" * job.data, concurrency=4)

    big = web.jobs.queue("work", LIMIT)
    small_ones = [web.jobs.queue("work", 1) for _ in range(3)]

    done = web.jobs.join(big, timeout=JOIN_SECONDS)
    assert done.state == "done"
    with pytest.raises(ResultLost, match=r"max_message_size is 200000.*pass a reference"):
        _ = done.result
    assert [web.jobs.join(job, timeout=JOIN_SECONDS).result for job in small_ones] == ["x"] * 3
    with pytest.raises(LamplighterError):
        # The first that is refused is refused by the server, with the connection; the call is made again by itself.
        web.jobs.queue("work", "x" * LIMIT)
    with pytest.raises(UsageError, match="max_message_size is 200000"):
        web.jobs.queue("work", "x" * LIMIT)
    assert web.jobs.join(web.jobs.queue("work", 2), timeout=JOIN_SECONDS).result == "xx"
    assert (worker.health().status, web.health().status) == ("green", "green")
