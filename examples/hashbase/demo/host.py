"""The host of the demo, in a process of its own. It takes orders as JSON lines, and its log is JSON lines in a file."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from lamplighter import Runtime
from sqlalchemy.orm import Session

from ..config import Config
from ..database import Database
from ..host import Host
from ..jobs import register

HOLDS = {"verify-alice": 1, "clean-archives": 6}
"""After which of its transactions a job's first run is held still: alice's when the user record has been read and the
dat has not; the cleaning when its second archive has lost record and place, and not yet files and listing."""

HOLD_SECONDS_MAX = 25.0


class Bolt:
    """A message that no actor knows. Whoever receives it crashes."""


class HoldingDatabase(Database):
    """A database on a disk so slow that one can see a job in the middle of its work."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.let_go = {job_id: threading.Event() for job_id in HOLDS}
        self._transactions: Counter[str] = Counter()

    @contextmanager
    def read(self) -> Iterator[Session]:
        with super().read() as session:
            yield session
        self._hold()

    @contextmanager
    def write(self) -> Iterator[Session]:
        with super().write() as session:
            yield session
        self._hold()

    def _hold(self) -> None:
        # Inside a handler every log line of the host carries the job's fields; the same fields tell us who is calling.
        job = structlog.contextvars.get_contextvars()
        if job.get("claim_no") != 1 or job["job_id"] not in HOLDS:
            return
        self._transactions[job["job_id"]] += 1
        if self._transactions[job["job_id"]] == HOLDS[job["job_id"]]:
            structlog.get_logger().info("demo.held")
            self.let_go[job["job_id"]].wait(HOLD_SECONDS_MAX)


def configure_log(path: Path) -> None:
    """Configures structlog as a host would; Lamplighter writes to what it finds.

    Args:
        path: gets the lines, one JSON object each.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _add_time,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=path.open("a", encoding="utf-8")),
    )


def _add_time(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    line.setdefault("ts", time.time())  # Lamplighter's lines have their own
    return line


def obey(order: dict[str, Any], runtime: Runtime, database: HoldingDatabase) -> Any:
    """Does what the demo asks.

    Args:
        order: `do`, and what that needs.
        runtime: the started runtime.
        database: which holds jobs still.

    Returns:
        The answer, JSON-serializable.
    """
    match order:
        case {"do": "queue", "name": name, "id": id, "data": data, "max_attempts": most}:
            return runtime.jobs.queue(name, data, id=id, max_attempts=most).id
        case {"do": "crash", "actor": actor}:
            assert runtime.boot is not None
            return runtime.boot.post.tell(actor, Bolt())
        case {"do": "let go", "id": id}:
            database.let_go[id].set()
            return True
        case {"do": "list"}:
            return [
                {
                    "id": job.id,
                    "name": job.name,
                    "state": job.state.value,
                    "attempt": job.attempt,
                    "claim_no": job.record.claim_no,
                    "reason": job.reason,
                    "result": job.result,
                }
                for job in runtime.jobs.list(limit=1000)
            ]
    raise ValueError(f"unknown order: {order!r}")


def main(arguments: list[str]) -> int:
    """Runs the host until standard input ends.

    Args:
        arguments: host name, data folder, algorithm, secret, log file.
    """
    hostname, data_dir, algorithm, secret, log = arguments
    configure_log(Path(log))
    host = Host(Config(hostname=hostname, data_dir=Path(data_dir), algorithm=algorithm, secret=secret))
    host.database.close()
    host.database = database = HoldingDatabase(host.config.database)
    runtime = Runtime(host.config.database)
    register(runtime, host)
    for schedule in runtime.scheduler.list():
        runtime.scheduler.remove(schedule.id)  # the demo is the same at a quarter past
    with runtime:
        print(json.dumps(True), flush=True)
        for line in sys.stdin:
            print(json.dumps(obey(json.loads(line), runtime, database)), flush=True)
    host.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
