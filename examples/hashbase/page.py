"""`python -m hashbase.page [FOLDER]`: a Hashbase under load behind the page, in ./page-data if no folder is named.

Two workers do the jobs, and one of them is killed every so often and started again. What it held comes back; the page
shows how. Ctrl-C ends it.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

from lamplighter import Runtime, configure_logging
from lamplighter.cli.main import main as lamplighter

from .config import Config, load
from .host import Host
from .jobs import register
from .world import build

FOLDER = Path("page-data")
MARKER = ".made-by-the-page-demo"

WORKERS = 2
QUEUE_SECONDS = 0.1
KILL_SECONDS = 15.0


def work(folder: Path) -> None:
    """One worker, until it is told to stop."""
    config = replace(load(), data_dir=folder)
    host = Host(config)
    runtime = Runtime(config.database)
    register(runtime, host)
    runtime.scheduler.add("clean-dead-archives", "*/20 * * * * *", key="often", overlap="skip")
    configure_logging(folder / "app.log")
    runtime.run()
    host.close()


class Load:
    """Queues jobs, and has workers that it kills now and then."""

    def __init__(self, config: Config, data: list[dict[str, str]]) -> None:
        self._config = config
        self._data = data
        self._over = threading.Event()
        self._workers = [self._start() for _ in range(WORKERS)]

    def run(self) -> None:
        """Go on until it is over."""
        runtime, since_kill = Runtime(self._config.database), 0.0
        runtime.start(work=False)
        while not self._over.wait(QUEUE_SECONDS):
            self._queue(runtime)
            since_kill += QUEUE_SECONDS
            if since_kill >= KILL_SECONDS:
                since_kill = 0.0
                victim = self._workers.pop(0)
                victim.kill()
                victim.wait()
                self._workers.append(self._start())
        runtime.stop()

    def stop(self) -> None:
        """End it, and the workers."""
        self._over.set()
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self._workers:
            worker.wait()

    def _queue(self, runtime: Runtime) -> None:
        """One more profile to verify: now and then of somebody who is not there, or of a kind that nobody handles."""
        chance = random.random()
        if chance < 0.02:
            runtime.jobs.queue("send-newsletter", {"issue": 7})
        elif chance < 0.1:
            runtime.jobs.queue("verify-profile-dat", {"userId": "nobody"}, max_attempts=2)
        else:
            runtime.jobs.queue("verify-profile-dat", random.choice(self._data), max_attempts=3)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "hashbase.page", "--worker", str(self._config.data_dir)]
        return subprocess.Popen(command, start_new_session=True)


def show(folder: Path) -> int:
    """The load, and the page in front of it."""
    if folder.exists() and not (folder / MARKER).exists():
        print(f"expected {folder} to be empty or made by this demo; it is left as it is", file=sys.stderr)
        return 2
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()
    config = replace(load(), data_dir=folder)
    host = Host(config)
    data = [job for job, _ in build(host).jobs]
    host.close()
    configure_logging(folder / "producer.log")
    load_on_it = Load(config, data)
    thread = threading.Thread(target=load_on_it.run)
    thread.start()
    try:
        return lamplighter(["web", "--store", str(config.database), "--steer", "--show-data"])
    finally:
        load_on_it.stop()
        thread.join()


def main(arguments: list[str]) -> int:
    """A worker, or all of it."""
    if arguments[:1] == ["--worker"]:
        work(Path(arguments[1]))
        return 0
    return show(Path(arguments[0]) if arguments else FOLDER)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
