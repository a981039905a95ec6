"""Which store a line belongs to: by the id that its boot has said, or else by what its lines show."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from lamplighter.cli.main import main
from lamplighter.history.trace.job import biography

from ..kit import Said, audited, clean_run, write_log


def a_run_on(store_id: str, boot: str, *, store: str = "/srv/jobs.db", level: str = "debug") -> list[Said]:
    """The lines of a run as those of another boot, on a store of this id."""
    lines = []
    for line in clean_run(level).lines:
        where = {"store": store, "store_id": store_id} if line["event"] == "runtime.started" else {}
        lines.append({**line, "boot": boot, **where} if "seq" in line else line)
    return lines


def on_rabbit(
    store_id: str | None, boot: str, job_ids: Iterable[str], level: str = "debug", vhost: str = "jobs"
) -> list[Said]:
    """What a boot on a RabbitMQ tells of jobs that it has queued and run, one after another."""
    lines: list[Said] = []

    def say(event: str, at: float, **fields: object) -> None:
        quiet = {"job.queued": "debug", "job.claimed": "debug"}
        if level == "debug" or event not in quiet:
            lines.append({"event": event, "ts": at, "boot": boot, "seq": len(lines) + 1, **fields})

    where = {} if store_id is None else {"store_id": store_id}
    say("runtime.started", 1.0, store=f"amqp://localhost:5672/{vhost}", host="web", **where)
    for number, job_id in enumerate(job_ids):
        at = 2.0 + number
        job = {"job_id": job_id, "job_name": "work"}
        say("job.queued", at, **job, to="queued", rev=1, claim_no=0, attempt=0)
        say(
            "job.claimed",
            at + 0.1,
            **job,
            **{"from": "queued"},
            to="running",
            rev=2,
            claim_no=1,
            attempt=0,
            redeliveries=0,
        )
        say(
            "job.done",
            at + 0.2,
            **job,
            **{"from": "running"},
            to="done",
            rev=3,
            claim_no=1,
            attempt=1,
            revs=[1, 2, 3],
            times=[at, at + 0.1, at + 0.2],
            outcome="succeeded",
        )
    return lines


@pytest.mark.parametrize("level", ["debug", "info"])
def test_a_file_that_was_made_anew_is_another_store(level):
    report = audited([*a_run_on("one", "a", level=level), *a_run_on("two", "b", level=level)])

    assert report.ok
    assert report.jobs == 2 * audited(a_run_on("one", "a", level=level)).jobs


@pytest.mark.parametrize("vhost", ["jobs", ""])
@pytest.mark.parametrize("level", ["debug", "info"])
def test_two_servers_whose_virtual_hosts_have_one_name_are_two_stores(level, vhost):
    ids = ["import", "other"]
    apart = [*on_rabbit("eu", "a", ids, level, vhost), *on_rabbit("us", "b", ids, level, vhost)]

    report = audited(apart)

    assert report.ok
    assert report.jobs == 4


def test_boots_that_have_said_no_id_are_on_the_first_store_of_that_name():
    lines = a_run_on("one", "a")
    older = [{key: value for key, value in line.items() if key != "store_id"} for line in lines]
    half = len(lines) // 2
    newer = [{**line, "boot": "b"} if "seq" in line else line for line in lines[half:]]
    started = {**lines[0], "boot": "b", "seq": next(line["seq"] for line in newer if "seq" in line) - 1}
    assert lines[0]["event"] == "runtime.started"

    report = audited([*older[:half], started, *newer])

    assert [finding.kind for finding in report.findings] == []
    assert report.jobs == audited(lines).jobs


@pytest.mark.parametrize("level", ["debug", "info"])
def test_a_log_of_a_rabbitmq_is_known_by_its_lines_when_it_begins_in_the_middle(level):
    lines = on_rabbit(None, "a", [f"job-{number}" for number in range(6)], level)

    report = audited([line for line in lines if line["event"] != "runtime.started"][1:])

    assert report.ok
    assert any("the log is of a RabbitMQ" in note for note in report.notes)


@pytest.mark.parametrize("level", ["debug", "info"])
def test_a_log_of_a_file_is_known_by_its_lines_when_it_begins_in_the_middle(level):
    lines = [line for line in clean_run(level).lines if "seq" in line]

    report = audited(lines[4:], clean_run(level).store)

    assert report.ok
    assert not any("RabbitMQ" in note for note in report.notes)


def test_a_store_is_compared_with_the_lines_of_its_id(tmp_path, capsys):
    other = a_run_on("another", "a", store=str(clean_run().store.resolve()))
    log = write_log(tmp_path / "log", [*other, *clean_run().lines])

    assert main(["audit", str(log), "--store", str(clean_run().store)]) == 0


def delivered_again(*, speaks_again: bool = False) -> list[Said]:
    """A job whose first holder was killed; the server gave it to another one."""
    first = on_rabbit("id", "web", [])
    born = {"event": "job.queued", "job_id": "j", "job_name": "work", "to": "queued", "claim_no": 0, "attempt": 0}
    first.append({**born, "ts": 2.0, "boot": "web", "seq": 2, "rev": 1})
    claimed = {
        "event": "job.claimed",
        "job_id": "j",
        "job_name": "work",
        "from": "queued",
        "to": "running",
        "attempt": 0,
    }
    one = [*on_rabbit("id", "one", []), {**claimed, "ts": 3.0, "boot": "one", "seq": 2, "rev": 2, "claim_no": 1}]
    one[-1]["redeliveries"] = 0
    two = [*on_rabbit("id", "two", []), {**claimed, "ts": 4.0, "boot": "two", "seq": 2, "rev": 3, "claim_no": 2}]
    two[-1]["redeliveries"] = 1
    done = {"event": "job.done", "job_id": "j", "job_name": "work", "from": "running", "to": "done", "attempt": 1}
    sums = {"revs": [1, 3, 4], "times": [2.0, 4.0, 5.0]}
    two.append({**done, **sums, "ts": 5.0, "boot": "two", "seq": 3, "rev": 4, "claim_no": 2})
    if speaks_again:
        one.append({"event": "job.parked", "ts": 6.0, "boot": "one", "seq": 3, "job_id": "k", "job_name": "work"})
    return sorted([*first, *one, *two], key=lambda line: line["ts"])


def test_a_redelivery_is_told_as_one_and_a_killed_process_is_counted():
    report = audited(delivered_again())

    assert report.ok
    assert report.crashes == 1
    assert any(note.startswith("boot one died: a job of it was delivered again") for note in report.notes)


def test_a_boot_that_speaks_again_has_only_lost_its_connection():
    assert audited(delivered_again(speaks_again=True)).crashes == 0


def test_the_life_of_a_job_that_was_delivered_again_misses_nothing(tmp_path):
    life = biography([str(write_log(tmp_path / "log", delivered_again()))], "j")

    assert life is not None
    assert life.gaps == 0
    assert [entry.says.partition(",")[0] for entry in life.entries][2] == "delivered again by the server: boot one"


def at_the_end(path: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    assert main(["trace", "--json", "--at", "9", str(path)]) == 0
    seen: Said = json.loads(capsys.readouterr().out)
    return seen


def test_an_instant_does_not_call_a_killed_process_alive(tmp_path, capsys):
    log = write_log(tmp_path / "log", delivered_again())

    seen = at_the_end(log, capsys)
    main(["trace", "--at", "9", str(log)])

    assert seen["bereft"] == ["one"]
    assert seen["spoke"] == {"web": 2.0, "one": 3.0, "two": 5.0}
    said = capsys.readouterr().out
    assert "boots alive: web (last heard of 7 s before), two (last heard of 4 s before)" in said
    assert "dead or without a connection: one (last heard of 6 s before): a job that it had was delivered" in said


def test_an_end_that_is_told_before_the_birth_is_an_end(tmp_path, capsys):
    lines = on_rabbit("id", "a", ["j", "k"])
    birth = next(line for line in lines if line["event"] == "job.queued")
    late = [line for line in lines if line is not birth]
    late.append({**birth, "boot": "b", "seq": 1, "ts": 2.3})

    assert at_the_end(write_log(tmp_path / "log", sorted(late, key=lambda line: line["ts"])), capsys)["jobs"] == {
        "done": 2
    }


def three_hosts() -> dict[str, list[Said]]:
    """One host queues jobs, the next claims each and fails, the last one finishes it."""
    logs: dict[str, list[Said]] = {boot: on_rabbit(None, boot, []) for boot in ("web", "one", "two")}

    def say(
        boot: str, event: str, at: float, before: str | None, to: str, rev: int, claim_no: int, **more: Any
    ) -> None:
        move = {"to": to} if before is None else {"from": before, "to": to}
        said = {"event": event, "ts": at, "boot": boot, "seq": len(logs[boot]) + 1, "rev": rev, "claim_no": claim_no}
        logs[boot].append({**said, **move, "job_id": job_id, "job_name": "work", **more})

    for number in range(4):
        job_id, at = f"job-{number}", 2.0 + number
        say("web", "job.queued", at, None, "queued", 1, 0, attempt=0)
        say("one", "job.claimed", at + 0.1, "queued", "running", 2, 1, attempt=0, redeliveries=0)
        times = [at, at + 0.1, at + 0.2, at + 0.3, at + 0.4]
        sums: Said = {"revs": [1, 2, 3], "times": times[:3]}
        say("one", "job.retried", at + 0.2, "running", "queued", 3, 1, attempt=1, outcome="failed", **sums)
        say("two", "job.claimed", at + 0.3, "queued", "running", 4, 2, attempt=1, redeliveries=0)
        sums = {"revs": [4, 5], "times": times[3:]}
        say("two", "job.done", at + 0.4, "running", "done", 5, 2, attempt=2, outcome="succeeded", **sums)
    return logs


@pytest.mark.parametrize("boot", ["web", "one", "two"])
@pytest.mark.parametrize("level", ["debug", "info"])
def test_what_was_before_any_log_of_a_rabbitmq_is_not_missed(boot, level):
    quiet = ("job.queued", "job.claimed") if level == "info" else ()
    logs = {name: [line for line in lines if line["event"] not in quiet] for name, lines in three_hosts().items()}
    for cut in range(len(logs[boot]) + 1):
        kept = {**logs, boot: logs[boot][cut:]}

        report = audited(sorted((line for lines in kept.values() for line in lines), key=lambda line: line["ts"]))

        # A host whose log is not there at all, or begins after all others' end, is another matter.
        if cut < len(logs[boot]):
            assert report.findings == (), cut
