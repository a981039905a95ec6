"""`python -m hashbase.demo [FOLDER]`: tells the story, in ./demo-data if no folder is named.

Exits 0 if everything is as it must be. It waits for log lines, with deadlines, and never for time to pass.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from ..config import Config, load
from ..host import Host
from ..world import PROFILES, World, build
from .audit import Check, audit, biography, ended
from .fates import Before, before, fates_of_archives, fates_of_jobs, fates_of_users
from .life import DemoFailed, Life, Line
from .view import WIDTH, View

FOLDER = Path("demo-data")
MARKER = ".made-by-the-demo"

PLAN = """\
A host queues jobs in its own process, on its own SQLite file. While they run, one handler's actor
is crashed, and then the whole process is killed with SIGKILL. It starts again and goes on.
All that you see below is read from the log lines that it writes."""

VERIFY = "handler:verify-profile-dat"
ALICE, CLEAN = "verify-alice", "clean-archives"


@dataclass
class Demo:
    """One showing.

    Attributes:
        accepted: ids of the jobs that `queue` returned for.
        lines: of all lives that have ended.
        checks: what the story itself has shown.
    """

    config: Config
    view: View
    accepted: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    def run(self) -> bool:
        """Shows it all, and says whether all was as it must be."""
        began = time.monotonic()
        self.view.title(PLAN)
        world, then = self.build()
        with self.life(1) as first:
            self.work(first, world)
            self.crash_actor(first)
            self.kill(first)
        self.view.scene("5  It starts again", "First it takes back what the dead process held. Then the work goes on.")
        with self.life(2) as second:
            stored = self.recover(second, first)
            status = second.stop()
        self.lines += second.lines
        self.check("the second life stopped in order", status == 0, f"exit status {status}")
        return self.settle(world, then, stored, time.monotonic() - began)

    def life(self, number: int) -> Life:
        """Starts the host's process."""
        return Life(number, self.config, self.config.data_dir / f"life-{number}.jsonl", self.view.line)

    def check(self, what: str, holds: bool, found: str) -> None:
        """Notes one thing that must hold."""
        self.checks.append(Check(what=what, holds=holds, found=found))

    def build(self) -> tuple[World, Before]:
        """Builds a Hashbase."""
        host = Host(self.config)
        try:
            world = build(host)
            then = before(host, world)
        finally:
            host.close()
        self.view.scene(
            "1  A Hashbase",
            f"{len(then.users)} users, {len(then.archives)} archives, {len(world.dead) + len(world.revived)} of them "
            f"listed as dead, in {escape(str(self.config.data_dir))}",
        )
        return world, then

    def work(self, life: Life, world: World) -> None:
        """Six profiles to verify, and users to clean."""
        self.view.scene(
            "2  Jobs at work", "Six profile dats to verify and overdue users to delete. Alice's is held still half-way."
        )
        names = job_ids()
        for data, _ in world.jobs:
            # Three attempts instead of twenty: what has not arrived by then does not arrive in this demo.
            self.queue(life, "verify-profile-dat", names[data["userId"]], data, max_attempts=3)
        self.queue(life, "clean-unverified-users", "clean-users")
        life.wait_for("demo.held", job_id=ALICE)
        for data, outcome in world.jobs:
            if outcome not in ("verified", "unavailable"):
                life.wait_for("job.dead", job_id=names[data["userId"]])
        life.wait_for("job.done", job_id="clean-users")
        life.wait_for("job.failed", job_id="verify-hal")

    def queue(self, life: Life, name: str, id: str, data: object = None, max_attempts: int | None = None) -> None:
        """Has the host queue a job, and remembers that it was accepted."""
        self.accepted.append(life.order("queue", name=name, id=id, data=data, max_attempts=max_attempts))

    def crash_actor(self, life: Life) -> None:
        """An actor crashes in the middle of a job."""
        self.view.scene(
            "3  An actor crashes in the middle of a job",
            f"{VERIFY} gets a message that it cannot bear, while it has alice's job in hand.",
        )
        life.order("crash", actor=VERIFY)
        life.wait_for("actor.crashed", child=VERIFY)
        life.wait_for("actor.restarted", child=VERIFY)
        life.wait_for("job.waiting", job_id=ALICE)
        self.view.say("[dim]Its old lane cannot be killed, so the new claim waits for it. Now it may go on:[/]")
        life.order("let go", id=ALICE)
        life.wait_for("job.fenced", job_id=ALICE)
        life.wait_for("job.done", job_id=ALICE)
        crashes = sum(line["event"] == "actor.crashed" for line in life.lines)
        self.check("one actor crashed and was restarted", crashes == 1, f"{crashes} crash of {VERIFY}")

    def kill(self, life: Life) -> None:
        """The process is killed in the middle of a job."""
        self.view.scene(
            "4  kill -9 in the middle of another job",
            "clean-dead-archives is held when its second archive has lost its record and is put aside, not deleted.",
        )
        self.queue(life, "clean-dead-archives", CLEAN)
        life.wait_for("job.started", job_id=CLEAN)
        life.wait_for("demo.held", job_id=CLEAN)
        status = life.kill()
        self.lines += life.lines
        aside = [path.name[6:12] for path in self.config.archives_dir.glob("*/.dead-*")]
        self.view.say(
            f"[bold red]SIGKILL[/] for pid {life.pid}. Left behind: {len(aside)} archive put aside, not yet deleted."
        )
        self.check(
            "the process was killed in the middle of a job",
            status == -signal.SIGKILL and len(aside) == 1,
            f"exit status {status}, {len(aside)} archive put aside",
        )

    def recover(self, life: Life, dead: Life) -> list[dict[str, object]]:
        """The next life takes over what the dead one held."""
        recovered = life.wait_for("runtime.recovered", dead_pid=dead.pid)
        life.wait_for("job.done", job_id=CLEAN)
        if "verify-hal" not in ended(self.lines):
            life.wait_for("job.dead", job_id="verify-hal")
        self.check(
            "the next life found the dead one and took back its job",
            recovered["jobs"] >= 1,
            f"pid {recovered['dead_pid']}, {recovered['jobs']} running",
        )
        stored: list[dict[str, object]] = life.order("list")
        return stored

    def settle(self, world: World, then: Before, stored: list[dict[str, object]], seconds: float) -> bool:
        """What became of everything."""
        host = Host(self.config)
        try:
            users, archives = fates_of_users(host, world, then), fates_of_archives(host, world, then)
        finally:
            host.close()
        jobs = fates_of_jobs(world, job_ids(), stored, self.lines)
        self.view.scene("6  What became of everything")
        self.view.fates("Users", ("user", "at first", "must be", "is"), users)
        self.view.fates("Archives", ("key", "at first", "must be", "is"), archives)
        self.view.fates("Jobs", ("job", "at work", "must be", "is", "why"), jobs)
        self.view.scene(
            "7  The jobs that survived",
            "From the log lines alone: one outlived its actor, one its process.",
        )
        for survivor in (ALICE, CLEAN):
            self.view.biography(survivor, biography(self.lines, survivor))
        self.view.scene("8  Was anything lost?")
        for what, fates in (("user", users), ("archive", archives), ("job", jobs)):
            good = sum(fate.ok for fate in fates)
            self.check(f"every {what} is as it must be", good == len(fates), f"{good} of {len(fates)}")
        checks = [*self.checks, *audit(self.lines, self.accepted, stored)]
        self.view.checks(checks)
        well = all(check.holds for check in checks)
        text = f"Nothing was lost. {seconds:.1f} s." if well else "NOT as it must be: see above."
        self.view.verdict(well, f"{text}  Log and database are in {self.config.data_dir}")
        return well


def job_ids() -> dict[str, str]:
    """User id to the id of the job that verifies that user's profile."""
    return {profile.userId: f"verify-{profile.username}" for profile in PROFILES}


def empty(folder: Path) -> Path:
    """Gives an empty folder. One that the demo has not made is never touched.

    Raises:
        DemoFailed: it is there and was not made by the demo.
    """
    if folder.exists():
        if not (folder / MARKER).is_file():
            raise DemoFailed(f"{folder} is there and was not made by the demo; name another folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()
    return folder


def main(arguments: list[str]) -> int:
    """Runs the demo.

    Args:
        arguments: the data folder, or nothing.

    Returns:
        0 if all is as it must be, otherwise 1.
    """
    console = Console(highlight=False)
    console.width = min(WIDTH, console.width) if console.is_terminal or "COLUMNS" in os.environ else WIDTH
    try:
        config = replace(load(environ={}), data_dir=empty(Path(arguments[0]) if arguments else FOLDER))
        return 0 if Demo(config, View(console)).run() else 1
    except DemoFailed as error:
        console.print(f"[bold red]The demo failed:[/] {escape(str(error))}", soft_wrap=True)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
