"""The life of a job, told from its log."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lamplighter.history.trace.job import Biography, biography

from ..kit import Said, Story, clean_run, index_of, sealed, without, write_log


def life_of(tmp_path, lines: list[Said], job_id: str) -> Biography:
    life = biography([str(write_log(tmp_path / "log", lines))], job_id)
    assert life is not None
    return life


def said(life: Biography) -> list[str]:
    return [entry.says for entry in life.entries]


def a_job(name: str, level: str = "debug") -> str:
    return str(
        next(
            line["job_id"]
            for line in clean_run(level).lines
            if line.get("job_name") == name and {"turn", "job_id"} <= line.keys()
        )
    )


def test_each_hop_is_told_in_order_by_who_did_it(tmp_path):
    life = life_of(tmp_path, clean_run().lines, a_job("bad"))

    events = [entry.said["event"] for entry in life.entries]
    assert events == [
        "job.queued",
        "job.claimed",
        "job.started",
        "job.failed",
        "job.claimed",
        "job.started",
        "job.dead",
    ]
    assert life.title.startswith(f"job {life.job_id} (bad): dead after ")
    assert life.gaps == 0
    assert [entry.at for entry in life.entries] == sorted(entry.at for entry in life.entries)
    boot = clean_run().lines[0]["boot"]
    assert life.entries[0].who == f"broker/1 · {boot[:6]}"
    assert life.entries[2].who == f"handler:bad/1 · {boot[:6]}"
    assert said(life)[3].startswith("failed in attempt 1 of 2, queued again")
    assert "ZeroDivisionError: division by zero" in said(life)[3]
    assert "ZeroDivisionError: division by zero" in said(life)[-1]


def test_the_waits_in_queue_and_mailbox_are_told(tmp_path):
    """By the lines' own fields: they are written after the commit, at some distance."""
    lines = [dict(line) for line in clean_run().lines]
    job_id = a_job("bad")
    lines[index_of(lines, "job.claimed", job_id=job_id)]["waited"] = 2.5
    lines[index_of(lines, "job.started", job_id=job_id)]["mail_seconds"] = 0.25

    told = said(life_of(tmp_path, lines, job_id))

    assert "claim 1 taken after 2.5 s in the queue" in told[1]
    assert told[2].endswith("its message had waited 250 ms in the mailbox")


@pytest.mark.parametrize(("kind", "keys"), [("released", {}), ("failed", {"o": "interrupted", "u": 1.0})])
def test_a_job_that_was_put_back_has_not_waited_since_it_was_due_first(tmp_path, kind, keys):
    story = Story().move("queued", None, 0, 0).move("claimed", "queued", 1, 0).move(kind, "running", 1, 0, **keys)
    story.move("claimed", "queued", 2, 0)
    story.said("job.claimed", job_id="j", job_name="n", claim_no=2, attempt=0, turn=story.turns, waited=500.0)

    told = said(life_of(tmp_path, story.lines, "j"))

    assert "claim 2 taken after 2 s in the queue" in told[3]


def test_a_log_at_info_tells_every_move(tmp_path):
    life = life_of(tmp_path, clean_run("info").lines, a_job("bad", "info"))

    assert [(entry.said["event"], entry.said["rev"]) for entry in life.entries] == [
        ("job.queued", 1),
        ("job.claimed", 2),
        ("job.failed", 3),
        ("job.claimed", 4),
        ("job.dead", 5),
    ]
    assert life.gaps == 0
    assert [entry.at for entry in life.entries] == sorted(entry.at for entry in life.entries)


def test_what_the_hosts_function_wrote_is_part_of_the_life(tmp_path):
    life = life_of(tmp_path, clean_run().lines, a_job("good"))

    events = [(entry.who, entry.said["event"]) for entry in life.entries]
    # Its thread may write before the broker says that the job is claimed.
    assert ("the application", "a line of the host's") in events[1:5]


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


def test_a_missing_turn_is_named_where_it_is_missing(tmp_path):
    lines = clean_run().lines
    job_id = a_job("bad")
    failed = lines[index_of(lines, "job.failed", job_id=job_id)]
    gone = [index_of(lines, "turn.committed", turn=failed["turn"])]

    life = life_of(tmp_path, without(lines, *gone), job_id)

    assert life.gaps == 1
    (missing,) = [entry for entry in life.entries if entry.tone == "bad" and "MISSING" in entry.says]
    assert "it was running, and the next line says from" in missing.says
    assert missing.said["after_rev"] == 2
    assert missing.said["before_rev"] >= 4


def test_a_job_whose_beginning_was_rotated_away_is_told_from_where_the_log_begins(tmp_path):
    lines = clean_run().lines
    job_id = a_job("bad")

    life = life_of(tmp_path, list(lines[index_of(lines, "job.started", job_id=job_id) :]), job_id)

    assert life.gaps == 0
    assert any(
        sentence == "its life began before these logs, or in the log of another process" for sentence in said(life)
    )
    assert life.entries[-1].said["event"] == "job.dead"


def crash(lines: list[Said], job_id: str, **fields: Any) -> list[Said]:
    """The same log with a death just before the job's attempt failed."""
    at = index_of(lines, "turn.committed", turn=lines[index_of(lines, "job.failed", job_id=job_id)]["turn"])
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


@pytest.mark.parametrize("child", ["handler:n", "broker"])
@pytest.mark.parametrize(("ways", "is_told"), [(1, True), (2, True), (3, False)])
def test_a_death_after_its_last_move_is_told_of_a_job_that_has_not_ended(tmp_path, child, ways, is_told):
    story = Story()
    for move in [("queued", None, 0, 0), ("claimed", "queued", 1, 0), ("done", "running", 1, 1)][:ways]:
        story.move(*move)
    story.said("actor.crashed", child=child, child_incarnation=1, reason="MemoryError()")

    told = said(life_of(tmp_path, story.lines, "j"))

    assert (f"{child}/1 DIED: MemoryError()" in told) == is_told


def test_the_death_of_an_actor_that_had_nothing_to_do_with_it_is_not(tmp_path):
    job_id = a_job("bad")
    lines = crash(list(clean_run().lines), job_id, child="handler:good")

    assert not [sentence for sentence in said(life_of(tmp_path, lines, job_id)) if "DIED" in sentence]


def test_a_death_that_its_own_message_caused_is_told_whoever_died(tmp_path):
    job_id = a_job("bad")
    lines = crash(list(clean_run().lines), job_id, child="scheduler", message="Tell", message_corr=job_id)

    assert f"scheduler/1 DIED over Tell of {job_id}: MemoryError(); 3 messages waited" in said(
        life_of(tmp_path, lines, job_id)
    )


def test_stores_without_a_name_in_the_log_are_told_apart_by_their_ids(tmp_path):
    one, other = Story().done(), Story("b2", store="t").done()

    life = life_of(tmp_path, [*one.lines[1:], *other.lines[1:]], "j")

    assert [entry.says.partition(":")[0] for entry in life.entries if entry.begins] == ["in store s", "in store t"]
    named = life_of(tmp_path, [*one.lines, *other.lines], "j")
    assert [entry.says.partition(":")[0] for entry in named.entries if entry.begins] == [
        "in /srv/jobs.db (store s)",
        "in /srv/jobs.db (store t)",
    ]


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
    dead = Story("dead").move("queued", None, 0, 0)
    heir = Story("heir", 2, among=dead)
    heir.tell(dead, 2, dead.hop("claimed", "queued", 1, 0), at=1003.5).said(
        "runtime.recovered", dead_boot="dead", dead_pid=4, jobs=1, turn=2
    )
    heir.move("failed", "running", 1, 0, o="interrupted", b="dead")

    life = life_of(tmp_path, [*dead.lines, *heir.lines], "j")

    assert [entry.said["event"] for entry in life.entries] == [
        "job.queued",
        "job.claimed",
        "runtime.recovered",
        "job.failed",
    ]
    assert "perhaps not said by the dead; told by boot heir" in said(life)[1]
    assert (life.entries[1].at, life.entries[1].who.endswith(" · dead")) == (1003.5, True)
    assert life.gaps == 0


def test_the_death_of_a_process_that_has_only_queued_a_job_is_not_told_of_it(tmp_path):
    """It read as if that process had held the job, which nobody had ever claimed."""
    dead = Story("dead").move("queued", None, 0, 0)
    heir = Story("heir", 2, among=dead).said("runtime.recovered", dead_boot="dead", dead_pid=4, jobs=1, turn=1)

    life = life_of(tmp_path, [*dead.lines, *heir.lines], "j")

    assert [entry.said["event"] for entry in life.entries if entry.said] == ["job.queued"]


def test_an_id_that_is_used_again_after_retention_is_another_job_and_none_is_missing(tmp_path):
    story = Story().done()
    first = list(story.lines)
    story.revs.clear()
    story.turn({"k": "pruned", "x": 1}).done()

    life = life_of(tmp_path, story.lines, "j")

    assert life.gaps == 0
    assert [entry.said.get("event") for entry in life.entries] == [
        "job.queued",
        "job.claimed",
        "job.done",
        None,
        "job.queued",
        "job.claimed",
        "job.done",
    ]
    assert life.entries[3].says == "a new life: the job had been removed, and its id was free again"
    assert len(life_of(tmp_path, first, "j").entries) == 3


def test_one_id_in_two_stores_is_told_as_two_lives(tmp_path):
    lines = [line for line in clean_run().lines if "seq" in line]
    other = [
        {
            **line,
            "boot": "other",
            **({"store_id": "other"} if "store_id" in line else {}),
            **({"store": "/srv/other.db"} if line["event"] == "runtime.started" else {}),
        }
        for line in lines
    ]
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
    story = Story().move("queued", None, 0, 0, job_id).move("queued", None, 0, 0, f"{job_id}2")
    lines = story.said("job.parked", job_id=job_id, job_name="n").said("job.parked", job_id=f"{job_id}2").lines
    log.write_text("".join(json.dumps(sealed(line), ensure_ascii=ensure_ascii) + "\n" for line in lines))

    life = biography([str(log)], job_id)

    assert life is not None
    assert [entry.said["event"] for entry in life.entries if entry.said] == ["job.queued", "job.parked"]


def test_one_of_a_kind_is_told_in_the_singular(tmp_path):
    lines = [dict(line) for line in clean_run().lines]
    job_id = a_job("hopeless")
    lines[index_of(lines, "job.queued", job_id=job_id)]["bytes"] = 1
    dead = {
        "event": "runtime.recovered",
        "boot": lines[0]["boot"],
        "dead_boot": lines[0]["boot"],
        "jobs": 1,
        "turn": 1,
    }
    at = index_of(lines, "job.claimed", job_id=job_id)
    lines.insert(at, {**dead, "seq": lines[at]["seq"], "ts": lines[at]["ts"]})

    life = life_of(tmp_path, lines, job_id)

    assert ", 1 byte of data" in said(life)[0]
    assert "1 job that it held is taken back" in " ".join(said(life))
    assert life.title.endswith(", 1 claim, attempt 1")


def test_what_calls_itself_a_line_of_the_ledger_and_has_no_checksum_is_not_told(tmp_path):
    """A host has an event of this name too, with fields of these names: of a game of chess, say."""
    story = Story().done()
    move = {"k": "dead", "j": "j", "n": "n", "r": 4, "f": "done", "c": 1, "a": 1, "o": "failed"}
    own = {"event": "turn.committed", "ts": 1005.0, "boot": "chess", "seq": 1, "turn": 1, "store_id": "s"}
    log = write_log(tmp_path / "app.log", story.lines)
    with log.open("a") as file:
        file.write(json.dumps({**own, "moves": [move]}) + "\n")

    life = biography([str(log)], "j")

    assert life is not None and life.title.startswith("job j (n): done")
    assert not any("dead" in sentence for sentence in said(life))
