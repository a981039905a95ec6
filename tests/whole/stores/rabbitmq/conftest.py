"""A RabbitMQ for these tests: started once, with a virtual host of its own for every test that asks for one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

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

VHOSTS_MADE = 8
"""At a time: each call of rabbitmqctl takes a second or two."""


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
    """Virtual hosts of a server, each given once."""

    def __init__(self, server: Server, certificates: Path, tls_port: int) -> None:
        self.server = server
        self.certificates = certificates
        self.tls_port = tls_port
        self._made = 0
        self._free: list[str] = []

    def take(self) -> str:
        """The URL of an empty one."""
        if not self._free:
            self._free = [f"test-{self._made + number}" for number in range(VHOSTS_MADE)]
            self._made += VHOSTS_MADE
            self.server.make_vhosts(self._free)
        return f"{self.server.url}{self._free.pop(0)}"

    def over_tls(self, vhost: str = "", *, user: str = "guest:guest", **files: str) -> str:
        """A URL of the server's TLS port, with these files."""
        query = "&".join(f"{option}={self.certificates / name}" for option, name in files.items())
        return f"amqps://{user}@127.0.0.1:{self.tls_port}/{vhost}?{query}"


@pytest.fixture(scope="session")
def vhosts() -> Iterator[Vhosts]:
    """A running server's. A test may kill the server, if it starts it again."""
    with tempfile.TemporaryDirectory(prefix="lamplighter-rabbit-") as folder:
        certificates, tls_port = Path(folder) / "certificates", free_ports(1)[0]
        make_certificates(certificates)
        tls = TLS.format(port=tls_port, folder=certificates)
        with own_server(Path(folder) / "server", configuration=tls) as server:
            yield Vhosts(server, certificates, tls_port)


@pytest.fixture(scope="session")
def shared_url(vhosts: Vhosts) -> str:
    """The URL of a virtual host that several tests use, each after having wiped it."""
    return vhosts.take()


@pytest.fixture
def wiped_url(shared_url: str) -> str:
    """The URL of a virtual host on a real server that holds nothing; quicker than a new one."""
    wipe(shared_url)
    return shared_url


@pytest.fixture
def url(vhosts: Vhosts) -> str:
    """The URL of an empty virtual host on a real server."""
    return vhosts.take()
