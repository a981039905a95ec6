"""Makes the example importable, and opens hosts on temporary folders."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1] / "examples"), str(HERE)]

from dat_cases import SECRET  # noqa: E402
from fake_job import NOW  # noqa: E402
from hashbase.config import Config  # noqa: E402
from hashbase.host import Host  # noqa: E402


@pytest.fixture
def open_host(tmp_path: Path) -> Iterator[Callable[[], Host]]:
    """Opens hosts on one data folder, as each life of a process would."""
    opened: list[Host] = []

    def open_one() -> Host:
        config = Config(hostname="hashbase.test", data_dir=tmp_path / "data", algorithm="HS256", secret=SECRET)
        config.archives_dir.mkdir(parents=True, exist_ok=True)
        opened.append(Host(config, now=lambda: NOW))
        return opened[-1]

    yield open_one
    for host in opened:
        host.close()


@pytest.fixture
def host(open_host: Callable[[], Host]) -> Host:
    """A host at noon on 1 March 2026, with no users and no archives."""
    return open_host()
