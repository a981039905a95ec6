"""What the story of a job tells of what it has waited for: other jobs, its group, its rate; and what it cannot tell."""

from __future__ import annotations

import threading
from itertools import count

import pytest
from lamplighter import JobSpec, Rate, Runtime
from lamplighter.cli.main import main
from lamplighter.history.trace import held_up
from lamplighter.history.trace.job import biography

from ..kit import WAIT_SECONDS_MAX, Said, logger_to, write_log

LEVELS = pytest.mark.parametrize("level", ["debug", "info"])


def turns(*turns: list[Said], start: float = 100.0, boot: str = "a") -> list[Said]:
    """The ledger of a boot that has one turn a second; `at` of a turn's first move says another instant."""
    lines, number = [], count(1)
    for turn, moves in enumerate(turns, start=1):
        at = moves[0].pop("at", start + turn)
        told = [{"n": "work", **move} for move in moves]
        line = {"event": "turn.committed", "store_id": "s", "boot_no": 1, "turn": turn, "at": at, "moves": told}
        lines.append({"boot": boot, **line, "ts": at, "seq": next(number)})
    return lines


def queued(job: str, **keys: object) -> Said:
    return {"k": "queued", "j": job, "r": 1, **keys}


def claimed(job: str, r: int = 2, **keys: object) -> Said:
    return {"k": "claimed", "j": job, "r": r, "f": "queued", "c": r // 2, **keys}


def done(job: str, r: int = 3, **keys: object) -> Said:
    return {"k": "done", "j": job, "r": r, "f": "running", "c": r // 2, "a": 1, **keys}


def dead(job: str, r: int = 3) -> Said:
    return {**done(job, r), "k": "dead"}


def freed(job: str, *parents: tuple[str, int], of: int | None = None, r: int = 2) -> Said:
    named = [list(parent) for parent in parents]
    return {"k": "freed", "j": job, "r": r, "f": "queued", "m": of or len(parents), "y": named}


def story(log, job: str) -> list[str]:
    life = biography([str(log)], job)
    assert life is not None
    return [entry.says for entry in life.entries]


def waited(tmp_path, lines: list[Said], job: str, begins: str) -> str:
    """What is said of a wait, behind what its line says, in whichever order the lines stand in the log."""
    logs = [write_log(tmp_path / "log", lines), write_log(tmp_path / "backwards", lines[::-1])]
    (says,), others = ([one for one in story(log, job) if one.startswith(begins)] for log in logs)
    assert others == [says]
    return says.partition("; ")[2]


FREED = "freed"


def test_a_job_has_waited_only_for_those_that_had_not_ended_when_it_was_queued(tmp_path):
    lines = turns(
        [queued("p1"), queued("p2"), queued("p3")],
        [claimed("p1"), claimed("p2"), claimed("p3")],
        [done("p1"), queued("child", m=3), done("p2")],
        [done("p3"), freed("child", ("p1", 3), ("p2", 3), ("p3", 3))],
    )

    says = waited(tmp_path, lines, "child", FREED)

    assert says == "it waited for 2 of 3 until 1970-01-01T00:01:44Z: p2, p3; p3 ended last (done)"


def test_a_wait_begins_when_a_transaction_of_the_host_has_queued_the_job(tmp_path):
    lines = turns(
        [queued("p"), claimed("p")],
        [done("p", at=110.0)],
        [queued("child", m=1, w=105.0, at=112.0), freed("child", ("p", 3))],
    )

    assert waited(tmp_path, lines, "child", FREED) == "it waited for 1 of 1 until 1970-01-01T00:01:52Z: p (done)"


def test_an_end_that_was_taken_back_is_not_the_one_that_counts(tmp_path):
    lines = turns(
        [queued("p"), claimed("p"), dead("p")],
        [queued("child", m=1, at=110.0), {"k": "requeued", "j": "p", "r": 4, "f": "dead"}],
        [claimed("p", 5, at=120.0), done("p", 6), freed("child", ("p", 6))],
    )

    says = waited(tmp_path, lines, "child", FREED)

    assert says == "it waited for 1 of 1 until 1970-01-01T00:02:00Z: p (done)"


def test_where_all_had_ended_before_that_is_said(tmp_path):
    lines = turns(
        [queued("p1"), claimed("p1"), done("p1"), queued("p2"), claimed("p2"), dead("p2")],
        [queued("child", m=2), freed("child", ("p1", 3), ("p2", 3))],
    )

    assert waited(tmp_path, lines, "child", FREED) == "all of them had ended before"


@pytest.mark.parametrize(("of", "others_are"), [(2, "another"), (4, "3 others")])
def test_what_another_log_may_tell_is_not_guessed(tmp_path, of, others_are):
    others = [(f"elsewhere{number}", 9) for number in range(of - 1)]
    lines = turns(
        [queued("p1"), queued("child", m=of)], [claimed("p1")], [done("p1"), freed("child", ("p1", 3), *others)]
    )

    assert waited(tmp_path, lines, "child", FREED) == (
        f"it waited for at least 1 of {of} until 1970-01-01T00:01:43Z: p1 (done); when "
        f"{others_are} ended these logs do not tell"
    )


def test_as_many_jobs_were_waited_for_as_the_move_says_though_it_names_fewer(tmp_path):
    lines = turns([queued("p1"), queued("child", m=3)], [claimed("p1")], [done("p1"), freed("child", ("p1", 3), of=3)])

    assert waited(tmp_path, lines, "child", FREED).startswith("it waited for at least 1 of 3 until")


def test_of_a_job_whose_birth_no_line_tells_no_wait_is_told(tmp_path):
    lines = turns([{"k": "doomed", "j": "child", "r": 2, "f": "queued", "m": 1, "y": [["p1", 3]]}])

    assert waited(tmp_path, lines, "child", "dead as job p1") == ""


def test_which_ended_last_is_said_of_those_that_are_told(tmp_path):
    lines = turns(
        [queued("p1"), queued("p2"), queued("child", m=3), claimed("p1"), claimed("p2")],
        [done("p2"), done("p1"), freed("child", ("p1", 3), ("p2", 3), ("elsewhere", 3))],
    )

    assert waited(tmp_path, lines, "child", FREED) == (
        "it waited for at least 2 of 3 until 1970-01-01T00:01:42Z: p2, p1; p1 ended last, of these (done); when "
        "another ended these logs do not tell"
    )


def test_where_no_end_is_told_none_is(tmp_path):
    lines = turns([queued("child", m=2)], [freed("child", ("p1", 3), ("p2", 3))])

    assert waited(tmp_path, lines, "child", FREED) == "when they ended these logs do not tell"


def test_more_jobs_than_are_looked_for_by_their_ids_are_found_too(tmp_path):
    ids = [f"p{number:02}" for number in range(held_up.SOUGHT_MAX + 1_140)]
    first, rest = [(one, 3) for one in ids[:100]], [(one, 3) for one in ids[100:]]
    linked = {"k": "linked", "j": "child", "y": [list(one) for one in first]}
    lines = turns(
        [*map(queued, ids), queued("child", m=len(ids))],
        [move for one in ids for move in (claimed(one), done(one))] + [linked, freed("child", *rest, of=len(ids))],
    )

    says = waited(tmp_path, lines, "child", FREED)

    assert says.startswith(
        "it waited for 1,150 of 1,150 until 1970-01-01T00:01:42Z: p00, p01, p02, p03, p04 and 1145 more;"
    )
    assert says.endswith("; p1149 ended last (done)")


def test_of_a_job_that_shares_a_fate_lines_at_debug_tell_the_others(tmp_path):
    lines = turns(
        [queued("p1"), claimed("p1"), queued("p2"), claimed("p2"), queued("child", m=2)],
        [dead("p1")],
        [done("p2"), {"k": "doomed", "j": "child", "r": 2, "f": "queued", "m": 2, "y": [["p1", 3]]}],
    )
    linked = {"event": "job.linked", "job_id": "child", "job_name": "work", "waits_for": ["p1", "p2"], "boot": "a"}

    at_info = waited(tmp_path, lines, "child", "dead")
    at_debug = waited(tmp_path, [*lines, {**linked, "ts": 101.0, "seq": 9}], "child", "dead")

    assert at_info == (
        "it waited for at least 1 of 2 until 1970-01-01T00:01:43Z: p1 (dead); when another ended these logs do not tell"
    )
    assert at_debug == "it waited for 2 of 2 until 1970-01-01T00:01:43Z: p1, p2; p2 ended last (done)"


def test_an_end_that_was_taken_back_is_not_taken_for_one_that_is_not_told(tmp_path):
    lines = turns(
        [queued("p1"), claimed("p1"), queued("p2"), claimed("p2"), queued("child", m=2)],
        [dead("p2"), {"k": "requeued", "j": "p2", "r": 4, "f": "dead"}],
        [dead("p1"), {"k": "doomed", "j": "child", "r": 2, "f": "queued", "m": 2, "y": [["p1", 3]]}],
    )
    linked = {"event": "job.linked", "job_id": "child", "job_name": "work", "waits_for": ["p1", "p2"], "boot": "a"}

    assert waited(tmp_path, [*lines, {**linked, "ts": 101.0, "seq": 9}], "child", "dead") == (
        "it waited for at least 1 of 2 until 1970-01-01T00:01:43Z: p1 (dead); when another ended these logs do not tell"
    )


@pytest.mark.parametrize("kind", ["freed", "doomed"])
@pytest.mark.parametrize("ends", [[], [[]], [["p1"]], [["p1", "x"]], [[3, 4]], [["p1", -1, "x"]]], ids=str)
def test_ends_that_are_none_break_neither_the_story_nor_the_audit(tmp_path, capsys, kind, ends):
    lines = turns(
        [queued("p1"), claimed("p1"), queued("child", m=1)],
        [done("p1")],
        [{"k": kind, "j": "child", "r": 2, "f": "queued", "m": 1, "y": ends}],
    )

    assert story(write_log(tmp_path / "log", lines), "child")[0] == "queued, waits for 1 job"
    main(["audit", str(tmp_path / "log")])
    said = capsys.readouterr().out
    assert "1 line looks like Lamplighter's and cannot be read" in said or "not well" in said


def test_a_job_that_waits_names_only_those_that_have_not_ended(tmp_path):
    lines = turns([queued("p1"), claimed("p1"), queued("p2"), queued("child", m=2)], [done("p1")])
    linked = {"event": "job.linked", "job_id": "child", "job_name": "work", "waits_for": ["p1", "p2"], "boot": "a"}
    log = write_log(tmp_path / "log", [*lines, {**linked, "ts": 101.0, "seq": 9}])

    assert story(log, "child")[-1] == "when these logs end, it waits for 1 of 2 jobs: p2"


IN_GROUP = {"g": "acme", "e": 2}


def full_group() -> list[Said]:
    """Two of a group run when a third comes; its place is free at 1:50, and it is claimed ten seconds later."""
    return turns(
        [queued(job, g="acme") for job in "ab"],
        [claimed("a", z=1, **IN_GROUP), claimed("b", z=2, **IN_GROUP)],
        [queued("c", g="acme"), queued("d")],
        [done("a", at=110.0)],
        [claimed("c", z=2, at=120.0, **IN_GROUP)],
    )


def test_a_claim_says_until_when_its_group_was_full_and_who_made_room(tmp_path):
    says = waited(tmp_path, full_group(), "c", "claim 1")

    assert says == "its group acme had 2 of 2 running until 1970-01-01T00:01:50Z, when a made room"


def test_a_group_is_not_said_to_be_full_by_what_is_not_told(tmp_path):
    lines = full_group()

    # The claim of the one that made room lies before this log: nobody can know that it was of this group.
    says = waited(tmp_path, lines[2:], "c", "claim 1")

    assert says == "that its group held it up these logs do not show"


def test_a_group_that_had_room_is_not_said_to_have_been_full(tmp_path):
    lines = turns(
        [queued(job, g="acme") for job in "ab"],
        [claimed("a", z=1, **IN_GROUP)],
        [done("a", at=110.0)],
        [claimed("b", z=1, at=120.0, **IN_GROUP)],
    )

    assert waited(tmp_path, lines, "b", "claim 1") == "that its group held it up these logs do not show"


def test_a_group_that_was_full_before_a_job_was_due_has_not_held_it_up(tmp_path):
    lines = full_group()
    lines[2]["moves"][0] |= {"u": 119.95}

    assert waited(tmp_path, lines, "c", "claim 1") == ""


def test_a_freed_job_that_was_delayed_is_held_up_only_from_its_due_time_on(tmp_path):
    lines = turns(
        [queued(job, g="acme") for job in "ab"] + [queued("p"), claimed("p"), done("p")],
        [claimed("a", z=1, **IN_GROUP), claimed("b", z=2, **IN_GROUP)],
        [queued("c", g="acme", m=1, u=119.95), freed("c", ("p", 3))],
        [done("a", at=110.0)],
        [claimed("c", r=3, z=2, at=120.0, **IN_GROUP)],
    )

    assert waited(tmp_path, lines, "c", "claim 1") == ""


def test_a_job_is_held_up_from_when_the_transaction_of_its_host_has_queued_it(tmp_path):
    lines = turns(
        [queued(job, g="acme") for job in "ab"],
        [claimed("a", z=1, **IN_GROUP), claimed("b", z=2, **IN_GROUP)],
        [done("a", at=110.0)],
        [queued("c", g="acme", w=105.0, at=118.0)],
        [claimed("c", z=2, at=120.0, **IN_GROUP)],
    )

    says = waited(tmp_path, lines, "c", "claim 1")

    assert says == "its group acme had 2 of 2 running until 1970-01-01T00:01:50Z, when a made room"


RATE = {"rate": "1/10s"}


def test_a_claim_says_until_when_its_rate_had_no_room(tmp_path):
    lines = turns([queued("a"), queued("b")], [claimed("a", **RATE)], [claimed("b", at=112.2, **RATE)])

    says = waited(tmp_path, lines, "b", "claim 1")

    # A rate lets jobs come a little more slowly than it says, so that one that is late makes none behind it late.
    assert says == "work may start 1/10s, and could start no more until 1970-01-01T00:01:52Z"


def test_a_rate_that_had_room_by_what_is_told_is_not_blamed(tmp_path):
    rate = "2/10s burst 2"
    lines = turns([queued("a"), queued("b")], [claimed("a", rate=rate)], [claimed("b", at=112.2, rate=rate)])

    assert waited(tmp_path, lines, "b", "claim 1") == "that its rate held it up these logs do not show"


def test_a_claim_after_an_end_whose_requeue_is_not_told_has_waited_for_nothing(tmp_path):
    lines = turns([queued("a")], [claimed("a", **RATE)], [done("a")], [claimed("a", 5, at=130.0, **RATE)])

    assert waited(tmp_path, lines, "a", "claim 2") == ""


def test_processes_that_disagree_about_a_rate_leave_it_open(tmp_path):
    lines = turns([queued("a"), queued("b")], [claimed("a", rate="1/20s")], [claimed("b", at=112.2, **RATE)])

    assert waited(tmp_path, lines, "b", "claim 1") == "that its rate held it up these logs do not show"


@LEVELS
def test_a_run_tells_whom_a_job_waited_for_and_what_held_it_up(tmp_path, monkeypatch, level):
    monkeypatch.setattr(held_up, "WAITED_SECONDS_MIN", 0.0)
    inside, release = threading.Event(), threading.Event()

    def hold(job):
        if job.id == "first":
            inside.set()
            assert release.wait(WAIT_SECONDS_MAX)

    runtime = Runtime(tmp_path / "jobs.db", logger=logger_to(tmp_path / "log", level))
    runtime.jobs.add_handler("sync", hold, concurrency=4, concurrency_per_group=1)
    runtime.jobs.add_handler("call", lambda job: None, rate=Rate(10, per=1))
    with runtime:
        first = JobSpec(name="sync", id="first", group="acme")
        runtime.jobs.queue_many([first, JobSpec(name="sync", id="after", after=first, group="other")])
        assert inside.wait(WAIT_SECONDS_MAX)
        second = runtime.jobs.queue("sync", id="second", group="acme")
        release.set()
        calls = runtime.jobs.queue_many([JobSpec(name="call", id=f"call{number}") for number in range(2)])
        for job in (second, "after", *calls):
            runtime.jobs.join(job, WAIT_SECONDS_MAX)

    def says(job: str, begins: str) -> str:
        return next(one for one in story(tmp_path / "log", job) if one.startswith(begins))

    assert ": first (done)" in says("after", "freed")
    assert "its group acme had 1 of 1 running until" in says("second", "claim 1")
    assert says("second", "claim 1").endswith("when first made room")
    assert "; call may start 10/1s, and could start no more until" in says("call1", "claim 1")
