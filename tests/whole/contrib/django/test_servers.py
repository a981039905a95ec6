"""The shop under real servers: they queue, the worker works, and nothing runs in a parent."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ....contrib.django.conftest import PROJECT
from ....examples.letters import replace
from ....faults.kit import SECONDS_MAX, check_slots, eventually, rows
from ....support.web_server import WebServer

RUNSERVER = ("manage", "runserver", "127.0.0.1:0")
GUNICORN = ("gunicorn", "mysite.wsgi", "--workers", "2", "--bind", "127.0.0.1:0")
WORKER = ("manage", "lamplighter", "run")

CLAIMED = '"k":"claimed"'
"""What the log of a runtime has that runs jobs. How one ended in a transaction may be told by any."""


class Site:
    """A copy of the shop, which a test may change, and the servers that run it."""

    def __init__(self, folder: Path, servers: contextlib.ExitStack) -> None:
        self.folder = folder
        self.store = folder / "db.sqlite3"
        self._servers = servers

    def serve(self, *command: str, terminal: bool = False) -> WebServer:
        """A server, or a worker."""
        return self._servers.enter_context(WebServer(*command, folder=self.folder, terminal=terminal))

    def pids(self) -> set[object]:
        """Where runtimes run."""
        return {pid for (pid,) in rows(self.store, "select pid from lamplighter_boots")}


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop, after `migrate`, which has started nothing."""
    folder = tmp_path_factory.mktemp("shop") / "site"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*"))
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=folder, check=True, timeout=SECONDS_MAX)
    assert rows(folder / "db.sqlite3", "select boots from lamplighter_store") == [(0,)]
    return folder


@pytest.fixture
def site(migrated: Path, tmp_path: Path) -> Iterator[Site]:
    with contextlib.ExitStack() as servers:
        yield Site(Path(shutil.copytree(migrated, tmp_path / "site")), servers)


def post(server: WebServer, path: str, **fields: str) -> httpx.Response:
    """Fill in a form, over a connection of its own, so that any process of the server may be the one that answers."""
    answers: list[httpx.Response] = []

    def answered() -> bool:
        # A server may say its address before its processes listen.
        client = httpx.Client(base_url=server.url(), timeout=SECONDS_MAX, follow_redirects=True)
        with contextlib.suppress(httpx.ConnectError), client:
            client.get("/")
            token = client.cookies["csrftoken"]
            answers.append(client.post(path, data={**fields, "csrfmiddlewaretoken": token}))
        return bool(answers)

    eventually(answered, what=f"an answer to {path}")
    return answers[0]


def order(server: WebServer, item: str, seconds_per_page: float = 0.0) -> str:
    """Where the page of a new order is."""
    answer = post(server, "/orders", item=item, seconds_per_page=str(seconds_per_page))
    assert answer.status_code == 200, f"{answer.text}\n{server.said[-3000:]}"
    return answer.url.path


def pid_of(server: WebServer, page: str) -> int:
    return int(server.get(page)["pid"])


def has_seen(server: WebServer, edited: Path) -> bool:
    """Whether a reloader has begun anew. A change before its first look at the file is none to it."""
    if f"{edited.name} changed, reloading" in server.said:
        return True
    edited.touch()
    return False


def new_order(server: WebServer) -> dict[str, Any]:
    """An order with its receipt; none where the server is being restarted."""
    with contextlib.suppress(httpx.TransportError):
        return dict(server.until(order(server, "a lamp"), lambda found: found["receipt"]))
    return {"receipt": "", "pid": None}


@pytest.mark.parametrize(
    "command",
    [GUNICORN, (*GUNICORN, "--preload"), ("uvicorn", "mysite.asgi:application", "--workers", "2", "--port", "0")],
    ids=["gunicorn", "gunicorn --preload", "uvicorn"],
)
def test_two_processes_of_a_server_queue_and_the_worker_works(site: Site, command: tuple[str, ...]) -> None:
    worker, server = site.serve(*WORKER), site.serve(*command)

    orders: list[str] = []

    def both_have_queued() -> bool:
        orders.append(order(server, "a lamp"))
        return len(site.pids()) == 3

    eventually(both_have_queued, what="a boot of each process that works or queues")
    for page in orders:
        server.until(page, lambda found: found["receipt"] == "1 x a lamp")
    pids, serving = site.pids(), {pid_of(server, page) for page in orders}

    assert worker.process.pid in pids and serving <= pids and server.process.pid not in pids
    assert CLAIMED in worker.said and CLAIMED not in server.said

    slow = order(server, "a slow lamp", seconds_per_page=5)
    server.until(slow, lambda found: found["job"]["state"] == "running")
    assert post(server, f"{slow}/cancel").json()["job"]["state"] == "cancelled"
    assert post(server, "/orders", item="nothing").status_code == 500
    assert rows(site.store, "select count(*) from shop_order where item = 'nothing'") == [(0,)]
    assert len(rows(site.store, "select 1 from lamplighter_jobs where name = 'receipt'")) == len(orders) + 1

    # A server that stops says farewell for its processes: nobody finds a dead one, and blames its jobs for that.
    assert server.stop() == 0
    eventually(lambda: site.pids() == {worker.process.pid}, what="the end of the producers")
    assert worker.stop() == 0
    assert site.pids() == set()
    check_slots(site.store)


def test_no_parent_of_a_reloader_runs_anything_and_an_edit_brings_new_code(site: Site) -> None:
    server = site.serve(*RUNSERVER)
    first = order(server, "a lamp")
    worker = site.serve(*WORKER, "--reload")
    server.until(first, lambda found: found["receipt"] == "1 x a lamp")
    serving, old = pid_of(server, first), site.pids()

    edited = site.folder / "shop" / "jobs.py"
    replace(edited, "1 x {order.item}", "one {order.item}")

    eventually(
        lambda: has_seen(worker, edited) & has_seen(server, edited), what="two reloaders that have seen the edit"
    )
    eventually(lambda: new_order(server)["receipt"] == "one a lamp", what="new code in the worker")
    eventually(lambda: new_order(server)["pid"] not in (None, serving), what="a new process of the server")
    parents = {worker.process.pid, server.process.pid}
    assert serving in old and not parents & (old | site.pids())
    assert CLAIMED not in server.said
    check_slots(site.store)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("reload", [[], ["--reload"]], ids=["", "reload"])
def test_a_worker_shows_what_becomes_of_jobs_where_the_settings_have_no_logging(site: Site, reload: list[str]) -> None:
    # In a project of `startproject` it showed nothing at all.
    replace(site.folder / "mysite" / "settings.py", "LOGGING = {", "UNUSED = {")
    worker = site.serve(*WORKER, *reload, terminal=True)

    eventually(lambda: "job.done" in worker.said, 3 * SECONDS_MAX, what="a job of the schedule on the terminal")

    assert "runtime.started" in worker.said and CLAIMED not in worker.said
    assert worker.said.count("Watching for file changes") == len(reload)


def test_a_site_without_a_worker_works_where_it_serves_requests(site: Site) -> None:
    settings = site.folder / "mysite" / "settings.py"
    replace(settings, 'DATABASES["default"]["NAME"]}', 'DATABASES["default"]["NAME"], "WORK_IN": "web"}')
    server = site.serve(*GUNICORN, "--preload")
    server.url()
    before = site.pids()

    page = order(server, "a lamp")
    done = server.until(page, lambda found: found["receipt"])

    assert before == set() and done["receipt"] == "1 x a lamp"
    assert server.process.pid not in site.pids()
    assert server.stop() == 0
    assert site.pids() == set()
    check_slots(site.store)


@pytest.mark.timeout(300)
def test_a_hup_of_gunicorn_brings_new_code_to_a_site_that_works_where_it_serves(site: Site) -> None:
    settings = site.folder / "mysite" / "settings.py"
    replace(settings, 'DATABASES["default"]["NAME"]}', 'DATABASES["default"]["NAME"], "WORK_IN": "web"}')
    server = site.serve(*GUNICORN)
    server.until(order(server, "a lamp"), lambda found: found["receipt"] == "1 x a lamp")
    replace(site.folder / "shop" / "jobs.py", "1 x {order.item}", "one {order.item}")

    server.process.send_signal(signal.SIGHUP)

    # Until the old processes have gone, one of them may take an order; it waits until the new ones have imported all.
    eventually(lambda: new_order(server)["receipt"] == "one a lamp", 3 * SECONDS_MAX, what="new code in the server")
    assert server.stop() == 0
    assert site.pids() == set()
    check_slots(site.store)
