"""The demo on RabbitMQ: a server of its own, three hosts of which one is killed, and every job ends.
`make demo-rabbitmq`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from lamplighter import Runtime
from server import NoServer, Server

from .hosts import hosts, play, say


def main() -> int:
    """Run the demo; the exit code."""
    try:
        with tempfile.TemporaryDirectory(prefix="lamplighter-demo-") as name:
            say("starting a RabbitMQ on a free port, in a temporary folder")
            with Server(Path(name)) as server, hosts(server.url, Path(name)) as started, Runtime(server.url) as runtime:
                play(runtime, started)
                return 0
    except NoServer as error:
        print(f"demo-rabbitmq: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
