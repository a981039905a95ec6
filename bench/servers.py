"""Servers of one's own: on free ports of the loopback, in a temporary folder, gone at the end.

Nothing of the machine's own servers is touched. Each is set to what comes closest to Lamplighter's promise: what was
acknowledged is on the disk.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

# The tests and the demo have it too.
sys.path.append(str(Path(__file__).parents[1] / "tests" / "whole" / "stores" / "rabbitmq"))
private_rabbitmq = importlib.import_module("server")

STOP_SECONDS_MAX = 20.0
RABBIT_CONFIGURATION = "default_queue_type = quorum"
"""A classic queue confirms a message without a sync (seen with strace, RabbitMQ 4.0.5); a quorum queue syncs first."""

REDIS_DATABASES = 10_000
POSTGRES_PROGRAMS = "/usr/lib/postgresql/*/bin"


Room = Callable[[], str]
"""Gives the address of a database, or of whatever else keeps one measurement from the next."""


class NoServer(Exception):
    """It is not installed, or did not start; the message says which."""


class Servers:
    """The servers of a run, each started when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Some of them run as a user of their own, who must get to theirs.
        folder.chmod(0o711)
        self._rooms: dict[str, Room | NoServer] = {}
        # Each is in it from the moment that it is started, whatever becomes of the start.
        self._ends = ExitStack()

    def url(self, name: str) -> str:
        """Where a server is reached, with room of its own for one measurement.

        Raises:
            NoServer: there is none to be had.
        """
        if name not in self._rooms:
            folder = self._folder / name
            folder.mkdir(parents=True)
            try:
                self._rooms[name] = STARTERS[name](folder, self._ends)
            except NoServer as error:
                self._rooms[name] = error
        found = self._rooms[name]
        if isinstance(found, NoServer):
            raise found
        return found()

    def stop(self) -> None:
        """End all of them. The data is temporary, so nobody waits for a clean end."""
        self._ends.close()


def redis(folder: Path, ends: ExitStack) -> Room:
    """Redis that syncs every write before it answers."""
    program, port = _program("redis-server"), _free_port()
    # No pidfile, no snapshot: the append-only file alone is what it is measured with.
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--appendonly", "yes"]
    options += ["--databases", str(REDIS_DATABASES)]
    process = _start(ends, [program, *options, "--appendfsync", "always"], folder)
    _wait(lambda: private_rabbitmq.connects(port), process)
    numbers = itertools.count()
    return lambda: f"redis://127.0.0.1:{port}/{next(numbers)}"


def rabbitmq(folder: Path, ends: ExitStack) -> Room:
    """RabbitMQ with a port mapper, a cookie and a node name of its own."""
    try:
        server = private_rabbitmq.Server(folder, configuration=RABBIT_CONFIGURATION)
        ends.callback(server.stop)
        server.start()
    except (private_rabbitmq.NoServer, RuntimeError) as error:
        raise NoServer(f"no server: {error}") from error
    # Queues have the names of their measurements.
    return lambda: str(server.url.rstrip("/"))


def postgres(folder: Path, ends: ExitStack) -> Room:
    """PostgreSQL as it comes, which syncs each commit."""
    programs = next(iter(sorted(Path("/").glob(POSTGRES_PROGRAMS[1:]), reverse=True)), None)
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}" if programs else None
    initdb, program, port = _program("initdb", path), _program("postgres", path), _free_port()
    data = folder / "data"
    # It refuses to run as root; then it runs as nobody, who must own its folder and be able to reach it.
    user = []
    if os.geteuid() == 0:
        user = [_program("setpriv"), "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        data.mkdir()
        shutil.chown(data, "nobody", "nogroup")
        folder.chmod(0o711)
    made = subprocess.run(
        [*user, initdb, "-D", str(data), "-U", "bench", "-A", "trust"], capture_output=True, check=False
    )
    if made.returncode != 0:
        raise NoServer(f"no server: initdb failed: {made.stderr.decode()[-300:]}")
    options = ["-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    process = _start(ends, [*user, program, *options], folder)
    where = ["-h", "127.0.0.1", "-p", str(port), "-U", "bench"]
    is_ready = [_program("pg_isready", path), "-q", *where]
    # Its port is open before it takes anybody in.
    _wait(lambda: subprocess.run(is_ready, check=False).returncode == 0, process)
    createdb = [_program("createdb", path), *where]

    def database() -> str:
        name = f"bench_{secrets.token_hex(4)}"
        subprocess.run([*createdb, name], check=True)
        return f"postgresql://bench@127.0.0.1:{port}/{name}"

    return database


STARTERS: dict[str, Callable[[Path, ExitStack], Room]] = {"redis": redis, "rabbitmq": rabbitmq, "postgres": postgres}


def _program(name: str, path: str | None = None) -> str:
    found = shutil.which(name, path=path)
    if found is None:
        raise NoServer(f"no server: {name} is not installed")
    return found


def _start(ends: ExitStack, command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own."""
    with (folder / "output.txt").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    ends.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_SECONDS_MAX)


def _free_port() -> int:
    return int(private_rabbitmq.free_ports(1)[0])


def _wait(is_ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    if not private_rabbitmq.wait_for(is_ready, lambda: process.poll() is None):
        raise NoServer(f"no server: {process.args} did not get ready")
