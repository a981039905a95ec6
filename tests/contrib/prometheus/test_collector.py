"""What a Prometheus scrapes: the truth of the store, whoever answers."""

from __future__ import annotations

import re
import socket
import sys
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import pytest
from lamplighter import MissingExtra, Runtime, UsageError
from lamplighter.admin.metrics import KINDS
from lamplighter.cli.main import main
from lamplighter.contrib.prometheus import LamplighterCollector, served
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


def test_a_registry_learns_what_there_is_without_looking_at_the_store(path):
    collector = LamplighterCollector(path)

    CollectorRegistry().register(collector)

    assert {family.name for family in collector.describe()} == {kind.name for kind in KINDS}
    assert not path.exists()


@pytest.mark.parametrize(
    ("store", "options", "error"),
    [
        ("app.db", {"names_max": 0}, UsageError),
        ("app.db", {"names_max": "many"}, UsageError),
        (7, {}, UsageError),
        ("amqp://nobody:pw@host:port/", {}, UsageError),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_made(store, options, error):
    with pytest.raises(error):
        LamplighterCollector(store, **options)


def test_a_store_that_is_not_there_is_said_to_whoever_asks_the_command(path, capsys):
    assert main(["metrics", "-s", str(path)]) == 3
    assert main(["metrics", "-s", str(path), "--serve", "127.0.0.1:0"]) == 3
    assert "which is no file" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["9109", "host:", ":65536", "host:http", ""])
def test_an_address_that_is_none_is_refused(runtime, path, capsys, address):
    runtime().stop()

    assert main(["metrics", "-s", str(path), "--serve", address]) == 2
    assert "expected --serve to be [HOST]:PORT" in capsys.readouterr().err


def test_metrics_at_a_terminal_move_no_cursor(runtime, path, monkeypatch, capsys):
    with runtime() as rt:
        rt.jobs.queue("evil\x1b[2J")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    assert main(["metrics", "-s", str(path)]) == 0

    said = capsys.readouterr().out
    assert "evil\\x1b[2J" in said
    assert "\x1b" not in said


def test_the_command_prints_what_a_scrape_gets(runtime, path, capsys):
    runtime().stop()

    assert main(["metrics", "-s", str(path)]) == 0

    families = text_string_to_metric_families(capsys.readouterr().out)
    assert {family.name for family in families} == {kind.name for kind in KINDS}


def test_names_beyond_so_many_as_were_asked_for_are_one(runtime, path, capsys):
    with runtime() as rt:
        rt.jobs.queue_many([("a", 1), ("b", 2)])

    names = []
    for more in ([], ["--names-max", "1"]):
        assert main(["metrics", "-s", str(path), *more]) == 0
        families = text_string_to_metric_families(capsys.readouterr().out)
        names.append(
            {sample.labels["name"] for family in families for sample in family.samples if "name" in sample.labels}
        )

    assert names == [{"a", "b"}, {"a", "other"}]


def test_without_its_extra_the_command_says_what_to_install(runtime, path, monkeypatch, capsys):
    runtime().stop()
    for name in [name for name in sys.modules if name.startswith("lamplighter.contrib.prometheus")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client.core", None)

    assert main(["metrics", "-s", str(path)]) == 2
    assert "pip install 'lamplighter[prometheus]'" in capsys.readouterr().err
    with pytest.raises(MissingExtra):
        import lamplighter.contrib.prometheus  # noqa: F401


def test_the_page_of_metrics_tells_of_each_and_of_no_other():
    page = (DOCS / "metrics.md").read_text("utf-8")

    named = set(re.findall(r"`(lamplighter_\w+)`", page))
    assert named == {f"{kind.name}{'_total' if kind.kind == 'counter' else ''}" for kind in KINDS}


def test_a_scrape_is_told_that_the_file_is_gone_and_the_metrics_once_it_is_back(path: Path) -> None:
    with Runtime(path):
        pass
    with served(LamplighterCollector(path), "127.0.0.1", 0) as (port, _):

        def scrape() -> bytes:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                return bytes(answer.read())

        assert b'lamplighter_jobs_queued_total{name="mail"}' not in scrape()
        for ending in ("", "-wal", "-shm"):
            Path(f"{path}{ending}").unlink(missing_ok=True)
        with pytest.raises(HTTPError, match="503") as refused:
            scrape()
        with refused.value as answer:
            assert b"which is no file" in answer.read()
        with Runtime(path) as runtime:
            runtime.jobs.queue("mail")
        assert b'lamplighter_jobs_queued_total{name="mail"} 1.0' in scrape()


def test_whoever_has_served_metrics_listens_no_more(tmp_path: Path) -> None:
    with Runtime(tmp_path / "jobs.db"):
        pass
    with served(LamplighterCollector(tmp_path / "jobs.db"), "127.0.0.1", 0) as (port, _):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            assert b"lamplighter_health" in answer.read()
        with socket.create_server(("127.0.0.2", port)):
            """It listens at the given address alone."""
        with pytest.raises(UsageError, match=f"127.0.0.1:{port}"):
            served(LamplighterCollector(tmp_path / "jobs.db"), "127.0.0.1", port).__enter__()

    with socket.create_server(("127.0.0.1", port)):
        """The port is free."""
