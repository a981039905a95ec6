"""The audit: silent about what is well, and about nothing else."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lamplighter.history.audit.audit import Audit
from lamplighter.history.log_files.lines import line_of, parse
from lamplighter.rules.lifecycle import MOVES

from ..kit import Said, audited, changed, clean_run, index_of, kinds, without

STATES = ("queued", "running", "done", "dead", "cancelled")


def transitions(lines: tuple[Said, ...]) -> list[int]:
    return [index for index, line in enumerate(lines) if "rev" in line]


def copy_of(store: Path, folder: Path) -> Path:
    """A store that a test may spoil."""
    connection = sqlite3.connect(store)
    connection.execute("vacuum into ?", (str(folder / "copy.db"),))
    connection.close()
    return folder / "copy.db"


def spoil(store: Path, statement: str, *values: Any) -> None:
    connection = sqlite3.connect(store)
    with connection:
        assert connection.execute(statement, values).rowcount >= 1
    connection.close()


@pytest.mark.parametrize("level", ["debug", "info"])
@pytest.mark.parametrize("with_store", [True, False])
def test_nothing_is_found_in_a_clean_run(level, with_store):
    run = clean_run(level)

    report = audited(run.lines, run.store if with_store else None)

    assert report.ok, report.findings
    assert report.jobs >= 10
    assert report.boots == 1
    assert report.summary.startswith("all is well")


def test_a_log_at_info_says_how_much_it_cannot_know_without_the_store():
    run = clean_run("info")

    assert "may belong to jobs that had not ended" in audited(run.lines).notes[0]
    assert audited(run.lines, run.store).notes == ()


def test_a_log_that_begins_in_the_middle_of_everything_is_well():
    run = clean_run()

    for begin in range(0, len(run.lines), 7):
        report = audited(run.lines[begin:], run.store)
        assert report.ok, (begin, report.findings)


def test_a_log_that_ends_in_the_middle_is_well_as_far_as_it_goes():
    run = clean_run()

    for end in range(1, len(run.lines), 7):
        report = audited(run.lines[:end])
        assert report.ok, (end, report.findings)


def test_each_deleted_line_is_missed_and_causes_at_most_one_finding_more():
    run = clean_run()

    for index in range(1, len(run.lines) - 1):
        if "seq" not in run.lines[index]:
            continue
        report = audited(without(run.lines, index))
        gap = [finding for finding in report.findings if finding.kind in ("missing revisions", "missing lines")]
        assert len(gap) == 1, (run.lines[index], report.findings)
        assert len(report.findings) <= 2, (run.lines[index], report.findings)


def test_a_gap_names_its_revision_and_shows_the_lines_beside_it():
    run = clean_run()
    index = index_of(run.lines, "job.claimed")
    rev = run.lines[index]["rev"]

    (finding,) = audited(without(run.lines, index)).findings

    assert f"revision {rev} is told by no line of its own, only summed up" in finding.says
    assert f'"rev":{rev - 1},' in finding.lines[0]
    assert f'"rev":{rev + 1},' in finding.lines[1]


def test_at_info_the_store_disagrees_with_any_other_job_that_a_last_line_names():
    run = clean_run("info")
    last = {line["job_id"]: index for index, line in enumerate(run.lines) if "rev" in line}

    for index in last.values():
        report = audited(changed(run.lines, index, job_id="somebody-else"), run.store)
        assert "disagreement with the store" in kinds(report), run.lines[index]


@settings(max_examples=300)
@given(data=st.data())
def test_each_flipped_field_of_a_transition_is_found(data):
    run = clean_run()
    index = data.draw(st.sampled_from(transitions(run.lines)), label="line")
    line = run.lines[index]
    fields = [key for key in ("from", "to", "rev", "claim_no", "attempt", "job_id", "revs", "slot") if key in line]
    field = data.draw(st.sampled_from(fields), label="field")
    value = line[field]
    match field:
        case "from" | "to":
            flipped = data.draw(st.sampled_from([state for state in STATES if state != value]))
        case "rev" | "claim_no" | "attempt":
            flipped = data.draw(st.integers(-2, 1000).filter(lambda number: number != value))
        case "job_id":
            others = sorted({one["job_id"] for one in run.lines if "rev" in one} - {value})
            flipped = data.draw(st.sampled_from([*others, "somebody-else"]))
        case "revs":
            place = data.draw(st.integers(0, len(value) - 1))
            number = data.draw(st.integers(0, 200).filter(lambda one: one != value[place]))
            flipped = [*value[:place], number, *value[place + 1 :]]
        case _:
            flipped = value + data.draw(st.sampled_from([-3600.0, -1.0, -0.5, 0.5, 1.0, 3600.0]))

    report = audited(changed(run.lines, index, **{field: flipped}), run.store)

    assert report.findings


@settings(max_examples=100)
@given(data=st.data())
def test_each_flipped_slot_is_found(data):
    run = clean_run()
    slots = [index for index, line in enumerate(run.lines) if line["event"].startswith("slot.") and "seq" in line]
    index = data.draw(st.sampled_from(slots))
    flipped = run.lines[index]["slot"] + data.draw(st.sampled_from([-3600.0, -1.0, -0.5, 0.5, 1.0, 3600.0]))

    assert audited(changed(run.lines, index, slot=flipped)).findings


def test_a_revision_that_another_line_tells_again_is_found():
    run = clean_run()
    seq = max(line.get("seq", 0) for line in run.lines)

    for index in transitions(run.lines):
        for other in ({"seq": seq + 1}, {"boot": "another"}):
            again = changed(run.lines, index, **other)[index]
            found = kinds(audited([*run.lines[: index + 1], again, *run.lines[index + 1 :]]))
            assert "revision twice" in found


@pytest.mark.parametrize("level", ["debug", "info"])
def test_a_host_that_writes_its_events_into_the_same_log_again_is_well(level):
    run = clean_run(level)

    report = audited([line for line in run.lines for _ in range(2)], run.store)

    assert report.ok, report.findings
    assert report.notes == (
        f"{len([line for line in run.lines if 'seq' in line])} lines stand in the log more than once",
    )
    assert (report.crashes, report.jobs) == (audited(run.lines).crashes, audited(run.lines).jobs)


def test_each_illegal_move_is_found():
    run = clean_run()

    for index in transitions(run.lines):
        legal, _ = MOVES[run.lines[index]["event"]]
        for state in set(STATES) - legal:
            assert "illegal transition" in kinds(audited(changed(run.lines, index, **{"from": state})))


@settings(max_examples=150)
@given(data=st.data())
def test_whatever_is_spoiled_the_audit_says_what_it_can(data):
    lines = list(clean_run().lines)
    junk = st.sampled_from([None, 0, -5, 10**6, "x", [], 1.5, True, [1], [[1]], [["a", "b", "c"]], [[1, "job.done"]]])
    for _ in range(data.draw(st.integers(1, 6))):
        index = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["cut", "copy", "swap", "spoil", "tell"])):
            case "cut":
                del lines[index : index + data.draw(st.integers(1, 20))]
            case "copy":
                lines.insert(data.draw(st.integers(0, len(lines))), lines[index])
            case "swap":
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[index], lines[other] = lines[other], lines[index]
            case "tell":
                lines[index] = {**lines[index], "event": "turn.recovered", "told": data.draw(junk)}
            case _:
                field = data.draw(st.sampled_from(sorted(lines[index])))
                lines[index] = {**lines[index], field: data.draw(junk)}
        if not lines:
            return
    audit = Audit()

    for line in lines:
        parsed = parse(json.dumps(line).encode())
        if parsed is not None:
            audit.feed(parsed)

    assert audit.finish().summary


class Story:
    """Lines as a runtime would write them, told by hand."""

    def __init__(self, boot: str = "b1", rev: int = 0) -> None:
        self.boot, self.lines, self.rev, self.seq = boot, [], rev, 0
        self.said("runtime.started", store="/srv/jobs.db", host="one", pid=1)
        self.said("actor.started", child="broker", child_incarnation=1)

    def said(self, event: str, **fields: Any) -> Story:
        self.seq += 1
        self.lines.append({"event": event, "ts": 1000.0 + self.seq, "boot": self.boot, "seq": self.seq, **fields})
        return self

    def move(self, event: str, before: str | None, claim_no: int, attempt: int, job: str = "j", **fields: Any) -> Story:
        self.rev += 1
        if event not in ("job.queued", "job.claimed", "job.released"):
            fields = {"revs": self._sum(job), "times": [], "outcome": "succeeded", **fields}
        line = {"job_id": job, "claim_no": claim_no, "attempt": attempt, "to": MOVES[event][1].value, "rev": self.rev}
        return self.said(event, **line, **({} if before is None else {"from": before}), **fields)

    def _sum(self, job: str) -> list[int]:
        revs: list[int] = [self.rev]
        for line in reversed(self.lines):
            if line.get("job_id") == job and "rev" in line:
                if "revs" in line:
                    break
                revs.insert(0, line["rev"])
        return revs

    def done(self, job: str = "j") -> Story:
        """The short life of a job."""
        self.move("job.queued", None, 0, 0, job).move("job.claimed", "queued", 1, 0, job)
        return self.move("job.done", "running", 1, 1, job)


def test_a_plain_story_is_well():
    assert audited(Story().done().lines).ok


def test_a_job_that_finishes_twice_is_found():
    story = Story().done().move("job.done", "running", 1, 2)

    assert "finished twice" in kinds(audited(story.lines))


def test_a_job_that_is_requeued_after_its_end_may_end_again():
    story = Story().done().move("job.requeued", "done", 1, 0).move("job.claimed", "queued", 2, 0)
    story.move("job.done", "running", 2, 1)

    assert audited(story.lines).ok


def test_an_ending_by_an_older_claim_is_found():
    story = Story().move("job.queued", None, 0, 0).move("job.claimed", "queued", 1, 0)
    story.move("job.retried", "running", 1, 0, outcome="interrupted").move("job.claimed", "queued", 2, 0)
    story.move("job.done", "running", 1, 1)

    assert kinds(audited(story.lines)) == ["fence going back"]


def test_a_claim_that_does_not_raise_the_fence_is_found():
    story = Story().move("job.queued", None, 0, 0).move("job.claimed", "queued", 1, 0)
    story.move("job.released", "running", 1, 0).move("job.claimed", "queued", 1, 0)

    assert kinds(audited(story.lines)) == ["fence going back"]


def test_a_refused_ending_by_a_claim_that_the_store_never_gave_is_found():
    story = Story().done().said("job.fenced", job_id="j", claim_no=3, attempt=1, claim_no_now=1, state="done")

    assert kinds(audited(story.lines)) == ["fence going back"]


def test_a_job_that_a_stopped_boot_has_kept_is_lost():
    story = Story().move("job.queued", None, 0, 0).move("job.claimed", "queued", 1, 0)
    story.said("runtime.stopped", interrupted=0)

    (finding,) = audited(story.lines).findings

    assert finding.kind == "lost"
    assert "job j was running on boot b1, which has stopped" in finding.says


def test_a_job_of_a_dead_boot_is_lost_only_once_others_buried_it_and_kept_the_job():
    story = Story().move("job.queued", None, 0, 0).move("job.claimed", "queued", 1, 0)
    heir = Story("b2", rev=2).said("runtime.recovered", dead_boot="b1", dead_pid=1, jobs=0, told=[])

    assert audited(story.lines).ok
    assert kinds(audited([*story.lines, *heir.lines])) == ["lost"]

    heir.move("job.retried", "running", 1, 0, outcome="interrupted", revs=[1, 2, 3])
    assert audited([*story.lines, *heir.lines]).ok


def test_what_a_recovery_tells_counts_as_told():
    story = Story().move("job.queued", None, 0, 0).move("job.claimed", "queued", 1, 0)
    told = [[1, "job.queued", "j"], [2, "job.claimed", "j"], [3, "job.done", "j"]]
    heir = Story("b2", rev=3).said("runtime.recovered", dead_boot="b1", dead_pid=1, jobs=0, told=told)
    heir.done("k")

    report = audited([*story.lines, *heir.lines])

    assert report.ok, report.findings
    assert report.transitions == 6


def test_a_living_boots_broker_may_tell_what_its_predecessor_had_not_said():
    story = Story().move("job.queued", None, 0, 0)
    story.rev = 2
    story.said("turn.recovered", told=[[1, "job.queued", "j"], [2, "job.claimed", "j"]])
    story.move("job.done", "running", 1, 1, revs=[1, 2, 3])

    assert audited(story.lines).ok


def test_a_recovery_that_tells_another_step_by_a_revision_that_was_told_is_found():
    story = Story().done().said("turn.recovered", told=[[3, "job.dead", "j"]])

    assert kinds(audited(story.lines)) == ["revision twice"]


def test_lines_that_the_log_itself_has_given_up_are_excused_up_to_their_number():
    story = Story().done()
    story.said("log.dropped", count=1, reason="OSError: no space left").done("k")
    dropped = index_of(story.lines, "job.claimed", job_id="j")

    once = audited(without(story.lines, dropped))
    twice = audited(without(story.lines, dropped, index_of(story.lines, "job.claimed", job_id="k")))

    assert [finding.excused for finding in once.findings] == [True]
    assert not once.ok
    assert not once.unexcused
    assert "the log itself says that lines were lost" in once.summary
    assert len(twice.unexcused) == 1


def test_two_jobs_of_one_slot_are_found():
    story = Story().said("schedule.added", schedule="s", job_name="n", when="@every 10s", timezone="UTC", durable=False)
    story.move("job.queued", None, 0, 0, "s-1010", schedule="s", slot=1010.0)
    story.move("job.queued", None, 0, 0, "other", schedule="s", slot=1010.0)

    assert kinds(audited(story.lines)) == ["fired twice"]


def test_two_jobs_of_one_slot_are_found_though_five_hundred_slots_lie_between():
    story = added()
    for number in range(500):
        slot = 1010.0 + 10 * number
        story.move("job.queued", None, 0, 0, f"s-{slot:.0f}", schedule="s", slot=slot)
    story.move("job.queued", None, 0, 0, "other", schedule="s", slot=1010.0)

    assert kinds(audited(story.lines)) == ["fired twice"]


def added(when: str = "@every 10s", timezone: str = "UTC") -> Story:
    return Story().said("schedule.added", schedule="s", job_name="n", when=when, timezone=timezone, durable=False)


def fired(story: Story, slot: float) -> Story:
    job = f"s-{slot:.0f}"
    story.move("job.queued", None, 0, 0, job, schedule="s", slot=slot)
    return story.said("slot.fired", schedule="s", slot=slot, job_id=job, job_name="n", outcome="fired", late=0.1)


def test_a_slot_that_passed_unmentioned_is_found():
    story = fired(fired(added(), 1010.0), 1030.0)

    (finding,) = audited(story.lines).findings

    assert finding.kind == "slot without an account"
    assert "slot 1020.0 of schedule s neither fired nor was skipped" in finding.says


def test_a_slot_is_accounted_for_though_another_ended_its_job_before_it_was_said():
    story = fired(fired(fired(added(), 1010.0), 1020.0), 1030.0)
    other = Story("b2", 3).move("job.claimed", "queued", 1, 0, "s-1020")
    other.move("job.done", "running", 1, 1, "s-1020", revs=[2, 4, 5], schedule="s", slot=1020.0)
    other.said("runtime.stopped", interrupted=0)
    fired_late = index_of(story.lines, "job.queued", job_id="s-1020")

    report = audited([*story.lines[:fired_late], *other.lines, *story.lines[fired_late:]])

    assert report.ok, report.findings
    assert report.slots == 3


def test_a_range_of_skipped_slots_accounts_for_all_of_them():
    story = fired(added(), 1010.0)
    story.said("slot.skipped", schedule="s", slot=1020.0, last=1090.0, count=8, job_name="n", reason="paused")
    fired(story, 1100.0)

    assert audited(story.lines).ok
    wrong = changed(story.lines, index_of(story.lines, "slot.skipped"), count=7)
    assert kinds(audited(wrong)) == ["slot without an account"]


def test_a_schedule_that_was_removed_has_no_slots_until_it_is_added_again():
    story = fired(added(), 1010.0).said("schedule.removed", schedule="s", job_name="n")
    story.seq = 500
    story.said("schedule.added", schedule="s", job_name="n", when="@every 10s", timezone="UTC", durable=False)
    fired(story, 1510.0)

    assert [kind for kind in kinds(audited(story.lines)) if kind != "missing lines"] == []


def declared(when: str, change_no: int) -> Story:
    line = {"schedule": "s", "job_name": "n", "timezone": "UTC", "durable": False}
    return Story().said("schedule.added", when=when, change_no=change_no, **line)


def recovered(story: Story, when: str, change_no: int, at: float) -> Story:
    change = [None, "schedule.changed", "s", change_no, at, when, "UTC", "run_after", "first"]
    return story.said("turn.recovered", told=[change], ts=at + 1.0)


def test_a_slot_may_have_fired_by_a_rule_that_only_a_recovery_tells_of():
    # Others fire by what is stored, while the broker that has stored it, and has said nothing, starts again.
    story = fired(fired(declared("@every 30s", 1), 1020.0), 1025.0)
    untold = audited(story.lines).findings
    recovered(story, "@every 25s", 2, at=1021.0)

    assert "1025.0 is no slot of '@every 30s'" in untold[0].says
    assert audited(fired(story, 1050.0).lines).ok


@pytest.mark.parametrize(
    ("slots", "at", "says"),
    [
        # By the new rule, before it was stored.
        ([1020.0, 1025.0], 1030.0, "1025.0 is no slot of '@every 30s'"),
        # By neither.
        ([1020.0, 1026.0], 1021.0, "1026.0 is no slot of '@every 30s'"),
        # Due by both, and after the change.
        ([1020.0, 1175.0], 1021.0, "slot 1050.0 of schedule s neither fired"),
        # Due by the old rule, which others went by when the new one came.
        ([1020.0, 1080.0, 1100.0], 1090.0, "slot 1050.0 of schedule s neither fired"),
    ],
)
def test_a_rule_that_only_a_recovery_tells_of_explains_no_more_than_it_can(slots, at, says):
    story = declared("@every 30s", 1)
    for slot in slots:
        fired(story, slot)
    recovered(story, "@every 25s", 2, at=at)

    assert says in "; ".join(finding.says for finding in audited(story.lines).findings)


def test_a_slot_due_at_a_change_is_not_missed_though_only_a_recovery_tells_of_it():
    story = fired(declared("@every 12s", 1), 1008.0)
    recovered(story, "@every 12s", 2, at=1022.0)
    behind = fired(fired(declared("@every 12s", 1), 1008.0), 1032.0)

    assert audited(fired(story, 1032.0).lines).ok
    assert audited(recovered(behind, "@every 12s", 2, at=1022.0).lines).ok
    assert "slot 1020.0 of schedule s neither" in audited(behind.lines[:-1]).findings[0].says


def test_from_a_recovery_that_tells_of_it_on_the_new_rule_counts():
    story = recovered(fired(declared("@every 30s", 1), 1020.0), "@every 25s", 2, at=1021.0)

    (finding,) = audited(fired(fired(story, 1025.0), 1075.0).lines).findings

    assert "slot 1050.0 of schedule s neither fired" in finding.says


@pytest.mark.parametrize("change_no", [1, 2])
def test_a_change_that_a_recovery_tells_again_or_after_a_later_one_is_no_news(change_no):
    story = declared("@every 30s", 1)
    story.said("schedule.changed", schedule="s", job_name="n", when="@every 25s", timezone="UTC", change_no=3)
    recovered(story, "@every 30s", change_no, at=1002.0)

    assert audited(fired(fired(story, 1025.0), 1050.0).lines).ok
    assert not audited(fired(story, 1080.0).lines).ok


def test_what_needs_an_unknown_policy_for_a_missing_or_double_hour_is_left_alone():
    spring = 1774747800.0  # 2026-03-29T01:30:00Z, when 02:30 does not exist in Berlin
    story = Story()
    story.lines = [{**line, "ts": spring - 90000.0 + line["seq"]} for line in story.lines]
    line = {"schedule": "s", "job_name": "n", "when": "30 2 * * *", "timezone": "Europe/Berlin", "durable": False}
    story.said("schedule.added", **line)
    story.lines[-1]["ts"] = spring - 86400.0 + 1.0
    fired(story, 1774747800.0 + 86400.0 - 3600.0)

    assert audited(story.lines).ok


def test_several_stores_in_one_log_are_told_apart():
    one, other = Story().done(), Story("b2").done("k")
    other.lines[0]["store"] = "/srv/other.db"

    report = audited([line for pair in zip(one.lines, other.lines, strict=True) for line in pair])

    assert report.ok, report.findings
    assert report.jobs == 2


def in_turns(one: Story, other: Story) -> list[Said]:
    return [line for pair in zip(one.lines, other.lines, strict=True) for line in pair]


def test_the_same_path_on_two_hosts_is_two_stores_if_their_revisions_collide():
    one, other = Story().done().done("j2"), Story("b2").done("k").done("k2")
    other.lines[0]["host"] = "two"

    report = audited(in_turns(one, other))

    assert report.ok, report.findings
    assert report.jobs == 4


def test_a_path_seen_from_two_containers_is_one_store_if_their_revisions_follow():
    one, other = Story().done(), Story("b2", rev=3).done("k")
    other.lines[0]["host"] = "another-container"
    heir = Story("b3", rev=6).said("runtime.recovered", dead_boot="b1", dead_pid=1, jobs=0, told=[]).done("l")
    heir.lines[0]["host"] = "a-third-container"

    report = audited([*one.lines, *other.lines, *heir.lines])

    assert report.ok, report.findings
    missing = audited([*one.lines, *without(other.lines, index_of(other.lines, "job.claimed")), *heir.lines])
    assert kinds(missing) == ["missing revisions"]


def test_memory_follows_the_open_jobs_and_not_the_log(monkeypatch):
    monkeypatch.setattr("lamplighter.history.audit.job_replay.ENDED_KEPT_MAX", 10)
    story = Story()
    for number in range(200):
        story.done(f"j{number}")
    story.move("job.requeued", "done", 1, 0, "j0").move("job.claimed", "queued", 2, 0, "j0")
    story.move("job.done", "running", 2, 1, "j0")
    audit = Audit()
    for line in story.lines:
        audit.feed(line)

    report = audit.finish()

    assert report.ok, report.findings
    (fold,) = audit._homes.folds.values()
    assert len(fold.jobs.ended) == 10
    assert (fold.jobs.seen.pieces, len(fold.jobs.open), len(fold.jobs.only_summed)) == (1, 0, 0)


def test_an_unknown_event_of_a_newer_version_is_passed_over():
    story = Story().done().said("job.levitated", job_id="j", rev=99)
    story.lines.pop()

    assert audited([*story.lines, {"event": "job.levitated", "boot": "b1", "seq": 6, "ts": 1.0}]).ok


def test_an_event_given_as_a_dict_may_carry_anything():
    line = line_of({"event": "job.done", "boot": "b", "seq": 1, "reason": None, "odd": object(), "from": "running"})

    assert line.before == "running"
    assert "job.done" in line.text


def test_claim_and_attempt_of_a_life_that_one_line_sums_up_are_known_by_its_length():
    lines = clean_run("info").lines
    for index in transitions(lines):
        line = lines[index]
        if line["event"] != "job.done" or len(line["revs"]) != 3:
            continue
        for field in ("claim_no", "attempt"):
            assert "illegal transition" in kinds(audited(changed(lines, index, **{field: line[field] + 1})))


def test_the_state_that_a_whole_life_came_from_is_known_by_its_length():
    lines = clean_run("info").lines
    for index in transitions(lines):
        line = lines[index]
        if line["event"] == "job.done" and line["from"] == "running" and len(line["revs"]) == 3:
            assert kinds(audited(changed(lines, index, **{"from": "queued"})))[0] == "illegal transition"


def test_the_slot_of_a_job_is_that_of_its_id_also_where_only_its_end_is_told():
    lines = clean_run("info").lines
    index = next(index for index in transitions(lines) if "slot" in lines[index])

    for flip in ({"slot": lines[index]["slot"] + 1.0}, {"schedule": "another"}):
        assert kinds(audited(changed(lines, index, **flip))) == ["slot without an account"]


def hushed() -> Story:
    """What a runtime tells at warning of a job that failed once, was done, requeued, and failed again."""
    story = Story()
    story.move("job.queued", None, 0, 0).move("job.claimed", "queued", 1, 0)
    story.move("job.retried", "running", 1, 1, outcome="failed").move("job.claimed", "queued", 2, 1)
    story.move("job.done", "running", 2, 2).move("job.requeued", "done", 2, 0).move("job.claimed", "queued", 3, 0)
    story.move("job.retried", "running", 3, 1, outcome="failed").move("job.claimed", "queued", 4, 1)
    story.move("job.done", "running", 4, 2)
    story.lines = [line for line in story.lines if line["event"] == "job.retried"]
    return story


def test_a_log_at_warning_does_not_tell_endings_and_misses_none(tmp_path):
    store = copy_of(clean_run().store, tmp_path)
    spoil(store, "delete from lamplighter_jobs")
    spoil(store, "update lamplighter_store set rev = 10")

    for report in (audited(hushed().lines), audited(hushed().lines, store)):
        assert report.ok, report.findings
        assert len([note for note in report.notes if note.startswith("this log is at warning")]) == 1


def test_a_log_at_info_that_lost_its_end_is_not_taken_for_one_at_warning(tmp_path):
    store = copy_of(clean_run().store, tmp_path)
    spoil(store, "delete from lamplighter_jobs")
    story = hushed()
    started = Story().lines[0]

    assert "lost" in kinds(audited([started, *story.lines], store))


def test_an_unfinished_job_that_the_store_does_not_know_is_lost(tmp_path):
    run = clean_run()
    store = copy_of(run.store, tmp_path)
    spoil(store, "delete from lamplighter_jobs where state = 'queued'")

    assert kinds(audited(run.lines, store)) == ["lost"]


@pytest.mark.parametrize(
    "change", ["claim_no = claim_no + 1", "attempt = attempt + 1", "rev = 1", "state = 'cancelled'"]
)
def test_a_job_that_differs_in_the_store_is_found(tmp_path, change):
    run = clean_run()
    store = copy_of(run.store, tmp_path)
    spoil(store, f"update lamplighter_jobs set {change} where state = 'dead' and name = 'bad'")

    assert kinds(audited(run.lines, store)) == ["disagreement with the store"]


def test_a_job_that_ended_long_ago_and_was_requeued_is_counted_once_in_the_store(monkeypatch):
    run = clean_run()
    monkeypatch.setattr("lamplighter.history.audit.job_replay.ENDED_KEPT_MAX", 3)

    report = audited(run.lines, run.store)

    assert report.ok, report.findings
    assert report.jobs == len([line for line in run.lines if line["event"] == "job.queued"])


def test_a_job_that_ended_before_the_log_is_not_lost_for_a_recoverys_older_step(tmp_path):
    store = copy_of(clean_run().store, tmp_path)
    spoil(store, "delete from lamplighter_jobs")
    spoil(store, "update lamplighter_store set rev = 13")
    story = Story("b2", rev=10)
    story.said("runtime.recovered", dead_boot="b1", dead_pid=1, jobs=0, told=[[8, "job.retried", "x", [6, 7, 8]]])
    story.done()
    info = [line for line in story.lines if line["event"] not in ("job.queued", "job.claimed", "actor.started")]

    assert audited(info, store).ok


def test_ended_jobs_that_retention_did_not_remove_are_missed(tmp_path):
    run = clean_run()
    store = copy_of(run.store, tmp_path)
    spoil(store, "delete from lamplighter_jobs where state = 'done'")
    rows = len([line for line in run.lines if line.get("to") == "done"])
    last = run.lines[-1]
    pruned = {"event": "retention.pruned", "boot": last["boot"], "seq": last["seq"] + 1, "ts": last["ts"], "rows": rows}

    assert kinds(audited(run.lines, store)) == ["disagreement with the store"]
    assert audited([*run.lines, pruned], store).ok


def test_a_store_that_is_behind_its_log_has_lost_what_it_had_committed(tmp_path):
    run = clean_run()
    store = copy_of(run.store, tmp_path)
    spoil(store, "update lamplighter_store set rev = rev - 1")

    assert "disagreement with the store" in kinds(audited(run.lines, store))


def test_a_revision_far_beyond_all_others_costs_no_time():
    run = clean_run()

    report = audited(changed(run.lines, index_of(run.lines, "job.claimed"), rev=10**15), run.store)

    assert "missing revisions" in kinds(report)


def test_a_store_that_is_ahead_of_its_log_shows_that_lines_are_missing():
    run = clean_run()
    stop = max(transitions(run.lines))

    report = audited(run.lines[:stop], run.store)

    assert kinds(report) == ["missing revisions"]
    assert "the store has come so far" in report.findings[0].says
