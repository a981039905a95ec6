"""`make page-demo`: a Hashbase at work behind the page, in ./page-data if no folder is named. Ctrl-C ends it.

Some hundred users have sites here. The hour before is run first, in seconds, on a clock that stands still until jobs
let time pass. Then two workers go on in real time, and one of them is killed now and then: what it held comes back, and
the page shows how. One name fails, since the search engine is away, and one is paused.

Needs tests/hashbase on the path, which writes archives: each user has a profile dat with a proof of their own.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
from dat_forge import entry, stat, write_archive
from lamplighter import Discard, Job, JobFailed, JobSpec, Runtime, configure_logging
from lamplighter.admin.operator import Operator
from lamplighter.cli.main import main as lamplighter
from lamplighter.environment.environment import Environment
from lamplighter.testing import ManualTime

from .config import Config, load
from .database import Archive, User, UserArchive
from .host import Host
from .jobs import register
from .world import build

FOLDER = Path("page-data")
MARKER = ".made-by-the-page-demo"

USERS = 240
STRANGER_EVERY = 40
"""Each such user has put somebody else's proof into their dat."""

HISTORY_MINUTES = 60
BROKEN_MINUTES = 15
"""How long the search engine has been away."""

JOIN_SECONDS_MAX = 5.0
"""How long the past waits for a job before it goes on."""

WORKERS = 2
QUEUE_SECONDS = 2.0
"""Between two visits that queue something, on average."""
PUBLISH_SECONDS = 25.0
KILL_SECONDS = 60.0

PAGES, PICTURES = 12, 6
"""The jobs of a site that is published: its pages are fetched, and previews are drawn of two pages each."""

SECONDS = {"publish-site": 0.5, "fetch-page": 3.0, "draw-preview": 4.0, "build-index": 2.0, "mirror-archive": 6.0}
"""How long a job of a name takes, roughly; others take some milliseconds."""

VISITS = {"verify-profile-dat": 5, "send-mail": 8, "mirror-archive": 2, "index-search": 1}
"""What a visit queues, and how often."""


def build_users(host: Host, count: int) -> list[dict[str, str]]:
    """Users, each with a profile dat that holds a proof of theirs; gives the data of the jobs that verify them."""
    path, found = f"/proofs/{host.config.hostname}".encode(), []
    with host.database.write() as session:
        for number in range(count):
            user = f"user-{number:03}"
            # The key of a dat follows from its name, and is in its proof: the first archive is only made to learn it.
            url = write_archive(host.config.archives_dir, [], name=user)
            owner = user if number % STRANGER_EVERY else "somebody-else"
            claims = {"id": owner, "profileURL": url}
            proof = jwt.encode(claims, host.config.secret, host.config.algorithm).encode()
            shutil.rmtree(host.config.archives_dir / url[6:8] / url[8:])
            write_archive(host.config.archives_dir, [entry(path, stat(size=len(proof), blocks=1))], [proof], name=user)
            mail = f"{user}@people.example"
            created = host.now_ms() - random.randrange(400 * 86_400_000)
            session.add(
                User(id=user, username=user, email=mail, profileURL=url, isEmailVerified=True, createdAt=created)
            )
            session.add(Archive(key=url[6:], createdAt=created))
            session.flush()
            session.add(UserArchive(userId=user, archiveKey=url[6:]))
            found.append({"userId": user, "url": url})
    return found


class Service:
    """What Hashbase does beside its three jobs.

    Attributes:
        take: lets so many seconds pass, in the past at once.
        is_broken: whether the search engine is away.
    """

    def __init__(self, runtime: Runtime, host: Host, take: Callable[[float], object]) -> None:
        self.runtime, self.take, self.is_broken = runtime, take, True
        register(runtime, host)
        jobs = runtime.jobs
        for name in ("publish-site", "fetch-page", "draw-preview", "build-index"):
            jobs.add_handler(name, self.publish if name == "publish-site" else self.step, concurrency=3)
        jobs.add_handler("mirror-archive", self.mirror, concurrency=2, timeout=120)
        jobs.add_handler("send-mail", self.mail, concurrency=2)
        jobs.add_handler("index-search", self.index, max_attempts=3, backoff=10)
        jobs.add_handler("send-newsletter", self.mail)

    def step(self, job: Job[Any]) -> None:
        """Something that takes a while."""
        self.take(SECONDS.get(job.name, 0.02) * random.uniform(0.5, 1.8))

    def publish(self, job: Job[Any]) -> None:
        """The graph of a site: pages, previews of two pages each, an index of it all, and a mail to its owner."""
        self.step(job)
        pages = [f"{job.id}-page-{number}" for number in range(PAGES)]
        pictures = [f"{job.id}-preview-{number}" for number in range(PICTURES)]
        job.then(
            *(JobSpec(name="fetch-page", data=job.data, id=page) for page in pages),
            *(
                JobSpec(name="draw-preview", data=job.data, id=picture, after=pages[2 * number : 2 * number + 2])
                for number, picture in enumerate(pictures)
            ),
            JobSpec(name="build-index", data=job.data, id=f"{job.id}-index", after=pictures),
            JobSpec(name="send-mail", data=job.data, id=f"{job.id}-mail", after=f"{job.id}-index"),
        )

    def mirror(self, job: Job[Any]) -> dict[str, int]:
        """Copy an archive, block by block."""
        blocks = random.randrange(8, 20)
        for block in range(blocks):
            job.progress(block, total=blocks, note="blocks")
            job.log.info("block.copied", block=block, of=blocks)
            self.take(SECONDS[job.name] / blocks)
        return {"blocks": blocks}

    def mail(self, job: Job[Any]) -> None:
        """A mail; some addresses are wrong."""
        self.take(random.lognormvariate(-3, 1))
        if random.random() < 0.01:
            raise Discard("the mail server knows no such mailbox")

    def index(self, job: Job[Any]) -> None:
        """Tell the search engine."""
        self.take(0.3)
        if self.is_broken:
            raise ConnectionError("search.example:9200 refused the connection")

    def visit(self, users: list[dict[str, str]]) -> Job[Any]:
        """Somebody does something for which a job is queued."""
        (name,) = random.choices(list(VISITS), list(VISITS.values()))
        return self.runtime.jobs.queue(name, random.choice(users))


def live_through(config: Config, host: Host, users: list[dict[str, str]], minutes: int) -> None:
    """Run the last minutes, up to now, at once."""
    past = ManualTime(time.time() - 60 * minutes)
    runtime = Runtime(config.database, durability="os", environment=Environment(clock=past.clock))
    service = Service(runtime, host, past.advance)
    end, began = past.wall + 60 * minutes, past.wall
    with runtime:
        while past.wall < end:
            service.is_broken = past.wall > end - 60 * min(BROKEN_MINUTES, minutes / 2)
            # More at the end of the hour than at its beginning, and never the same.
            busy = 1 + (past.wall - began) / (end - began)
            visits = [service.visit(users) for _ in range(random.choice((1, 1, 1, 1, 3)))]
            if random.random() < 0.015:
                visits.append(runtime.jobs.queue("publish-site", random.choice(users)))
            for job in visits:
                if job.name != "index-search":
                    # A job that is tried again waits for time, which this loop moves on.
                    with contextlib.suppress(JobFailed, TimeoutError):
                        runtime.jobs.join(job, timeout=JOIN_SECONDS_MAX)
            past.advance(random.expovariate(busy / 3))


def work(folder: Path) -> None:
    """One worker, until it is told to stop."""
    config = replace(load(), data_dir=folder)
    host = Host(config)
    runtime = Runtime(config.database)
    Service(runtime, host, time.sleep)
    runtime.scheduler.add("clean-dead-archives", "*/20 * * * * *", key="often", overlap="skip")
    configure_logging(folder / "app.log")
    runtime.run()
    host.close()


class Load:
    """Queues jobs, and has workers that it kills now and then."""

    def __init__(self, config: Config, host: Host, users: list[dict[str, str]]) -> None:
        self._config, self._host, self._users = config, host, users
        self._over = threading.Event()
        self._workers = [self._start() for _ in range(WORKERS)]

    def run(self) -> None:
        """Go on until it is over."""
        runtime = Runtime(self._config.database)
        service = Service(runtime, self._host, time.sleep)
        runtime.start(work=False)
        published = killed = time.monotonic() - PUBLISH_SECONDS
        while not self._over.wait(random.expovariate(1 / QUEUE_SECONDS)):
            service.visit(self._users)
            now = time.monotonic()
            if now - published >= PUBLISH_SECONDS:
                published = now
                runtime.jobs.queue("publish-site", random.choice(self._users))
            if now - killed >= KILL_SECONDS:
                killed = now
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

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "hashbase.page", "--worker", str(self._config.data_dir)]
        return subprocess.Popen(command, start_new_session=True)


def make(
    folder: Path, *, users: int = USERS, minutes: int = HISTORY_MINUTES
) -> tuple[Config, Host, list[dict[str, str]]]:
    """A Hashbase in an empty folder, after so many minutes of work."""
    config = replace(load(), data_dir=folder)
    host = Host(config)
    build(host)
    data = build_users(host, users)
    live_through(config, host, data, minutes)
    with Operator(config.database, by="ada", via="cli") as operator:
        operator.pause("send-newsletter", reason="until the new template is proofread")
        for issue in (7, 8):
            operator.queue("send-newsletter", {"issue": issue})
    return config, host, data


def show(folder: Path) -> int:
    """The load, and the page in front of it."""
    if folder.exists() and not (folder / MARKER).exists():
        print(f"expected {folder} to be empty or made by this demo; it is left as it is", file=sys.stderr)
        return 2
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()
    configure_logging(folder / "app.log")
    print("An hour of work, at once:", file=sys.stderr)
    config, host, users = make(folder)
    load_on_it = Load(config, host, users)
    thread = threading.Thread(target=load_on_it.run)
    thread.start()
    try:
        return lamplighter(["web", "--store", str(config.database), "--steer", "--show-data"])
    finally:
        load_on_it.stop()
        thread.join()
        host.close()


def main(arguments: list[str]) -> int:
    """A worker, or all of it."""
    if arguments[:1] == ["--worker"]:
        work(Path(arguments[1]))
        return 0
    return show(Path(arguments[0]) if arguments else FOLDER)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
