"""How the tests are shared out among several processes: a file stays whole, and the longest come first.

pytest-xdist's own `loadgroup` writes its groups into a private attribute of pytest's, which pytest 9.2 reads no more:
each process then ran some tests of each file, and made what a file's tests share, a RabbitMQ among it, once more.
"""

from __future__ import annotations

from pathlib import PurePath

from xdist.scheduler import LoadScopeScheduling

RABBITMQ = "tests/whole/stores/rabbitmq"

SHARED_SERVERS = (
    {"test_audit.py", "test_memory.py", "test_permissions.py", "test_unreadable.py"},
    {"test_conformance.py", "test_counts.py", "test_faults.py", "test_migrate.py", "test_model.py"},
    {"test_connection.py", "test_link.py", "test_many_dead.py", "test_poison.py", "test_rolling_upgrade.py"},
)
"""Files whose tests share a server, which takes some seconds to start and is killed and halted by some of them. Each is
one unit of work, about as long as the others; files that are not named here belong to the last of them,
"""

WITHOUT_A_SERVER = {"test_cluster.py", "test_simulation.py"}
"""but for these, which have a model of one, or one of their own."""

LONGEST_FIRST = (
    f"{RABBITMQ} 2",
    "tests/whole/campaign/test_campaign.py",
    "tests/whole/web/test_browser.py",
    "tests/whole/test_docs.py",
    f"{RABBITMQ} 0",
    "tests/whole/stores/postgresql/test_interleavings.py",
    "tests/whole/web/test_sweeps.py",
    "tests/whole/bench/test_bench.py",
    f"{RABBITMQ} 1",
    "tests/whole/test_packaging.py",
    "tests/whole/test_typing.py",
    "tests/whole/cli/test_run.py",
    "tests/whole/cli/test_web.py",
    "tests/whole/history/audit/test_processes.py",
    "tests/whole/stores/postgresql/test_conformance.py",
    "tests/whole/contrib/django/test_servers.py",
    "tests/whole/history/audit/test_edits.py",
    "tests/whole/stores/postgresql/test_moving.py",
    "tests/whole/examples/test_flask_app.py",
    f"{RABBITMQ}/test_simulation.py",
    "tests/whole/web/test_pictures.py",
    "tests/whole/faults/test_many_processes.py",
    "tests/whole/contrib/mcp/test_mcp.py",
    "tests/whole/history/trace/test_instant.py",
    "tests/whole/examples/test_fastapi_app.py",
    "tests/whole/hashbase/test_demo.py",
    "tests/whole/testing/test_public.py",
    "tests/whole/faults/test_exits.py",
    "tests/whole/contrib/django/test_postgresql.py",
    "tests/whole/faults/test_sigkill.py",
    "tests/whole/faults/test_postgresql.py",
    "tests/whole/soak/test_soak.py",
    # Of those that start nothing:
    "tests/campaign/test_campaign.py",
    "tests/test_bad_input.py",
    "tests/support/test_conformance.py",
)
"""So that no process is left with one of them when the others have ended."""


def unit_of(nodeid: str) -> str:
    """The unit of work that a test belongs to."""
    file = PurePath(nodeid.partition("::")[0])
    if file.parent.as_posix() != RABBITMQ or file.name in WITHOUT_A_SERVER:
        return file.as_posix()
    last = len(SHARED_SERVERS) - 1
    number = next((number for number, files in enumerate(SHARED_SERVERS) if file.name in files), last)
    return f"{RABBITMQ} {number}"


def turn_of(nodeid: str) -> int:
    """Which of `LONGEST_FIRST` a test belongs to; or behind all of them."""
    unit = unit_of(nodeid)
    return LONGEST_FIRST.index(unit) if unit in LONGEST_FIRST else len(LONGEST_FIRST)


class WholeFiles(LoadScopeScheduling):
    """Gives each process one unit after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
