"""Servers of one's own: on free ports of the loopback, in a temporary folder, gone at the end.

Nothing of the machine's own servers is touched. Each is set to what comes closest to Lamplighter's promise: what was
acknowledged is on the disk.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 20.0
RABBIT_CONFIGURATION = """
listeners.tcp.1 = 127.0.0.1:{port}
log.console = false
default_queue_type = quorum
"""
"""A classic queue confirms a message without a sync (seen with strace, RabbitMQ 4.0.5); a quorum queue syncs first."""

RABBIT_SCRIPTS = "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin"
REDIS_DATABASES = 10_000
POSTGRES_PROGRAMS = "/usr/lib/postgresql/*/bin"


Processes = list[subprocess.Popen[bytes]]
"""Each in a group of its own, kept from the moment that it is started, whatever becomes of the start."""

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
        self._processes: Processes = []

    def url(self, name: str) -> str:
        """Where a server is reached, with room of its own for one measurement.

        Raises:
            NoServer: there is none to be had.
        """
        if name not in self._rooms:
            folder = self._folder / name
            folder.mkdir(parents=True)
            try:
                self._rooms[name] = STARTERS[name](folder, self._processes)
            except NoServer as error:
                self._rooms[name] = error
        found = self._rooms[name]
        if isinstance(found, NoServer):
            raise found
        return found()

    def stop(self) -> None:
        """End all of them. The data is temporary, so nobody waits for a clean end."""
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_SECONDS_MAX)


def redis(folder: Path, processes: Processes) -> Room:
    """Redis that syncs every write before it answers."""
    program, port = _program("redis-server"), _free_port()
    # No pidfile, no snapshot: the append-only file alone is what it is measured with.
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--appendonly", "yes"]
    options += ["--databases", str(REDIS_DATABASES)]
    process = _start(processes, [program, *options, "--appendfsync", "always"], folder)
    _wait_for_port(port, process)
    numbers = itertools.count()
    return lambda: f"redis://127.0.0.1:{port}/{next(numbers)}"


def rabbitmq(folder: Path, processes: Processes) -> Room:
    """RabbitMQ with a port mapper, a cookie and a node name of its own."""
    # Debian's wrapper on the PATH drops to a user who cannot write here.
    script = next(iter(sorted(Path("/").glob(f"{RABBIT_SCRIPTS[1:]}/rabbitmq-server"))), None)
    if script is None:
        raise NoServer("no server: RabbitMQ is not installed")
    port, dist_port, epmd_port = _free_port(), _free_port(), _free_port()
    epmd_env = {"ERL_EPMD_PORT": str(epmd_port), "ERL_EPMD_ADDRESS": "127.0.0.1"}
    cookie = folder / ".erlang.cookie"
    cookie.write_text(secrets.token_hex(16), "ascii")
    cookie.chmod(0o400)
    (folder / "rabbitmq.conf").write_text(RABBIT_CONFIGURATION.format(port=port), "utf-8")
    env = {
        **epmd_env, "HOME": str(folder), "RABBITMQ_NODENAME": f"bench-{secrets.token_hex(3)}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_NODE_PORT": str(port), "RABBITMQ_DIST_PORT": str(dist_port),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"), "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"), "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"), "RABBITMQ_CONF_ENV_FILE": str(folder / "env.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
    }  # fmt: skip
    mapper = _start(processes, [_program("epmd")], folder, epmd_env)
    # A node that finds no mapper starts one that outlives it.
    _wait_for_port(epmd_port, mapper)
    node = _start(processes, [str(script)], folder, env)
    _wait_for_port(port, node)
    # Queues have the names of their measurements.
    return lambda: f"amqp://guest:guest@127.0.0.1:{port}"


def postgres(folder: Path, processes: Processes) -> Room:
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
    process = _start(processes, [*user, program, *options], folder)
    _wait_for_port(port, process)
    createdb = [_program("createdb", path), "-h", "127.0.0.1", "-p", str(port), "-U", "bench"]

    def database() -> str:
        name = f"bench_{secrets.token_hex(4)}"
        subprocess.run([*createdb, name], check=True)
        return f"postgresql://bench@127.0.0.1:{port}/{name}"

    return database


STARTERS: dict[str, Callable[[Path, Processes], Room]] = {"redis": redis, "rabbitmq": rabbitmq, "postgres": postgres}


def _program(name: str, path: str | None = None) -> str:
    found = shutil.which(name, path=path)
    if found is None:
        raise NoServer(f"no server: {name} is not installed")
    return found


def _start(
    processes: Processes, command: list[str], folder: Path, env: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    with (folder / "output.txt").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    processes.append(process)
    return process


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < give_up_at and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return
        time.sleep(0.05)
    raise NoServer(f"no server: {process.args} did not open its port")
