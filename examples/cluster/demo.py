"""The demo: a PostgreSQL of its own, three hosts of which one is killed, and the page over them; every job ends, and an
audit of all logs finds nothing lost. `make demo-cluster`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lamplighter import Runtime, configure_logging

from support.postgresql.server import NoServer, Server

from .hosts import hosts, play, say

LAMPLIGHTER = [sys.executable, "-P", "-m", "lamplighter"]


def main() -> int:
    """Run the demo; the exit code."""
    try:
        with tempfile.TemporaryDirectory(prefix="lamplighter-demo-") as name:
            folder = Path(name)
            # The server runs as another user, who must get there.
            folder.chmod(0o711)
            say("starting a PostgreSQL on a free port, in a temporary folder")
            with Server(folder / "server") as server:
                configure_logging(folder / "queues.log", level="info")
                with hosts(server.url, folder) as started, page(server.url), Runtime(server.url) as runtime:
                    play(runtime, started)
                    if sys.stdin.isatty():
                        input("  Enter ends the demo, and with it the page. ")
                return audit(server.url, folder)
    except NoServer as error:
        print(f"demo-cluster: {error}", file=sys.stderr)
        return 2


@contextmanager
def page(url: str) -> Iterator[None]:
    """Serve the page over all hosts meanwhile, and say its link."""
    served = subprocess.Popen([*LAMPLIGHTER, "web", "--store", url, "--port", "0"], stderr=subprocess.PIPE, text=True)
    try:
        assert served.stderr is not None
        say(f"the page over all hosts: {served.stderr.readline().strip()}")
        yield
    finally:
        served.terminate()
        served.wait()


def audit(url: str, folder: Path) -> int:
    """Compare what all hosts have logged with the store."""
    logs = sorted(map(str, folder.glob("*.log")))
    done = subprocess.run(
        [*LAMPLIGHTER, "audit", *logs, "--store", url], stdout=subprocess.PIPE, text=True, check=False
    )
    say(f"lamplighter audit of {len(logs)} logs and the store: {done.stdout.strip()}")
    if done.returncode == 0:
        say("Nothing was lost.")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
