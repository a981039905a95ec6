"""SIGKILL: in the middle of a job, and at random instants over a busy host."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from ...faults.kit import SECONDS_MAX, Host, check_endings, check_slots, count, now_in


def test_a_job_whose_process_was_killed_runs_again_and_its_first_run_cannot_end_it(tmp_path: Path) -> None:
    store = tmp_path / "jobs.db"
    with Host("half.py", store, folder=tmp_path) as first:
        first.expect("started")
        first.say("queue j1")
        _, old_token, _ = first.expect("running")
        first.kill()
    with Host("half.py", store, folder=tmp_path) as second:
        _, new_token, attempt = second.expect("running")
        assert new_token != old_token
        assert attempt == "1", "an interruption uses no attempt"
        second.say(f"mark {old_token}")
        assert second.expect("marked") == ["StaleClaim"]
        second.say("go")
        second.say("join j1")
        assert second.expect("ended") == ["done", "whole", "1"]
        second.say(f"mark {old_token}")
        assert second.expect("marked") == ["StaleClaim"], "also after the job is done"
        assert second.end() == 0
    check_endings(store, {"j1"})


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("processes", [1, 4])
def test_killed_at_random_instants_every_accepted_job_ends_exactly_once(tmp_path: Path, processes: int) -> None:
    store, effects = tmp_path / "jobs.db", tmp_path / "effects"
    jobs, kills, seed = count(300, 20_000), count(4, 100), random.randrange(2**32)
    chance, share = random.Random(seed), jobs // processes
    began = time.monotonic()
    accepted = [0] * processes

    def start(which: int) -> Host:
        return Host("steady.py", store, f"p{which}", accepted[which], share - 1, effects, folder=tmp_path)

    def note(which: int, lines: list[str]) -> None:
        for line in lines:
            word, _, number = line.partition(" ")
            assert word != "failed", line
            if word == "accepted":
                accepted[which] = int(number)

    hosts = [start(which) for which in range(processes)]
    try:
        for done in range(kills):
            which = chance.randrange(processes)
            # A life is killed before, while and after it starts; the later kills get what the earlier have left.
            goal = share * (done + 1) // (kills // processes + 1)
            until = now_in(chance.uniform(0.0, 1.5))
            lines = hosts[which].lines_until(until, last="idle")
            note(which, lines)
            if accepted[which] < goal and chance.random() < 0.8:
                # Otherwise it might never get further than its start.
                note(which, hosts[which].lines_until(now_in(5.0), last="accepted"))
                note(which, hosts[which].lines_until(now_in(chance.uniform(0.0, 0.5)), last="idle"))
            note(which, hosts[which].kill())
            hosts[which] = start(which)
        for which, host in enumerate(hosts):
            note(which, host.lines_until(now_in(SECONDS_MAX), last="idle"))
        for host in hosts:
            assert host.end() == 0, host.errors()[-3000:]
    finally:
        for host in hosts:
            host.__exit__()
    assert accepted == [share] * processes, f"seed {seed}"
    check_endings(store, {f"p{which}-{number}" for which in range(processes) for number in range(share)})
    check_slots(store)
    runs = Counter(effects.read_text().split())
    assert max(runs.values()) == 1, f"seed {seed}: a claim was run twice: {runs.most_common(3)}"
    print(
        f"\n{jobs} jobs, {kills} kills, {processes} processes: {len(runs)} runs in {time.monotonic() - began:.1f} s, "
        f"seed {seed}"
    )
