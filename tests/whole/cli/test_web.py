"""`lamplighter web`: who is let in, and where it listens."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from contextlib import contextmanager

import pytest
from lamplighter import Runtime


@contextmanager
def serving(folder, *words, umask=0o022):
    """A server on a store with one job, and the line that it prints once it listens."""
    store = folder / "app.db"
    with Runtime(store) as runtime:
        runtime.jobs.queue("mail", {"password": "hunter2"}, id="secret")
    command = [sys.executable, "-m", "lamplighter", "web", "-s", store, *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, umask=umask) as server:
        try:
            yield server, server.stderr.readline()
        finally:
            server.kill()


def get(to, path="/", **headers):
    """The answer of whoever listens at an address, or a path."""
    with socket.socket(socket.AF_UNIX) if isinstance(to, str) else socket.create_connection(to) as caller:
        if isinstance(to, str):
            caller.connect(to)
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "Connection: close"]
        caller.sendall("\r\n".join([*lines, "", ""]).encode())
        with caller.makefile("rb") as answer:
            return answer.read().decode()


@pytest.mark.parametrize(("words", "mode"), [([], 0o600), (["--unix-mode", "660"], 0o660)])
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_unix_socket_is_for_its_owner_or_whom_its_mode_lets_in(tmp_path, words, mode, umask):
    path = tmp_path / "page.sock"
    with serving(tmp_path, "--unix", path, *words, umask=umask) as (server, said):
        assert stat.S_IMODE(path.stat().st_mode) == mode
        link = said.split()[-1].removeprefix("http://localhost:8910")
        assert "303" in get(str(path), link, Host="localhost").partition("\n")[0]
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
    assert not path.exists()


def test_a_socket_that_a_killed_server_has_left_is_replaced_and_a_living_ones_is_not(tmp_path):
    path = tmp_path / "page.sock"
    with serving(tmp_path, "--unix", path) as (server, _):
        again = [sys.executable, "-m", "lamplighter", "web", "-s", tmp_path / "app.db", "--unix", path]
        second = subprocess.run(again, check=False, capture_output=True, text=True)
        assert (second.returncode, "Address already in use" in second.stderr) == (2, True)
        assert "401" in get(str(path), Host="localhost").partition("\n")[0]
        server.kill()
        server.wait()
    assert path.exists()
    with serving(tmp_path, "--unix", path):
        assert "401" in get(str(path), Host="localhost").partition("\n")[0]


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_server_removes_no_socket_but_its_own_when_it_ends(tmp_path, by):
    # A deployment starts the next server before it ends the one before.
    path = tmp_path / "page.sock"
    with serving(tmp_path, "--unix", path) as (before, _):
        path.rename(tmp_path / "old.sock")
        with serving(tmp_path, "--unix", path):
            before.send_signal(by)
            before.wait()
            assert "401" in get(str(path), Host="localhost").partition("\n")[0]


@pytest.mark.parametrize(
    ("words", "listens_at"), [([], "127.0.0.1"), (["--host", "::1"], "[::1]"), (["--host", "localhost"], "localhost")]
)
def test_the_link_that_is_printed_leads_to_the_server(tmp_path, words, listens_at):
    with serving(tmp_path, "--port", "0", *words) as (_, said):
        host, port, path = re.fullmatch(r"http://(.+):(\d+)(/\?token=\S+)\n", said).groups()
        assert host == listens_at
        assert "303" in get((host.strip("[]"), int(port)), path, Host=f"{host}:{port}").partition("\n")[0]


@pytest.mark.parametrize(
    ("words", "sees", "steers"), [([], False, False), (["--show-data"], True, False), (["--steer"], False, True)]
)
def test_whoever_has_the_link_sees_data_and_steers_only_as_was_allowed(tmp_path, words, sees, steers):
    with serving(tmp_path, "--port", "0", "--by", "ada", *words) as (_, said):
        port, path = re.fullmatch(r"http://127.0.0.1:(\d+)(/\?token=\S+)\n", said).groups()
        to, host = ("127.0.0.1", int(port)), f"127.0.0.1:{port}"
        cookie = re.search(r"set-cookie: ([^;]+)", get(to, path, Host=host), re.IGNORECASE)[1]
        page = get(to, "/jobs/secret", Host=host, Cookie=cookie)

    assert "200" in page.partition("\n")[0]
    assert ("hunter2" in page, 'value="cancel"' in page) == (sees, steers)
    assert "<span>ada" in page.partition("<main")[0]


AS_NOBODY = """
import pwd, sys
def unknown(uid): raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = unknown
from lamplighter.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_user_without_a_name_acts_by_number(tmp_path):
    store = tmp_path / "app.db"
    with Runtime(store) as runtime:
        runtime.jobs.queue("mail", 1, id="one")
    env = {name: value for name, value in os.environ.items() if name not in ("LOGNAME", "USER", "LNAME", "USERNAME")}
    command = [sys.executable, "-c", AS_NOBODY, "names", "pause", "mail", "-s", str(store)]
    subprocess.run(command, check=True, env=env)
    command[3:5] = ["names", "show"]
    shown = subprocess.run(command, check=True, env=env, capture_output=True, text=True)
    assert f"by uid:{os.getuid()}@{socket.gethostname()}" in shown.stdout
    served = [*command[:3], "web", "-s", str(store), "--port", "0"]
    with subprocess.Popen(served, env=env, stderr=subprocess.PIPE, text=True) as server:
        assert "?token=" in server.stderr.readline()
        server.kill()
