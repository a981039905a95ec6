"""Several runtimes on one PostgreSQL: killed, cut off, and the server restarted under them. Nothing is lost or done
twice, and no limit is broken.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from lamplighter.history.audit.audit import audit_logs
from lamplighter.history.audit.store_check import StoreView
from lamplighter.stores.opening import place_of

from ...faults.kit import SECONDS_MAX, Host, count, eventually, now_in
from ...support.postgresql.fixtures import own_server
from ...support.postgresql.server import Server

PARTS = ("part0", "part1", "part2")
OF_FAMILY = (*PARTS, "merge", "total", "grouped", "rated", "chain", "chain-next")

UNFINISHED = "select count(*) from lamplighter.lamplighter_jobs where state in ('queued', 'running') and name <> 'tick'"


LEFT = (
    """select id, name, state, waits, boot, claim_no, to_timestamp(run_at), group_key, suspect_until, must_begin, reason
       from lamplighter.lamplighter_jobs where state in ('queued', 'running') order by no limit 20""",
    "select boot, pid, stopping, boot_no, turn from lamplighter.lamplighter_boots",
    "select * from lamplighter.lamplighter_turns",
    "select * from lamplighter.lamplighter_parents_to_check",
    "select pid, application_name, state, wait_event_type, left(query, 99) from pg_stat_activity where datname <> ''",
)
"""What tells why jobs are left."""


class Run(NamedTuple):
    """One attempt of a job, as its handler has seen it; `ended` is infinite where its process was killed."""

    name: str
    group: str
    job_id: str
    began: float
    ended: float


Place = tuple[str, tuple[str, ...]]
"""The address of the server as a host has it, and a command that runs the host."""


class Crowd:
    """Hosts on one server, and what they have said.

    Attributes:
        accepted: by host, how many families of jobs are stored.
        killed: when each process was killed, by pid.
    """

    def __init__(
        self, server: Server, folder: Path, hosts: int, *, url: str = "", places: Sequence[Place] = ()
    ) -> None:
        self.server = server
        self._places = places or [(url or server.url, ())] * hosts
        self.folder = folder
        self.effects = folder / "effects"
        self.accepted = [0] * hosts
        self.killed: dict[int, float] = {}
        self.logs: list[Path] = []
        self.hosts = [self._start(which) for which in range(hosts)]

    def _start(self, which: int) -> Host:
        self.logs.append(self.folder / f"log-{len(self.logs)}")
        url, within = self._places[which]
        about = (url, f"p{which}", self.accepted[which], self.logs[-1], self.effects)
        return Host("crowd.py", *about, folder=self.folder, within=within)

    def note(self, which: int, lines: list[str]) -> None:
        for line in lines:
            word, _, number = line.partition(" ")
            if word == "accepted":
                self.accepted[which] = int(number)

    def kill(self, which: int) -> None:
        host = self.hosts[which]
        self.note(which, host.kill())
        self.killed[host.pid] = time.monotonic()
        self.hosts[which] = self._start(which)

    def terminate(self, chance: random.Random) -> None:
        """End a session of some runtime."""
        found = self.server.psql("select pid from pg_stat_activity where application_name like 'lamplighter%'").split()
        if found:
            self.server.psql(f"select pg_terminate_backend({chance.choice(found)})")

    def finish(self) -> None:
        """Let all of them do what is left, and stop."""
        for host in self.hosts:
            host.say("enough")
        try:
            eventually(lambda: self.server.psql(UNFINISHED) == "0", SECONDS_MAX, what="the end of all jobs")
        except AssertionError as error:
            for query in LEFT:
                error.add_note(self.server.psql(query)[:2000])
            for host in self.hosts:
                error.add_note(f"pid {host.pid}: {host.errors()[-1500:]}")
            raise
        for which, host in enumerate(self.hosts):
            code = host.end()
            assert code == 0, host.errors()[-3000:]
            self.note(which, host.drain())

    def runs(self) -> dict[str, Run]:
        """By token."""
        runs: dict[str, Run] = {}
        for line in self.effects.read_text().splitlines():
            what, name, group, job_id, token, pid, at = line.split(" ")
            if what == "began":
                assert token not in runs, f"one claim of {job_id} has run twice"
                runs[token] = Run(name, group, job_id, float(at), self.killed.get(int(pid), math.inf))
            else:
                runs[token] = runs[token]._replace(ended=float(at))
        return runs

    def check(self) -> None:
        # A tick of the last second may be left, as it is in `UNFINISHED`.
        found = self.server.psql("select id, state from lamplighter.lamplighter_jobs where name <> 'tick'")
        states = dict(line.split("|") for line in found.splitlines())
        asked = [
            f"p{which}-{number}-{one}"
            for which, numbers in enumerate(self.accepted)
            for number in range(numbers)
            for one in OF_FAMILY
        ]
        lost = {job_id: states.get(job_id) for job_id in asked if states.get(job_id) != "done"}
        assert not lost, f"{len(lost)} of {len(asked)} accepted jobs are not done: {dict(list(lost.items())[:10])}"
        assert set(states.values()) == {"done"}, Counter(states.values())
        runs = self.runs()
        by_job: dict[str, list[Run]] = defaultdict(list)
        for run in runs.values():
            by_job[run.job_id].append(run)
        for job_id in asked:
            if job_id.endswith("-merge"):
                began = min(run.began for run in by_job[job_id])
                for part in PARTS:
                    first_end = min(run.ended for run in by_job[job_id.replace("-merge", f"-{part}")])
                    assert first_end < began, f"{job_id} began before the end of its {part}"
        total = [run for run in runs.values() if run.name == "total"]
        assert most_at_once(total) <= 3, "more than the limit over all hosts"
        for group in ("g0", "g1", "g2"):
            grouped = [run for run in runs.values() if run.name == "grouped" and run.group == group]
            assert most_at_once(grouped) == 1, f"more than the limit of group {group}"

    def buried(self) -> list[int]:
        """The pids of processes that others have buried."""
        lines = (line for log in self.logs if log.exists() for line in log.read_text().splitlines())
        return [json.loads(line)["dead_pid"] for line in lines if '"runtime.recovered"' in line]

    def audit(self) -> None:
        place = place_of(self.server.url)
        try:
            # Some were killed before their first line.
            report = audit_logs([str(log) for log in self.logs if log.exists()], StoreView(place.lives))
            found = "\n".join(f"{one.kind}: {one.says}" for one in report.findings if not one.excused)
            assert report.ok, f"{report.summary}\n{found[:4000]}"
        finally:
            place.close()


def most_at_once(runs: list[Run]) -> int:
    """The most of these that have overlapped."""
    most = now = 0
    # An end at the instant of a beginning came before it.
    for _, change in sorted([*((run.began, 1) for run in runs), *((run.ended, -1) for run in runs)]):
        now += change
        most = max(most, now)
    return most


@pytest.mark.timeout(1200)
def test_on_a_server_under_fire_no_accepted_job_is_lost_and_no_limit_is_broken(tmp_path: Path) -> None:
    seconds, seed = count(12, 120), random.randrange(2**32)
    chance = random.Random(seed)
    tmp_path.chmod(0o755)
    with own_server() as server, ExitStack() as stack:
        crowd = Crowd(server, tmp_path, 3)
        stack.callback(lambda: [host.__exit__() for host in crowd.hosts])
        for host in crowd.hosts:
            host.expect("started")
        acts, until = Counter[str](), now_in(seconds)
        while time.monotonic() < until:
            which = chance.randrange(len(crowd.hosts))
            crowd.note(which, crowd.hosts[which].lines_until(now_in(chance.uniform(0.1, 1.5))))
            act = chance.choices(("kill", "terminate", "restart", "crash"), (5, 5, 1, 1))[0]
            acts[act] += 1
            match act:
                case "kill":
                    crowd.kill(which)
                case "terminate":
                    crowd.terminate(chance)
                case "restart":
                    server.restart("fast")
                case "crash":
                    server.kill()
                    server.start()
        try:
            crowd.finish()
            crowd.check()
            crowd.audit()
        except BaseException as error:
            error.add_note(f"seed {seed}, {dict(acts)}")
            raise
        print(f"\n{crowd.accepted} families of {len(OF_FAMILY)} jobs, {dict(acts)}, seed {seed}")
