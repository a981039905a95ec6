"""How the tests are shared out among several processes (`make test`): a file stays whole, and the longest come first.

pytest-xdist's own `loadgroup` writes its groups into a private attribute of pytest's, which pytest 9.2 reads no more:
each process then ran some tests of each file, and made what a file's tests share, a RabbitMQ among it, once more.
"""

from __future__ import annotations

from pathlib import PurePath

from xdist.scheduler import LoadScopeScheduling

RABBITMQ = "tests/stores/rabbitmq"
"""Its tests share one server, which takes ten seconds to start: they are one unit of work,"""

WITHOUT_A_SERVER = {
    "test_clocks.py",
    "test_declaring.py",
    "test_handled.py",
    "test_ledger.py",
    "test_schedules.py",
    "test_session.py",
    "test_silence.py",
    "test_simulation.py",
    "test_window.py",
}
"""but for these, which have a model of one."""

LONGEST_FIRST = (
    RABBITMQ,
    "tests/campaign/test_campaign.py",
    "tests/test_packaging.py",
    "tests/bench/test_bench.py",
    "tests/test_docs.py",
    "tests/history/trace/test_instant.py",
    "tests/hashbase/test_demo.py",
    "tests/environment/test_failpoints.py",
    "tests/soak/test_soak.py",
    "tests/history/audit/test_processes.py",
    "tests/faults/test_many_processes.py",
)
"""So that no process is left with one of them when the others have ended."""


def unit_of(nodeid: str) -> str:
    """The unit of work that a test belongs to."""
    file = PurePath(nodeid.partition("::")[0])
    return RABBITMQ if file.parent.as_posix() == RABBITMQ and file.name not in WITHOUT_A_SERVER else file.as_posix()


def turn_of(nodeid: str) -> int:
    """Which of `LONGEST_FIRST` a test belongs to; or behind all of them."""
    unit = unit_of(nodeid)
    return LONGEST_FIRST.index(unit) if unit in LONGEST_FIRST else len(LONGEST_FIRST)


class WholeFiles(LoadScopeScheduling):
    """Gives each process one unit after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
