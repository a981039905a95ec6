"""RabbitMQ of one's own: one node or several, on free ports of the loopback, in a temporary folder; gone at the end.

Nothing of the machine's own RabbitMQ is touched: node names, ports, the Erlang cookie and the port mapper are our own.
The scripts are called in the package's own folder, because Debian's wrapper on the PATH drops to a user who cannot
write here.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

SCRIPTS = "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin"
APT_LINE = "apt-get install rabbitmq-server"
START_SECONDS_MAX = 90.0
STOP_SECONDS_MAX = 60.0
TRIES_MAX = 3

LEASH = 'exec 3<&0; { read _ <&3; kill -9 0; } & exec "$@" 3<&- </dev/null'
"""Becomes a command, beside a process that waits for the end of what it reads and then kills the whole group."""

CONFIGURATION = """
listeners.tcp.1 = {address}:{port}
loopback_users.guest = {is_loopback}
log.console = false
log.file.level = info
vm_memory_high_watermark.relative = 0.6
disk_free_limit.absolute = 50MB
cluster_partition_handling = pause_minority
{more}
"""


class NoServer(Exception):
    """RabbitMQ is not installed here."""


class Server:
    """A RabbitMQ of one or several nodes.

    Args:
        folder: an empty one, which it fills.
        nodes: how many make the cluster.
        configuration: more lines for `rabbitmq.conf`.
        places: of a network, one for each node; the loopback unless given.

    Raises:
        NoServer: it is not installed; the message has the line that installs it.
    """

    def __init__(
        self, folder: Path, *, nodes: int = 1, configuration: str = "", places: Sequence[Any] | None = None
    ) -> None:
        self._scripts = _scripts()
        self.folder = folder
        self._configuration = configuration
        self._places = [("127.0.0.1", ())] * nodes if places is None else places
        self._is_loopback = places is None
        self.cookie = secrets.token_hex(16)
        self._epmds: list[subprocess.Popen[bytes]] = []
        self._epmd_port = 0
        self.nodes: list[Node] = []

    def start(self) -> Self:
        """Start every node, and join them. Another process may take a port first; then it tries with others."""
        for tries_left in range(TRIES_MAX, 0, -1):
            try:
                self._start()
                return self
            except RuntimeError:
                self.stop()
                if tries_left == 1:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    def _start(self) -> None:
        ports = free_ports(1 + 2 * len(self._places))
        self._epmd_port = ports.pop()
        for address, command in dict.fromkeys(map(tuple, self._places)):
            self._start_epmd(address, command)
        attempt = secrets.token_hex(3)
        self.nodes = [
            Node(self, f"n{number}-{attempt}", address, command, ports[2 * number], ports[2 * number + 1])
            for number, (address, command) in enumerate(self._places)
        ]
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait()
        for node in self.nodes[1:]:
            node.ctl("stop_app")
            node.ctl("join_cluster", self.nodes[0].name)
            node.ctl("start_app")

    def _start_epmd(self, address: str, command: tuple[str, ...]) -> None:
        """The port mapper of a place. A node that finds none starts one that outlives it."""
        env = {**os.environ, "ERL_EPMD_PORT": str(self._epmd_port), "ERL_EPMD_ADDRESS": address}
        epmd = on_a_leash(*command, "epmd", env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._epmds.append(epmd)
        wait_for(lambda: connects(self._epmd_port, address), lambda: epmd.poll() is None)

    @property
    def url(self) -> str:
        """Where a runtime finds its first node."""
        return self.nodes[0].url

    def stop(self) -> None:
        """Kill whatever still runs. The data is temporary, so nobody waits for a clean end."""
        for node in self.nodes:
            node.kill()
        while self._epmds:
            with self._epmds.pop() as epmd:
                epmd.kill()

    def environment(self, node: Node) -> dict[str, str]:
        """What the scripts of a node need to know."""
        at = node.folder
        return {
            **os.environ,
            "HOME": str(at),
            "RABBITMQ_NODENAME": node.name,
            "RABBITMQ_USE_LONGNAME": "false" if self._is_loopback else "true",
            "RABBITMQ_NODE_IP_ADDRESS": node.address,
            "RABBITMQ_NODE_PORT": str(node.port),
            "RABBITMQ_DIST_PORT": str(node.dist_port),
            "RABBITMQ_MNESIA_BASE": str(at / "data"),
            "RABBITMQ_LOG_BASE": str(at / "log"),
            "RABBITMQ_CONFIG_FILE": str(at / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(at / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(at / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(at / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(at / "pid"),
            "RABBITMQ_ERLANG_COOKIE": self.cookie,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": node.address,
        }

    def script(self, name: str) -> str:
        """The path of one of RabbitMQ's scripts."""
        return str(self._scripts / name)

    def make_vhost(self, name: str) -> None:
        """Make a virtual host that guest may use."""
        self.nodes[0].call("rabbit_vhost:add", name, "tests")
        self.let("guest", name, ".*", ".*", ".*")

    def let(self, user: str, vhost: str, configure: str, write: str, read: str) -> None:
        """Give a user rights on a virtual host, in the place of those that there were."""
        self.nodes[0].call("rabbit_auth_backend_internal:set_permissions", user, vhost, configure, write, read, "tests")

    def add_user(self, name: str, password: str) -> None:
        """Make a user who may do nothing yet."""
        self.nodes[0].call("rabbit_auth_backend_internal:add_user", name, password, "tests")

    def close_connections(self, user: str, reason: str) -> None:
        """End all connections of a user."""
        self.nodes[0].call("rabbit_networking:close_all_user_connections", user, reason)

    def limit_memory(self, share: float) -> None:
        """Have the server take nothing more while it uses more than this share of the machine's memory."""
        self.nodes[0].evaluate(f"vm_memory_monitor:set_vm_memory_high_watermark({share:.7f})")

    def delete_vhosts(self, names: list[str]) -> None:
        """Delete virtual hosts, and with them their queues. A node spends time on each quorum queue, also on idle ones,
        and recovers each when it starts again.
        """
        for name in names:
            self.nodes[0].call("rabbit_vhost:delete", name, "tests")

    def make_folder(self, node: Node) -> None:
        """Everything that a node finds when it starts."""
        node.folder.mkdir(parents=True, exist_ok=True)
        text = CONFIGURATION.format(
            address=node.address, port=node.port, is_loopback=str(self._is_loopback).lower(), more=self._configuration
        )
        (node.folder / "rabbitmq.conf").write_text(text)
        cookie = node.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(self.cookie)
            cookie.chmod(0o400)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class Node:
    """One node of a server. It may be killed and started again; what it has stored stays."""

    def __init__(
        self, server: Server, short: str, address: str, command: tuple[str, ...], port: int, dist_port: int
    ) -> None:
        self._server = server
        self.name = f"{short}@{address if command else 'localhost'}"
        self.address = address
        self._command = command
        self.port = port
        self.dist_port = dist_port
        self.folder = server.folder / short
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where a runtime finds it."""
        return f"amqp://guest:guest@{self.address}:{self.port}/"

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start, and wait for nothing."""
        self._server.make_folder(self)
        with (self.folder / "console").open("ab") as console:
            self._process = on_a_leash(
                *self._command,
                self._server.script("rabbitmq-server"),
                env=self._server.environment(self),
                stdout=console,
                stderr=console,
            )

    def wait(self) -> None:
        """Wait until it takes connections.

        Raises:
            RuntimeError: it ended, or did not come up in time.
        """
        if not wait_for(self._answers, lambda: self._process is not None and self._process.poll() is None):
            console = (self.folder / "console").read_text(errors="replace")
            raise RuntimeError(f"node {self.name} did not start: {console[-3000:]}")

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.address, self.port), timeout=1.0) as probe:
                probe.settimeout(5.0)
                # A wrong header is answered with the right one as soon as the listener works.
                probe.sendall(b"AMQP\x00\x00\x00\x00")
                return probe.recv(4) == b"AMQP"
        except OSError:
            return False

    def let_sync(self) -> None:
        """Have what was declared survive a kill -9.

        RabbitMQ 4.0 writes the directory of its quorum queues half a second late: one that was declared just before
        its only node is killed is down for ever.
        """
        self.evaluate("[ok = dets:sync(Table) || Table <- dets:all()]")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the node's whole group."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            with self._process:
                self._process = None

    def restart(self, *, clean: bool = False) -> None:
        """End it, by kill -9 unless cleanly, and start it again."""
        if clean and self._process is not None:
            self.ctl("shutdown")
            self._process.wait(STOP_SECONDS_MAX)
        self.kill()
        self.start()

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl against it.

        Raises:
            RuntimeError: it said no.
        """
        done = subprocess.run(
            [*self._command, self._server.script("rabbitmqctl"), "-q", "-n", self.name, *arguments],
            env=self._server.environment(self),
            capture_output=True,
            text=True,
            timeout=120.0,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {done.stdout} {done.stderr}")
        return done.stdout

    def call(self, function: str, *arguments: str | int) -> None:
        """Have the node call one of its functions, texts as binaries. `rabbitmqctl` starts an Erlang for each
        call: that takes a second, and on a busy machine it has taken more than a minute.
        """
        # A text of JSON is also one of Erlang, as long as it is ASCII.
        given = [str(one) if isinstance(one, int) else f"<<{json.dumps(one)}>>" for one in arguments]
        self.evaluate(f"{function}({', '.join(given)})")

    def evaluate(self, expressions: str) -> None:
        """Have the node evaluate Erlang.

        Raises:
            RuntimeError: the node does not answer, or says no.
        """
        # The random name of `-r` has the current second as its seed: two calls in one second have the same name, and
        # the node refuses a second connection of a name.
        own_name = f"tests-{secrets.token_hex(8)}"
        done = subprocess.run(
            [*self._command, "erl_call", "-h", own_name, "-n", self.name, "-c", self._server.cookie, "-e"],
            input=f"{expressions}.\n",
            env=self._server.environment(self),
            capture_output=True,
            text=True,
            timeout=120.0,
            check=False,
        )
        if done.returncode != 0 or not done.stdout.startswith("{ok, ") or done.stdout.startswith("{ok, {error"):
            raise RuntimeError(f"erl_call of {expressions}: {done.stdout} {done.stderr}")


def on_a_leash(*command: str, **options: Any) -> subprocess.Popen[bytes]:
    """A process whose group is killed when this process ends, be it by SIGKILL: then its end of the pipe is closed.

    The group is the script, the virtual machine and its helpers. PR_SET_PDEATHSIG would reach the script alone, and
    would come with the end of the thread that has started it.
    """
    return subprocess.Popen(
        ["sh", "-c", LEASH, "sh", *command], stdin=subprocess.PIPE, start_new_session=True, **options
    )


def _scripts() -> Path:
    found = sorted(Path("/").glob(SCRIPTS.lstrip("/")))
    if not found or shutil.which("epmd") is None:
        raise NoServer(f"RabbitMQ is not installed here; on Debian: {APT_LINE}")
    return found[-1]


def wait_for(check: Callable[[], bool], is_alive: Callable[[], bool]) -> bool:
    """Look again and again, as long as it lives and is in time, whether it is so."""
    pause, give_up_at = threading.Event(), time.monotonic() + START_SECONDS_MAX
    while not (found := check()) and is_alive() and time.monotonic() < give_up_at:
        pause.wait(0.05)
    return found


def connects(port: int, address: str = "127.0.0.1") -> bool:
    """Whether somebody listens on a port."""
    try:
        socket.create_connection((address, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def free_ports(count: int) -> list[int]:
    """So many ports of the loopback that nobody uses at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
