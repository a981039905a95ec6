"""PostgreSQL of the tests' own: on a free port of the loopback, in a temporary folder; gone at the end.

Nothing of the machine's own PostgreSQL is touched. It refuses to run as root, so root starts it as another user.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

PROGRAMS = "/usr/lib/postgresql/*/bin"
APT_LINE = "apt-get install postgresql"
USERS = ("postgres", "nobody")
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0
TRIES_MAX = 3

ROLE, PASSWORD, DATABASE = "lamplighter", "hush-hush", "lamplighter"
ADMIN = "admin"

LEASH = 'exec 3<&0; ( { read _ <&3; kill -QUIT $$; } & ) ; exec "$@" 3<&- </dev/null'
"""Becomes a command, beside a process that waits for the end of what it reads and then ends the command. The process is
no child of the command, because PostgreSQL looks after its children. SIGKILL would leave shared memory behind."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "min_wal_size": "2MB",
    "max_wal_size": "128MB",
    "recovery_init_sync_method": "syncfs",
    "log_line_prefix": "%m [%p] %a ",
    "log_min_messages": "warning",
}

ACCESS = f"""
local all {ADMIN} trust
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
"""

FIRST = f"""
create role {ROLE} login password '{PASSWORD}';
create database {DATABASE} owner {ROLE};
"""

Mode = Literal["smart", "fast", "immediate"]


class NoServer(Exception):
    """PostgreSQL is not installed here."""


class Server:
    """A PostgreSQL. It may be killed and started again; what it has stored stays.

    Args:
        folder: an empty one, which it fills.
        settings: more of them, as in `postgresql.conf`; `fsync` is on unless they say otherwise.
        initdb: more options for it, as `--encoding=LATIN1`.

    Raises:
        NoServer: it is not installed; the message has the line that installs it.
    """

    def __init__(
        self, folder: Path, *, settings: Mapping[str, str] | None = None, initdb: tuple[str, ...] = ()
    ) -> None:
        self._programs = _programs()
        self.folder = folder
        self._data = folder / "data"
        self._initdb = initdb
        self._settings = {**SETTINGS, **(settings or {}), "unix_socket_directories": str(folder)}
        self._process: subprocess.Popen[bytes] | None = None
        self._as = _another_user()
        self.port = 0

    @property
    def url(self) -> str:
        """Where a runtime finds it, by TCP and as a role with no more rights than those of the database's owner."""
        return f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def socket_url(self) -> str:
        """The same by the Unix socket."""
        return f"postgresql://{ROLE}:{PASSWORD}@/{DATABASE}?host={self.folder}&port={self.port}"

    @property
    def admin_url(self) -> str:
        """The database as the superuser has it."""
        return f"postgresql://{ADMIN}@/{DATABASE}?host={self.folder}&port={self.port}"

    def start(self) -> Self:
        """Start, and wait until it takes connections. Another process may take the port first; then it tries again."""
        is_new = not self._data.exists()
        if is_new:
            self._make()
        for tries_left in range(TRIES_MAX, 0, -1):
            # What is started again has the port that its clients know.
            self.port = self.port or _free_port()
            try:
                self._launch()
                break
            except RuntimeError:
                self.stop()
                if tries_left == 1:
                    raise
                if is_new:
                    self.port = 0
        if is_new:
            self.psql(FIRST, database="postgres")
        return self

    def _make(self) -> None:
        options = ("-U", ADMIN, "-A", "trust", "--no-sync", "--locale=C", "--encoding=UTF8", "--wal-segsize=1")
        self._fill("initdb", *options, *self._initdb)
        (self._data / "pg_hba.conf").write_text(ACCESS)

    def _fill(self, program: str, *options: str) -> None:
        """Make the folder, for the user that the server runs as, and have a program fill the one of its data."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o711)
        if self._as:
            os.chown(self.folder, self._as["user"], self._as["group"])
        made = subprocess.run(
            [self._programs / program, "-D", self._data, *options],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            **self._as,
        )
        if made.returncode != 0:
            raise RuntimeError(f"{program} failed: {made.stderr[-3000:]}")

    def _launch(self) -> None:
        options = [f"--{name}={value}" for name, value in {**self._settings, "port": str(self.port)}.items()]
        with (self.folder / "output.txt").open("ab") as output:
            self._process = subprocess.Popen(
                ["sh", "-c", LEASH, "sh", str(self._programs / "postgres"), "-D", str(self._data), *options],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **self._as,
            )
        pause, give_up_at = threading.Event(), time.monotonic() + START_SECONDS_MAX
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"PostgreSQL did not start: {self.output()[-3000:]}")
            pause.wait(0.01)

    def _answers(self) -> bool:
        """Whether it takes connections. Its port is open before it does, and the file with its pid says when."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        assert self._process is not None
        return len(lines) > 7 and lines[0] == str(self._process.pid) and lines[7].strip() in ("ready", "standby")

    def allow(self, *lines: str) -> None:
        """More lines of pg_hba.conf."""
        with (self._data / "pg_hba.conf").open("a") as access:
            access.write("\n".join(("", *lines, "")))
        self.psql("select pg_reload_conf()")

    def copy(self, folder: Path, name: str) -> Server:
        """A standby of this server, which is to be started. The server must allow its administrator replication."""
        standby = Server(folder, settings={"cluster_name": name})
        where = f"host={self.folder} port={self.port} user={ADMIN} application_name={name}"
        standby._fill("pg_basebackup", "-d", where, "-R", "--checkpoint=fast", "--no-sync")
        return standby

    def output(self) -> str:
        """What it has logged."""
        return (self.folder / "output.txt").read_text(errors="replace")

    def stop(self, mode: Mode = "immediate") -> None:
        """End it, if it runs: `smart` waits for its clients, `fast` cuts them, `immediate` is like a crash."""
        signals = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        self._end(signals[mode])

    def kill(self) -> None:
        """Kill -9 for the server and all its processes."""
        if self._process is not None:
            _kill_children(self._process.pid)
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with process:
            process.send_signal(number)
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                _kill_children(process.pid)
                process.kill()
                # PostgreSQL 15 was once seen to go on after SIGQUIT. A crash is what the test wanted.
                if number != signal.SIGQUIT:
                    raise

    def restart(self, mode: Mode = "fast") -> None:
        """End it, and start it again at the same port."""
        self.stop(mode)
        self.start()

    def psql(self, text: str, *, database: str = DATABASE) -> str:
        """What the superuser's commands print, without frills.

        Raises:
            RuntimeError: one of them failed.
        """
        where = ["-h", str(self.folder), "-p", str(self.port), "-U", ADMIN, "-d", database]
        done = subprocess.run(
            [self._programs / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *where],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"psql: {done.stderr}")
        return done.stdout.strip()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        # The data is temporary, so nobody waits for a clean end.
        self.stop()


def _programs() -> Path:
    """The folder of initdb and postgres, of the newest version that is installed."""
    found = sorted(Path("/").glob(PROGRAMS.lstrip("/")), key=lambda path: int(path.parent.name.partition(".")[0]))
    if (pg_config := shutil.which("pg_config")) is not None and not found:
        bindir = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False).stdout.strip()
        found = [Path(bindir)]
    if (initdb := shutil.which("initdb")) is not None and not found:
        found = [Path(initdb).parent]
    for folder in reversed(found):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise NoServer(f"PostgreSQL is not installed here; on Debian: {APT_LINE}")


def _another_user() -> dict[str, Any]:
    """Who runs the server: arguments for `subprocess`."""
    if os.geteuid() != 0:
        return {}
    for name in USERS:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise NoServer(f"PostgreSQL does not run as root, and there is no user {' or '.join(USERS)}")


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _kill_children(pid: int) -> None:
    for child in _children(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
