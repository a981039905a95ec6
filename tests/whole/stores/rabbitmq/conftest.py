"""A RabbitMQ for these tests: started once, with a virtual host of its own for every test that asks for one."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from support.memory import in_memory

from .certificates import make_certificates
from .kit import wipe
from .network import NoNetwork, Place
from .server import NoServer, Server, free_ports

TLS = """
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {folder}/ca.pem
ssl_options.certfile = {folder}/server.pem
ssl_options.keyfile = {folder}/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
"""


def skip_or_fail(error: NoServer | NoNetwork) -> NoReturn:
    """Skip; but where everything must be tested, that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(str(error))
    pytest.skip(str(error))


@contextlib.contextmanager
def own_server(
    folder: Path, *, nodes: int = 1, configuration: str = "", places: Sequence[Place] | None = None
) -> Iterator[Server]:
    """A server for as long as the block lasts; without RabbitMQ the test is skipped."""
    try:
        server = Server(folder, nodes=nodes, configuration=configuration, places=places)
    except NoServer as error:
        skip_or_fail(error)
    with server:
        yield server


class Vhosts:
    """Virtual hosts of a server, each given once.

    Attributes:
        taken: the names of those that are deleted when the test has ended that runs.
    """

    def __init__(self, server: Server, certificates: Path, tls_port: int) -> None:
        self.server = server
        self.certificates = certificates
        self.tls_port = tls_port
        self.taken: list[str] = []
        self._numbers = itertools.count()

    def take(self) -> str:
        """The URL of an empty one, for one test."""
        name = f"test-{next(self._numbers)}"
        self.server.make_vhost(name)
        self.taken.append(name)
        return f"{self.server.url}{name}"

    @functools.cached_property
    def shared_url(self) -> str:
        """The URL of one that several tests use, each after having wiped it."""
        self.server.make_vhost("shared")
        return f"{self.server.url}shared"

    def over_tls(self, vhost: str = "", *, user: str = "guest:guest", **files: str) -> str:
        """A URL of the server's TLS port, with these files."""
        query = "&".join(f"{option}={self.certificates / name}" for option, name in files.items())
        return f"amqps://{user}@127.0.0.1:{self.tls_port}/{vhost}?{query}"


_running: list[tuple[Vhosts, contextlib.ExitStack]] = []
"""The server of the tests in this folder, if one runs, and what stops it."""


@pytest.fixture(scope="module")
def vhosts() -> Vhosts:
    """A running server's. A test may kill the server, if it starts it again."""
    if not _running:
        with contextlib.ExitStack() as stack:
            made = tempfile.TemporaryDirectory(prefix="lamplighter-rabbit-", dir=in_memory())
            folder = Path(stack.enter_context(made))
            certificates, tls_port = folder / "certificates", free_ports(1)[0]
            make_certificates(certificates)
            tls = TLS.format(port=tls_port, folder=certificates)
            server = stack.enter_context(own_server(folder / "server", configuration=tls))
            _running.append((Vhosts(server, certificates, tls_port), stack.pop_all()))
    return _running[0][0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """The server takes time of the processor also while nobody asks it, so it stops with the folder's last test."""
    try:
        return (yield)
    finally:
        if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
            while _running:
                _running.pop()[1].close()


@pytest.fixture(autouse=True)
def vhosts_deleted() -> Iterator[None]:
    """Deletes the virtual hosts of a test after it."""
    yield
    for vhosts, _ in _running:
        if vhosts.taken:
            names, vhosts.taken = vhosts.taken, []
            vhosts.server.delete_vhosts(names)


@pytest.fixture
def wiped_url(vhosts: Vhosts) -> str:
    """The URL of a virtual host on a real server that holds nothing; quicker than a new one."""
    wipe(vhosts.shared_url)
    return vhosts.shared_url


@pytest.fixture
def url(vhosts: Vhosts) -> str:
    """The URL of an empty virtual host on a real server."""
    return vhosts.take()
