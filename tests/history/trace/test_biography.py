"""The life of a job, told from its log."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lamplighter.history.trace.job import Biography, biography

from ..kit import Said, clean_run, index_of, without, write_log


def life_of(tmp_path, lines: list[Said], job_id: str) -> Biography:
    life = biography([str(write_log(tmp_path / "log", lines))], job_id)
    assert life is not None
    return life


def said(life: Biography) -> list[str]:
    return [entry.says for entry in life.entries]


def a_job(name: str, level: str = "debug") -> str:
    return str(
        next(line["job_id"] for line in clean_run(level).lines if line.get("job_name") == name and "rev" in line)
    )


def test_each_hop_is_told_in_order_by_who_did_it(tmp_path):
    life = life_of(tmp_path, clean_run().lines, a_job("bad"))

    events = [entry.said["event"] for entry in life.entries]
    assert events == [
        "job.queued",
        "job.claimed",
        "job.started",
        "job.failed",
        "job.retried",
        "job.claimed",
        "job.started",
        "job.failed",
        "job.dead",
    ]
    assert life.title.startswith(f"job {life.job_id} (bad): dead after ")
    assert life.gaps == 0
    assert [entry.at for entry in life.entries] == sorted(entry.at for entry in life.entries)
    boot = clean_run().lines[0]["boot"]
    assert life.entries[0].who == f"broker/1 · {boot[:6]}"
    assert life.entries[2].who == f"handler:bad/1 · {boot[:6]}"
    assert "attempt 1 failed: ZeroDivisionError: division by zero" in said(life)[3]


def test_the_waits_in_queue_and_mailbox_are_told(tmp_path):
    lines = [dict(line) for line in clean_run().lines]
    job_id = a_job("bad")
    lines[index_of(lines, "job.queued", job_id=job_id)]["ts"] -= 60.0
    lines[index_of(lines, "job.claimed", job_id=job_id)]["waited"] = 2.5
    lines[index_of(lines, "job.started", job_id=job_id)]["mail_seconds"] = 0.25

    told = said(life_of(tmp_path, lines, job_id))

    assert "claim 1 taken after 2.5 s in the queue" in told[1]
    assert told[2].endswith("its message had waited 250 ms in the mailbox")


def test_a_log_at_info_tells_what_its_lines_sum_up(tmp_path):
    life = life_of(tmp_path, clean_run("info").lines, a_job("bad", "info"))

    assert [sentence.split(" (")[0] for sentence in said(life) if "only summed up" in sentence] == [
        "queued",
        "claimed",
        "claimed",
    ]
    assert life.gaps == 0
    assert [entry.at for entry in life.entries] == sorted(entry.at for entry in life.entries)


def test_what_the_hosts_function_wrote_is_part_of_the_life(tmp_path):
    life = life_of(tmp_path, clean_run().lines, a_job("good"))

    events = [(entry.who, entry.said["event"]) for entry in life.entries]
    assert ("the application", "a line of the host's") in events[2:5]


def test_a_requeued_job_has_one_life(tmp_path):
    lines = clean_run().lines
    job_id = lines[index_of(lines, "job.requeued")]["job_id"]

    life = life_of(tmp_path, lines, job_id)

    assert [entry.said.get("to") for entry in life.entries if "to" in entry.said] == [
        "queued",
        "running",
        "done",
        "queued",
        "running",
        "done",
    ]


def test_a_missing_line_is_named_where_it_is_missing(tmp_path):
    lines = clean_run().lines
    job_id = a_job("bad")
    gone = index_of(lines, "job.retried", job_id=job_id)

    life = life_of(tmp_path, without(lines, gone), job_id)

    assert life.gaps == 1
    (missing,) = [entry for entry in life.entries if entry.tone == "bad" and "MISSING" in entry.says]
    assert "it was running, and the next line says from queued" in missing.says
    assert missing.said["after_rev"] < lines[gone]["rev"] < missing.said["before_rev"]


def test_a_job_whose_beginning_was_rotated_away_is_told_from_where_the_log_begins(tmp_path):
    lines = clean_run().lines
    job_id = a_job("bad")

    life = life_of(tmp_path, list(lines[index_of(lines, "job.started", job_id=job_id) :]), job_id)

    assert life.gaps == 0
    assert life.entries[-1].said["event"] == "job.dead"


def crash(lines: list[Said], job_id: str, **fields: Any) -> list[Said]:
    """The same log with a death just before the job's attempt failed."""
    at = index_of(lines, "job.failed", job_id=job_id)
    line = {
        "event": "actor.crashed",
        "ts": lines[at]["ts"],
        "boot": lines[at]["boot"],
        "seq": 9000,
        "actor": "supervisor",
        "incarnation": 1,
        "child_incarnation": 1,
        "reason": "MemoryError()",
        "mailbox": 3,
        **fields,
    }
    lines = [*lines[:at], line, *lines[at:]]
    return [{**one, "seq": number} if "seq" in one else one for number, one in enumerate(lines)]


@pytest.mark.parametrize("child", ["handler:bad", "broker"])
def test_the_death_of_an_actor_that_held_it_is_told_with_the_message_that_killed_it(tmp_path, child):
    job_id = a_job("bad")
    lines = crash(list(clean_run().lines), job_id, child=child, message="Run", message_id=17, message_corr="x")

    told = said(life_of(tmp_path, lines, job_id))

    assert f"{child}/1 DIED over Run 17 of x: MemoryError(); 3 messages waited" in told
    assert told.index(f"{child}/1 DIED over Run 17 of x: MemoryError(); 3 messages waited") == 3


def test_the_death_of_an_actor_that_had_nothing_to_do_with_it_is_not(tmp_path):
    job_id = a_job("bad")
    lines = crash(list(clean_run().lines), job_id, child="handler:good")

    assert not [sentence for sentence in said(life_of(tmp_path, lines, job_id)) if "DIED" in sentence]


def test_a_refused_ending_and_an_abandoned_lane_are_told(tmp_path):
    lines = list(clean_run().lines)
    job_id = a_job("bad")
    last = lines[-1]
    about = {"job_id": job_id, "job_name": "bad", "claim_no": 1, "attempt": 1, "boot": last["boot"], "ts": last["ts"]}
    lines += [
        {**about, "event": "lane.abandoned", "seq": last["seq"] + 1, "lane": 4, "why": "timed out"},
        {
            **about,
            "event": "job.fenced",
            "seq": last["seq"] + 2,
            "outcome": "succeeded",
            "claim_no_now": 2,
            "state": "dead",
        },
    ]

    told = said(life_of(tmp_path, lines, job_id))

    assert told[-2] == "lane 4 ABANDONED: timed out; the function still runs, and counts no longer"
    assert told[-1].startswith(
        "REFUSED: claim 1 wanted to end it (succeeded), but had lost it: claim 2 is the last one"
    )


def test_what_only_a_recovery_tells_stands_where_it_happened(tmp_path):
    job = {"job_id": "j", "job_name": "n"}
    told = [[1, "job.queued", "j"], [2, "job.claimed", "j"]]
    queued = {**job, "boot": "dead", "seq": 3, "ts": 1.0, "to": "queued", "rev": 1, "claim_no": 0}
    recovered = {"boot": "heir", "seq": 2, "ts": 9.0, "dead_boot": "dead", "dead_pid": 4, "jobs": 1, "told": told}
    retried = {
        **job,
        "boot": "heir",
        "seq": 4,
        "ts": 9.0,
        "from": "running",
        "to": "queued",
        "rev": 3,
        "claim_no": 1,
        "attempt": 0,
        "revs": [1, 2, 3],
        "times": [1.0, 2.0, 9.0],
        "reason": "interrupted",
    }
    lines = [
        {"event": "job.queued", **queued},
        {"event": "runtime.recovered", **recovered},
        {"event": "job.retried", **retried},
    ]

    life = life_of(tmp_path, lines, "j")

    assert [entry.said["event"] for entry in life.entries] == [
        "job.queued",
        "job.claimed",
        "runtime.recovered",
        "job.retried",
    ]
    assert "never said by the dead; its recovery tells it" in said(life)[1]
    assert life.entries[1].who.endswith(" · dead")
    assert life.gaps == 0


def test_an_id_that_is_used_again_after_retention_is_another_job_and_none_is_missing(tmp_path):
    lines = list(clean_run().lines)
    job_id = a_job("bad")
    told = [line for line in lines if line.get("job_id") == job_id]
    again = [{**line, "seq": 9000 + number, "ts": 1.0 + line["ts"]} for number, line in enumerate(told)]
    again = [{**line, "rev": line["rev"] + 1000} if "rev" in line else line for line in again]
    again = [{**line, "revs": [rev + 1000 for rev in line["revs"]]} if "revs" in line else line for line in again]

    life = life_of(tmp_path, [*lines, *again], job_id)

    assert life.gaps == 0
    assert len(life.entries) == 2 * len(told) + 1
    assert life.entries[len(told)].says == "a new life: the job had been removed, and its id was free again"


def test_one_id_in_two_stores_is_told_as_two_lives(tmp_path):
    lines = [line for line in clean_run().lines if "seq" in line]
    other = [{**line, "boot": "other", "store": "/srv/other.db"} for line in lines]
    job_id = a_job("bad")

    life = life_of(tmp_path, [line for pair in zip(lines, other, strict=True) for line in pair], job_id)

    alone = said(life_of(tmp_path, lines, job_id))
    assert life.gaps == 0
    assert life.title == f"job {job_id}: 2 jobs of this id, each in a store of its own"
    assert said(life)[1 : len(alone) + 1] == said(life)[len(alone) + 2 :] == alone
    assert said(life)[len(alone) + 1].startswith(f"in /srv/other.db: job {job_id} (bad): dead")


def test_a_line_that_the_host_has_written_into_the_log_again_is_told_once(tmp_path):
    lines = clean_run().lines
    job_id = a_job("bad")

    twice = life_of(tmp_path, [line for line in lines for _ in range(2)], job_id)

    assert said(twice) == said(life_of(tmp_path, list(lines), job_id))
    assert twice.gaps == 0


def test_there_is_no_life_of_a_job_that_no_line_is_about(tmp_path):
    assert biography([str(write_log(tmp_path / "log", clean_run().lines))], "nobody") is None


@pytest.mark.parametrize("job_id", ["1", "größe", 'with "quotes"', "back\\slash", "a/b", "日本"])
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_an_id_may_be_anything(tmp_path, job_id, ensure_ascii):
    log = tmp_path / "log"
    job = {"job_id": job_id, "boot": "b", "ts": 1.0, "job_name": "n"}
    lines = [
        {**job, "event": "job.queued", "seq": 1, "to": "queued", "rev": 1, "claim_no": 0, "attempt": 0},
        {**job, "event": "job.queued", "seq": 2, "to": "queued", "rev": 2, "job_id": f"{job_id}2"},
    ]
    log.write_text("".join(json.dumps(line, ensure_ascii=ensure_ascii) + "\n" for line in lines))

    life = biography([str(log)], job_id)

    assert life is not None
    assert [entry.said["seq"] for entry in life.entries] == [1]


def test_one_of_a_kind_is_told_in_the_singular(tmp_path):
    lines = [dict(line) for line in clean_run().lines]
    job_id = a_job("hopeless")
    lines[index_of(lines, "job.queued", job_id=job_id)]["bytes"] = 1
    dead = {
        "event": "runtime.recovered",
        "boot": lines[0]["boot"],
        "dead_boot": lines[0]["boot"],
        "jobs": 1,
        "told": [],
    }
    at = index_of(lines, "job.claimed", job_id=job_id)
    lines.insert(at, {**dead, "seq": lines[at]["seq"], "ts": lines[at]["ts"]})

    life = life_of(tmp_path, lines, job_id)

    assert ", 1 byte of data" in said(life)[0]
    assert "1 job that it held is taken back" in " ".join(said(life))
    assert life.title.endswith(", 1 claim, attempt 1")
