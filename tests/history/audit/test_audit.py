"""The audit: silent about what is well, and about nothing else."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lamplighter.cli.main import main
from lamplighter.history.audit.audit import Audit
from lamplighter.history.log_files.lines import line_of, parse
from lamplighter.history.replay import slots as slot_replay
from lamplighter.rules.lifecycle import MOVES

from ..kit import Said, Story, audited, changed, clean_run, index_of, kinds, sealed, without, write_log

STATES = ("queued", "running", "done", "dead", "cancelled")
LEVELS = pytest.mark.parametrize("level", ["debug", "info"])


def turns(lines: tuple[Said, ...]) -> list[int]:
    """Where the lines of the ledger stand."""
    return [index for index, line in enumerate(lines) if line["event"] == "turn.committed"]


def edited(lines: tuple[Said, ...], index: int, place: int, **keys: Any) -> list[Said]:
    """All lines, one move of one turn with other keys; None removes one."""
    moves = list(lines[index]["moves"])
    moves[place] = {key: value for key, value in {**moves[place], **keys}.items() if value is not None}
    return changed(lines, index, moves=moves)


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


@LEVELS
@pytest.mark.parametrize("with_store", [True, False])
def test_nothing_is_found_in_a_clean_run(level, with_store):
    run = clean_run(level)

    report = audited(run.lines, run.store if with_store else None)

    assert report.ok, report.findings
    unlooked = "" if with_store else f"1 unfinished job is in a store that was not compared: {run.lines[0]['store_id']}"
    assert report.notes == ((unlooked,) if unlooked else ())
    assert report.jobs >= 10
    assert (report.boots, report.unfinished) == (1, 1)
    assert report.summary.startswith("all is well")
    assert report.summary.endswith("; 1 unfinished")


@LEVELS
def test_a_log_that_begins_in_the_middle_is_well_and_says_once_what_is_missing(level):
    run = clean_run(level)

    for begin in range(1, len(run.lines), 7):
        for store in (run.store, None):
            report = audited(run.lines[begin:], store)
            assert report.ok, (begin, report.findings)
        first = next((line["turn"] for line in run.lines[begin:] if line["event"] == "turn.committed"), 0)
        if first > 1:
            assert len([note for note in report.notes if "begins in the middle" in note]) == 1


@LEVELS
def test_a_log_that_ends_in_the_middle_is_well_as_far_as_it_goes(level):
    run = clean_run(level)

    for end in range(1, len(run.lines), 7):
        report = audited(run.lines[:end])
        assert report.ok, (end, report.findings)


def test_each_deleted_line_is_missed_and_causes_at_most_one_finding_more():
    run = clean_run()

    for index in range(1, len(run.lines) - 1):
        if "seq" not in run.lines[index]:
            continue
        report = audited(without(run.lines, index))
        gap = [finding for finding in report.findings if finding.kind == "missing lines"]
        assert len(gap) == 1, (run.lines[index], report.findings)
        assert len(report.findings) <= 2, (run.lines[index], report.findings)


def test_at_info_each_line_of_the_ledger_and_each_about_a_move_is_missed():
    run = clean_run("info")

    for index in range(1, len(run.lines)):
        line = run.lines[index]
        if line["event"] in MOVES or line["event"] == "turn.committed":
            found = kinds(audited(without(run.lines, index)))
            assert found[0] == ("missing lines" if line["event"] in MOVES else "missing turns"), line
            assert len(found) <= 2


@pytest.mark.parametrize("turn", [0, -1])
def test_a_line_of_a_turn_that_no_boot_has_is_found(turn):
    """Turns are numbered from one. (One of 3,000 edits that were made at random.)"""
    story = Story().done()
    line = story.lines[index_of(story.lines, "job.done")]

    line["turn"] = turn

    assert kinds(audited(story.stop().lines)) == ["told otherwise"]
    assert "told otherwise" in kinds(audited([line for line in story.lines for _ in range(2)]))


@pytest.mark.parametrize("event", ["job.queued", "job.claimed", "job.done", "job.failed"])
def test_a_line_about_a_move_that_names_no_turn_is_found(event):
    run = clean_run("debug")
    lines = [{**line, "turn": None} if line["event"] == event else line for line in run.lines]

    report = audited(lines, run.store)

    assert any(
        finding.says.startswith(f"{event} of") and "number of its turn" in finding.says
        for finding in report.findings
        if finding.kind == "told otherwise"
    )


def test_a_gap_names_its_turn():
    run = clean_run("info")
    index = turns(run.lines)[3]
    turn, boot = run.lines[index]["turn"], run.lines[index]["boot"]

    finding, *_ = audited(without(run.lines, index)).findings

    assert finding.says == f"turn {turn} of boot {boot} is told by no line"


@LEVELS
@settings(max_examples=300)
@given(data=st.data())
def test_each_flipped_key_of_a_move_is_found(level, data):
    run = clean_run(level)
    index = data.draw(st.sampled_from(turns(run.lines)), label="line")
    moves = run.lines[index]["moves"]
    place = data.draw(st.integers(0, len(moves) - 1), label="move")
    move = moves[place]
    if "j" not in move:
        return
    key = data.draw(st.sampled_from([key for key in move if key not in ("d", "u", "w", "n")]), label="key")
    value = move[key]
    match key:
        case "k":
            others = [event.removeprefix("job.") for event in MOVES]
            flipped: Any = data.draw(st.sampled_from([kind for kind in others if kind != value]))
        case "f":
            flipped = data.draw(st.sampled_from([state for state in STATES if state != value]))
        case "r" | "c" | "a":
            flipped = data.draw(st.integers(-2, 1000).filter(lambda number: number != value))
        case "j":
            ids = {one["j"] for at in turns(run.lines) for one in run.lines[at]["moves"] if "j" in one}
            flipped = data.draw(st.sampled_from([*sorted(ids - {value}), "somebody-else"]))
        case "o":
            outcomes = ("succeeded", "failed", "timed_out", "interrupted", "snoozed", "discarded", "cancelled")
            flipped = data.draw(st.sampled_from([one for one in outcomes if one != value]))
        case "t":
            flipped = value + data.draw(st.sampled_from([-3600.0, -1.0, -0.5, 0.5, 1.0, 3600.0]))
        case _:
            flipped = "another"

    report = audited(edited(run.lines, index, place, **{key: flipped}), run.store)

    assert report.findings


@settings(max_examples=300)
@given(data=st.data())
def test_each_flipped_field_of_a_line_about_a_move_is_found(data):
    run = clean_run()
    about = [index for index, line in enumerate(run.lines) if "turn" in line and "job_id" in line]
    index = data.draw(st.sampled_from(about), label="line")
    line = run.lines[index]
    names = ("job_id", "job_name", "claim_no", "attempt", "outcome", "turn", "slot", "schedule", "digest")
    field = data.draw(st.sampled_from([name for name in names if name in line]), label="field")
    value = line[field]
    flipped = "another" if isinstance(value, str) else value + data.draw(st.sampled_from([-1, 1, 1000]))

    assert audited(changed(run.lines, index, **{field: flipped})).findings


@settings(max_examples=100)
@given(data=st.data())
def test_each_flipped_slot_is_found(data):
    run = clean_run()
    slots = [index for index, line in enumerate(run.lines) if line["event"].startswith("slot.") and "seq" in line]
    index = data.draw(st.sampled_from(slots))
    flipped = run.lines[index]["slot"] + data.draw(st.sampled_from([-3600.0, -1.0, -0.5, 0.5, 1.0, 3600.0]))

    assert audited(changed(run.lines, index, slot=flipped)).findings


def test_a_turn_that_is_told_again_otherwise_is_found():
    run = clean_run()
    seq = max(line.get("seq", 0) for line in run.lines)

    for index in turns(run.lines):
        again = edited(run.lines, index, 0, r=99)[index]
        found = kinds(audited([*run.lines[: index + 1], {**again, "seq": seq + 1}, *run.lines[index + 1 :]]))
        assert "told twice" in found


@pytest.mark.parametrize("others", [[], [{"r": 99}], [{}, {"k": "queued", "j": "else", "n": "n", "r": 1}]])
@pytest.mark.parametrize("later", [1, 3])
def test_a_copy_that_tells_other_moves_is_found_also_where_it_comes_second(others, later):
    story = Story().done()
    at = index_of(story.lines, "turn.committed")
    copy = changed(story.lines, at, moves=[{**story.lines[at]["moves"][0], **other} for other in others])[at]

    for lines in ([*story.lines[: at + later], copy, *story.lines[at + later :]], [copy, *story.lines]):
        report = audited(lines)
        assert "told twice" in kinds(report), (lines, report.notes)


def test_a_copy_of_a_line_about_a_move_that_says_something_else_is_found():
    story = Story().done()
    copy = changed(story.lines, -1, outcome="failed")[-1]

    assert kinds(audited([*story.lines, copy])) == ["told otherwise"]


@pytest.mark.parametrize(("outcome", "found"), [(None, []), ("succeeded", []), ("failed", ["told otherwise"])], ids=str)
def test_a_done_job_need_not_say_its_outcome_and_says_no_wrong_one(outcome, found):
    story = Story().done().stop()

    assert kinds(audited(changed(story.lines, -2, outcome=outcome))) == found


@LEVELS
@settings(max_examples=100)
@given(data=st.data())
def test_a_turn_that_is_not_told_as_it_was_written_is_found(level, data):
    """Its line says what all of it comes to, and the rest of the log need not contradict it."""
    lines = [dict(line) for line in clean_run(level).lines]
    one, other = (lines[index] for index in data.draw(st.permutations(turns(tuple(lines))), label="lines")[:2])
    place = data.draw(st.integers(0, len(one["moves"]) - 1), label="move")
    move = one["moves"][place]
    rest = one["moves"][:place] + one["moves"][place + 1 :]
    match data.draw(st.sampled_from(["move", "add", "take out", "at", "change"])):
        case "move":
            one["moves"], other["moves"] = rest, [*other["moves"], move]
        case "add":
            birth = {"k": "queued", "j": "a-new-job", "n": "good", "r": 1, "d": "0123456789ab"}
            one["moves"] = [*one["moves"], birth]
        case "take out":
            one["moves"] = rest
        case "at":
            one["at"] += data.draw(st.sampled_from([-3600.0, -1e-6, 1e-6, 3600.0]))
        case _:
            key = data.draw(st.sampled_from([*move, "u"]), label="key")
            value = move.get(key, 0.0)
            other_value = f"{value}x" if isinstance(value, str) else value + data.draw(st.sampled_from([-1, 1]))
            one["moves"] = [*one["moves"][:place], {**move, key: other_value}, *one["moves"][place + 1 :]]

    assert "told otherwise" in kinds(audited(lines))


@LEVELS
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

    for index in turns(run.lines):
        for place, move in enumerate(run.lines[index]["moves"]):
            if "j" not in move:
                continue
            legal, _ = MOVES[f"job.{move['k']}"]
            for state in set(STATES) - legal:
                found = kinds(audited(edited(run.lines, index, place, f=state)))
                assert {"illegal transition", "finished twice"} & set(found)


@settings(max_examples=150)
@given(data=st.data())
def test_whatever_is_spoiled_the_audit_says_what_it_can(data):
    lines = list(clean_run().lines)
    junk = st.sampled_from([None, 0, -5, 10**6, "x", [], 1.5, True, [1], [[1]], [{}], [{"k": 3}], [{"k": "x"}]])
    for _ in range(data.draw(st.integers(1, 6))):
        index = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["cut", "copy", "swap", "spoil", "tell", "move"])):
            case "cut":
                del lines[index : index + data.draw(st.integers(1, 20))]
            case "copy":
                lines.insert(data.draw(st.integers(0, len(lines))), lines[index])
            case "swap":
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[index], lines[other] = lines[other], lines[index]
            case "tell":
                lines[index] = {**lines[index], "event": "turn.committed", "moves": data.draw(junk)}
            case "move" if isinstance(lines[index].get("moves"), list) and lines[index]["moves"]:
                key = data.draw(st.sampled_from(["k", "j", "r", "c", "a", "f", "s", "t", "x", "l", "no", "b", "p"]))
                lines[index] = (
                    edited(tuple(lines), index, 0, **{key: data.draw(junk)})[index]
                    if isinstance(lines[index]["moves"][0], dict)
                    else lines[index]
                )
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


def test_a_plain_story_is_well():
    assert audited(Story().done().stop().lines).ok


def test_a_job_that_finishes_twice_is_found():
    story = Story().done().move("done", "running", 1, 2)

    assert "finished twice" in kinds(audited(story.lines))


def test_a_job_that_is_requeued_after_its_end_may_end_again():
    story = Story().done().move("requeued", "done", 1, 0).move("claimed", "queued", 2, 0)
    story.move("done", "running", 2, 1)

    assert audited(story.lines).ok


def test_an_ending_by_an_older_claim_is_found():
    story = Story().move("queued", None, 0, 0).move("claimed", "queued", 1, 0)
    story.move("failed", "running", 1, 0, o="interrupted").move("claimed", "queued", 2, 0)
    story.move("done", "running", 1, 1)

    assert kinds(audited(story.lines)) == ["fence going back"]


def test_a_claim_that_does_not_raise_the_fence_is_found():
    story = Story().move("queued", None, 0, 0).move("claimed", "queued", 1, 0)
    story.move("released", "running", 1, 0).move("claimed", "queued", 1, 0)

    assert kinds(audited(story.lines)) == ["fence going back"]


def test_an_ending_by_a_boot_that_does_not_hold_the_claim_is_found():
    story = Story().move("queued", None, 0, 0).move("claimed", "queued", 1, 0)
    other = Story("b2", 2, among=story).move("done", "running", 1, 1)

    (finding,) = audited([*story.lines, *other.lines]).findings

    assert "boot b1 held it, and done ends a claim of boot b2" in finding.says


@pytest.mark.parametrize(("kind", "outcome"), [("done", "failed"), ("failed", "succeeded"), ("dead", "snoozed")])
def test_an_outcome_that_cannot_end_so_is_found(kind, outcome):
    story = Story().move("queued", None, 0, 0).move("claimed", "queued", 1, 0)

    assert kinds(audited(story.move(kind, "running", 1, 1, o=outcome).lines)) == ["illegal transition"]


def test_a_refused_ending_by_a_claim_that_the_store_never_gave_is_found():
    story = Story().done().said("job.fenced", job_id="j", claim_no=3, attempt=1, claim_no_now=1, state="done")

    assert kinds(audited(story.lines)) == ["fence going back"]


def test_moves_of_several_hosts_follow_one_another_in_whatever_order_they_are_read():
    web = Story().move("queued", None, 0, 0)
    one = Story("b2", 2, among=web).move("claimed", "queued", 1, 0).move("failed", "running", 1, 1)
    two = Story("b3", 3, among=web).move("claimed", "queued", 2, 1).move("done", "running", 2, 2)

    for order in ((web, one, two), (two, one, web), (one, web, two)):
        report = audited([line for story in order for line in story.lines])
        assert report.ok, report.findings
        assert (report.jobs, report.transitions, report.unfinished) == (1, 5, 0)
    # The turns of each are there, and one move is of another number.
    at = index_of(one.lines, "turn.committed", turn=2)
    spoiled = changed(one.lines, at, moves=[{**one.lines[at]["moves"][0], "r": 7}])
    assert "missing moves" in kinds(audited([*web.lines, *spoiled, *two.lines]))


def test_a_job_that_a_stopped_boot_has_kept_is_lost():
    story = Story().move("queued", None, 0, 0).move("claimed", "queued", 1, 0).stop()

    (finding,) = audited(story.lines).findings

    assert finding.kind == "lost"
    assert "job j was running on boot b1, which has stopped" in finding.says


def test_a_job_of_a_dead_boot_is_lost_only_once_others_buried_it_and_kept_the_job():
    story = Story().move("queued", None, 0, 0).move("claimed", "queued", 1, 0)
    heir = Story("b2", 2, among=story).bury(story)

    assert audited(story.lines).ok
    assert kinds(audited([*story.lines, *heir.lines])) == ["lost"]

    heir.move("failed", "running", 1, 0, o="interrupted", b="b1")
    assert audited([*story.lines, *heir.lines]).ok


def test_what_a_recovery_tells_counts_as_told():
    story = Story().move("queued", None, 0, 0).move("claimed", "queued", 1, 0)
    story.turns = 3
    heir = Story("b2", 2, among=story).bury(story).tell(story, 3, story.hop("done", "running", 1, 1)).done("k")

    report = audited([*story.lines, *heir.lines])

    assert report.ok, report.findings
    assert report.transitions == 6
    assert "missing turns" in kinds(audited([*story.lines, *without(heir.lines, 3)]))


def test_the_first_of_equal_turns_counts():
    story = Story().done()
    told = [line["moves"] for line in story.lines if "moves" in line][-1]
    heir = Story("b2", 2, among=story).bury(story).tell(story, 3, *told)

    assert audited([*story.lines, *heir.lines]).ok
    assert audited([*heir.lines, *story.lines]).ok
    other = changed(heir.lines, -1, moves=[{**told[0], "k": "dead", "o": "failed"}])
    assert kinds(audited([*story.lines, *other])) == ["told twice"]


def test_a_living_boots_broker_may_tell_what_its_predecessor_had_not_said():
    story = Story().move("queued", None, 0, 0)
    story.tell(story, 2, story.hop("claimed", "queued", 1, 0)).said("turn.recovered", turn=2)
    story.turns = 2
    story.move("done", "running", 1, 1)

    assert audited(story.lines).ok


def test_the_tail_of_a_dead_boot_is_missed():
    story = Story().done().done("k")
    heir = Story("b2", 2, among=story).bury(story)

    last = index_of(story.lines, "turn.committed", turn=6)
    finding, *_ = audited([*story.lines[:last], *heir.lines]).findings

    assert finding.kind == "missing turns"
    assert "turn 6 of boot b1 is told by no line, and it is said to have come so far" in finding.says


def test_the_tail_of_a_boot_that_has_stopped_is_missed():
    story = Story().done().stop()

    last = index_of(story.lines, "turn.committed", turn=3)
    assert "missing turns" in kinds(audited([*story.lines[:last], story.lines[-1]]))


def test_the_whole_log_of_a_boot_is_missed():
    one = Story().done()
    two = Story("b2", 2, among=one).done("k").stop()
    three = Story("b3", 3, among=one).bury(one).done("l")

    (finding,) = audited([*one.lines, *three.lines]).findings

    assert (finding.kind, finding.says) == ("missing boot", "the log of boot number 2 of store s is missing")
    assert audited([*one.lines, *two.lines, *three.lines]).ok


def test_a_boot_that_changed_nothing_is_named_as_such_and_one_just_come_is_no_defect():
    one = Story().done()
    died = Story("b2", 2, among=one)
    three = Story("b3", 3, among=one).bury(died)
    fresh = Story("b4", 4, among=one)
    fresh.lines[0]["beside"] = [1, 3, 2]

    report = audited([*one.lines, *three.lines])

    assert report.ok
    assert "boot b2 (number 2) died before it had changed anything" in report.notes
    assert audited([*one.lines, *changed(fresh.lines, 0, beside=[1, 2, 3])]).ok


@pytest.mark.parametrize("lives", ["stopped", "long"])
def test_a_boot_that_lived_on_and_of_which_there_is_no_line_is_missing(lives):
    """Whoever came later says that it was there, and has lived too long for it to be just starting."""
    one = Story().done()
    three = Story("b3", 3, among=one).done("k")
    three.lines[0]["beside"] = [1, 2]
    assert audited([*one.lines, *three.lines]).ok

    # A boot may be named by another one before it has said anything.
    four = Story("b4", 4, among=one).tell(three, 1, {"k": "queued", "j": "k", "n": "n", "r": 1})
    four.lines[0]["beside"] = [1, 2, 3]
    assert audited([*four.lines, *one.lines, *three.lines]).ok

    if lives == "stopped":
        three.stop()
    else:
        three.said("handler.added", job_name="n").lines[-1]["ts"] += 60.0

    assert kinds(audited([*one.lines, *three.lines])) == ["missing boot"]


def test_a_boot_that_lived_when_the_log_began_and_is_not_in_it_is_named():
    """It may have begun long before, and have had nothing to say since."""
    two = Story("b2", 2).done().stop()
    two.lines[0]["beside"] = [1]

    report = audited(two.lines)

    assert report.ok
    assert report.notes == (
        "the log begins with boot number 2 of store s, and nothing in it is of number 1, which lived then: give its "
        "log too",
    )


def test_jobs_that_another_process_has_queued_lead_to_its_log():
    """The log of the worker alone, which was there first; a producer with a log of its own has queued."""
    worker = Story("b1", 1)
    producer = Story("b2", 2, among=worker).move("queued", None, 0, 0)
    worker.move("claimed", "queued", 1, 0).move("done", "running", 1, 1).stop()

    alone, both = audited(worker.lines), audited([*worker.lines, *producer.stop().lines])

    assert (kinds(alone), both.ok) == (["missing moves"], True)
    assert alone.notes[-1] == (
        "no line tells who queued 1 job: another process, most likely; give the audit the logs of all processes on the "
        "store, of those that only queue too"
    )


def test_a_line_without_the_checksum_that_all_others_of_its_store_have_is_found():
    """The application has an event of this name as well; or somebody has taken the checksum off."""
    run = clean_run("info")
    index = index_of(run.lines, "turn.committed")
    bare = {key: value for key, value in run.lines[index].items() if key != "crc"}
    audit = Audit()

    for line in (*run.lines[:index], bare, *run.lines[index + 1 :]):
        if "seq" in line:
            audit.feed(line)

    report = audit.finish()
    assert kinds(report) == ["told otherwise"]
    assert report.findings[0].says.endswith("has no checksum, as all that the ledger tells has")


@pytest.mark.parametrize(
    "change",
    [
        {"event": "turn.comitted"},
        {"seq": 1_000},
        {"actor": "scheduler"},
        {"incarnation": 7},
        {"level": "debug"},
        {"told_by": "another", "of": "another"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_line_of_the_ledger_whose_event_number_or_teller_was_changed_is_found(change: Said):
    """One letter of the event's name hid a turn from the audit, which took the line for a newer version's."""
    lines = clean_run("info").lines
    index = index_of(lines, "turn.committed")

    report = audited(changed(lines, index, crc=lines[index]["crc"], **change))

    assert "told otherwise" in kinds(report)


def test_the_last_boots_of_a_store_that_are_not_in_the_log_are_noted(tmp_path):
    run = clean_run("info")
    store = copy_of(run.store, tmp_path)
    spoil(store, "update lamplighter_store set boots = 3")

    report = audited(run.lines, store)

    assert (report.ok, report.notes) == (
        True,
        ("the store has had 3 boots: nothing in this log is of the last; give its log too",),
    )


def test_unfinished_jobs_of_a_store_that_is_gone_are_not_passed_over(tmp_path):
    run = clean_run()
    gone = Story(store="gone", boot="g").move("queued", None, 0, 0).move("queued", None, 0, 0, "k")

    report = audited([*run.lines, *gone.lines], run.store)

    assert report.ok
    assert report.notes == ("2 unfinished jobs are in a store that was not compared: gone",)


def test_times_that_go_back_are_noted_unless_the_log_says_that_the_clock_was_set():
    story = Story().done()
    story.lines[-2]["ts"] -= 100.0
    says = "the times of boot b1 go back, and no clock.jumped of it says so"

    assert says in audited(story.lines).notes
    assert says not in audited(story.said("clock.jumped", delta=-99.0, jobs=0, schedules=0).lines).notes


def test_a_boot_that_is_said_to_be_another_is_found():
    story = Story().done()

    for fields in ({"boot_no": 2}, {"store_id": "t"}):
        assert "told otherwise" in kinds(audited(changed(story.lines, 3, **fields)))
    assert "told twice" in kinds(audited([*story.lines, *Story("b2", 1, among=story).lines]))


def test_a_turn_in_parts_is_whole_only_with_all_of_them():
    story = Story()
    moves = [story.hop("queued", None, 0, 0, f"j{number}") for number in range(6)]
    for part in range(3):
        story.turn(*moves[2 * part : 2 * part + 2], turn=1, part=part + 1, parts=3)
    story.turns = 1
    story.done("k").stop()

    report = audited(story.lines)

    assert report.ok, report.findings
    assert report.unfinished == 6
    for part in range(3):
        assert "missing turns" in kinds(audited(without(story.lines, 2 + part)))


def next_life(story: Story) -> Said:
    """Job `j` lives once more in this story, and is done; gives the line of its birth, which is told afterwards."""
    story.tell(Story("b2", 2), 1, {"k": "queued", "j": "j", "n": "n", "r": 1})
    birth = story.lines.pop()
    story.revs["j"] = 1
    story.move("claimed", "queued", 1, 0).move("done", "running", 1, 1)
    return {**birth, "seq": story.seq + 1}


def test_a_next_life_of_an_id_may_be_told_before_its_birth_is():
    story = Story().done().turn({"k": "pruned", "x": 1})
    birth = next_life(story)

    report = audited([*story.lines, birth])

    assert "told twice" not in kinds(report)
    assert "finished twice" not in kinds(report)
    assert {"told twice", "finished twice"} <= set(kinds(audited(story.lines)))


def test_a_next_life_may_go_on_where_the_one_before_has_ended():
    story = Story().move("queued", None, 0, 0).move("cancelled", "queued", 0, 0).turn({"k": "pruned", "x": 1})
    birth = next_life(story)

    report = audited([*story.lines, birth])

    assert not {"told twice", "finished twice", "illegal transition", "missing moves"} & set(kinds(report))
    assert "finished twice" in kinds(audited(story.lines))


def test_an_id_may_be_used_again_before_it_is_told_that_retention_removed_something():
    story = Story().done()
    other = Story("b2", 2, among=story)
    story.revs.clear()
    story.done()

    late = other.turn({"k": "pruned", "x": 1})
    report = audited([*story.lines, *late.lines])

    assert report.ok, report.findings
    assert {"told twice"} <= set(kinds(audited(story.lines)))


def test_in_mixed_lines_no_turn_is_taken_for_a_copy_after_gaps_without_a_debug_line():
    lines = clean_run().lines
    turns = [line for line in lines if line["event"] == "turn.committed"][::4][:6]
    first = [next(line for line in lines if line["level"] == "debug"), *turns]
    mixed = [*first, *(line for line in lines if line not in first)]

    report = audited(mixed)

    assert report.ok, report.findings
    assert (report.jobs, report.transitions) == (audited(lines).jobs, audited(lines).transitions)


def test_lines_that_the_log_itself_has_given_up_are_excused_up_to_their_number():
    story = Story().done().said("log.dropped", count=1, reason="OSError: no space left").done("k")

    # At info, where no number of a line shows that it is missing.
    info = [line for line in story.lines if line["event"] != "actor.started"]
    first, other = (index_of(info, "turn.committed", turn=turn) for turn in (2, 5))
    once = audited(without(info, first))
    twice = audited(without(info, first, other))

    assert [finding.excused for finding in once.findings] == [True]
    assert not once.ok
    assert not once.unexcused
    assert "the log itself says that lines were lost" in once.summary
    assert len(twice.unexcused) == 1


RULE = {"tz": "UTC", "gap": "run_after", "fold": "first"}


def added(when: str = "@every 10s", change_no: int = 1, **keys: Any) -> Story:
    return Story().turn({"k": "schedule.added", "s": "s", "n": "n", "when": when, "no": change_no, **RULE, **keys})


def evidence(*lines: Said) -> tuple[str, ...]:
    """Lines of the ledger as a finding shows them."""
    return tuple(line_of(sealed(line)).text for line in lines)


def fired(story: Story, slot: float) -> Story:
    return story.move("queued", None, 0, 0, f"s-{slot:.0f}", s="s", t=slot)


def test_two_jobs_of_one_slot_are_found():
    story = fired(added(), 1010.0).move("queued", None, 0, 0, "other", s="s", t=1010.0)

    assert "fired twice" in kinds(audited(story.lines))


def test_two_jobs_of_one_slot_are_found_though_five_hundred_slots_lie_between():
    story = added()
    for number in range(500):
        fired(story, 1010.0 + 10 * number)
    story.move("queued", None, 0, 0, "other", s="s", t=1010.0)

    assert "fired twice" in kinds(audited(story.lines))


@pytest.mark.parametrize(("passed", "others"), [(1, ""), (2, " and 1 after it"), (3, " and 2 after it")])
def test_a_slot_that_passed_unmentioned_is_found(passed, others):
    story = fired(fired(added(), 1010.0), 1020.0 + 10 * passed)

    (finding,) = audited(story.lines).findings

    before, after = (line for line in story.lines if "moves" in line and line["moves"][0]["k"] == "queued")
    assert (finding.kind, finding.says, finding.lines) == (
        "slot without an account",
        f"slot 1020.0 of schedule s{others} neither fired nor was skipped",
        evidence(before, after),
    )


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_each_wrong_slot_of_a_schedule_is_told_with_its_rule_and_its_line(monkeypatch, kept):
    monkeypatch.setattr(slot_replay, "DOUBTS_KEPT_MAX", kept)
    story = fired(fired(fired(fired(added(), 1010.0), 1012.0), 1020.0), 1025.0)

    found = audited(story.lines).findings

    rule, _, first, _, other = (line for line in story.lines if "moves" in line)
    assert sorted((finding.says, finding.lines) for finding in found) == [
        (f"schedule s: {slot} is no slot of '@every 10s'", evidence(rule, line))
        for slot, line in ((1012.0, first), (1025.0, other))
    ]


@pytest.mark.parametrize("unordered", [0, slot_replay.UNORDERED_MAX])
def test_a_slot_that_another_host_tells_of_later_is_accounted_for(monkeypatch, unordered):
    monkeypatch.setattr(slot_replay, "UNORDERED_MAX", unordered)
    story = fired(fired(added(), 1010.0), 1030.0)
    # It has stopped, so nothing more can come of it.
    other = fired(Story("b2", 2, among=story), 1020.0).stop()

    for lines in ([*story.lines, *other.lines], [*other.lines, *story.lines]):
        report = audited(lines)
        assert report.ok, report.findings
        assert report.slots == 3


def test_a_range_of_skipped_slots_accounts_for_all_of_them():
    story = fired(added(), 1010.0)
    story.turn({"k": "skipped", "s": "s", "t": 1020.0, "l": 1090.0, "x": 8})
    fired(story, 1100.0)

    report = audited(story.lines)
    assert (report.ok, report.slots) == (True, 10)
    skip = next(n for n, line in enumerate(story.lines) if "moves" in line and line["moves"][0]["k"] == "skipped")
    wrong = changed(story.lines, skip, moves=[{**story.lines[skip]["moves"][0], "x": 7}])
    assert kinds(audited(wrong)) == ["slot without an account"]
    (other,) = audited(changed(story.lines, skip, moves=[{**story.lines[skip]["moves"][0], "l": 1095.0}])).findings
    assert other.says == "schedule s: 1095.0 is no slot of '@every 10s'"


@pytest.mark.parametrize(("at", "is_well"), [(1100.0, True), (1012.0, False)])
def test_a_slot_from_before_a_clock_went_back_that_is_told_later_moves_nothing_on(at, is_well):
    story = fired(added(), 1010.0).turn({"k": "recounted", "x": 1}, at=1011.0)
    job = story.hop("queued", None, 0, 0, "s-1100", s="s", t=1100.0)
    story.tell("dead", 1, job, number=2, at=at, ts=1013.0)

    assert audited(story.lines).ok == is_well


@pytest.mark.parametrize(("next_slot", "is_well"), [(1020.0, True), (1030.0, False)])
def test_after_a_clock_went_back_the_slots_since_then_count_again(next_slot, is_well):
    story = fired(added(), 1010.0)
    story.turn({"k": "skipped", "s": "s", "t": 1020.0, "l": 1090.0, "x": 8})
    story.turn({"k": "recounted", "x": 1}, at=1012.0)

    found = audited(fired(story, next_slot).lines).findings

    back, after = (story.lines[index_of(story.lines, "turn.committed", turn=turn)] for turn in (4, 5))
    missed = ("slot 1020.0 of schedule s neither fired nor was skipped", evidence(back, after))
    assert [(finding.says, finding.lines) for finding in found] == ([] if is_well else [missed])


def test_after_a_change_a_slot_of_the_new_rule_is_missed_from_the_change_on():
    change = {"k": "schedule.changed", "s": "s", "n": "n", "when": "@every 20s", "no": 2, **RULE}
    story = fired(fired(added(), 1010.0).turn(change, at=1011.0), 1060.0)

    (finding,) = audited(story.lines).findings

    changed_by, after = (story.lines[index_of(story.lines, "turn.committed", turn=turn)] for turn in (3, 4))
    assert finding.says == "slot 1020.0 of schedule s and 1 after it neither fired nor was skipped"
    assert finding.lines == evidence(changed_by, after)


@pytest.mark.parametrize("teller", ["another", "itself"])
@pytest.mark.parametrize(("next_slot", "is_well"), [(1110.0, True), (1120.0, False)])
def test_that_a_clock_went_back_may_be_told_after_its_slots_came_again(next_slot, is_well, teller):
    story = fired(added(), 1010.0)
    story.turn({"k": "skipped", "s": "s", "t": 1020.0, "l": 1090.0, "x": 8})
    fired(story, 1100.0)
    story.turn({"k": "skipped", "s": "s", "t": 1010.0, "l": 1040.0, "x": 4})
    recounted: Said = {"k": "recounted", "x": 1}
    if teller == "another":
        story.tell("dead", 1, recounted, number=2, at=1002.0, ts=1035.0)
    else:
        # The clock was set on again before it had written its line, and another process had accounted for them.
        story.turn(recounted, at=1002.0, ts=1035.0)
    fired(story, next_slot)

    assert audited(story.lines).ok == is_well


def test_a_schedule_that_was_removed_has_no_slots_until_it_is_added_again():
    story = fired(added(), 1010.0).turn({"k": "schedule.removed", "s": "s"})
    story.turn({"k": "schedule.added", "s": "s", "n": "n", "when": "@every 10s", "no": 2, **RULE}, at=1500.0)
    fired(story, 1510.0)

    assert audited(story.lines).ok


def recovered(story: Story, when: str, change_no: int, at: float) -> Story:
    """Tell what another boot has changed of the schedule, and not said."""
    change = {"k": "schedule.changed", "s": "s", "n": "n", "when": when, "no": change_no, **RULE}
    return story.tell("dead", 1, change, number=2, at=at, ts=at + 1.0)


def test_a_slot_may_have_fired_by_a_rule_that_only_a_recovery_tells_of():
    # Others fire by what is stored, while the broker that has stored it, and has said nothing, starts again.
    story = fired(fired(added("@every 30s"), 1020.0), 1025.0)
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
    story = added("@every 30s")
    for slot in slots:
        fired(story, slot)
    recovered(story, "@every 25s", 2, at=at)

    assert says in "; ".join(finding.says for finding in audited(story.lines).findings)


def test_a_slot_due_at_a_change_is_not_missed_though_only_a_recovery_tells_of_it():
    story = fired(added("@every 12s"), 1008.0)
    recovered(story, "@every 12s", 2, at=1022.0)
    behind = fired(fired(added("@every 12s"), 1008.0), 1032.0)

    assert audited(fired(story, 1032.0).lines).ok
    assert audited(recovered(behind, "@every 12s", 2, at=1022.0).lines).ok
    assert "slot 1020.0 of schedule s neither" in audited(behind.lines[:-1]).findings[0].says


@pytest.mark.parametrize(("slot", "is_well"), [(1040.0, True), (1041.0, False)])
def test_a_slot_that_is_told_after_a_change_is_judged_by_the_older_rule(slot, is_well):
    """A broker hung between commit and line, while another release changed the schedule twice. (Seed 5061.)"""
    hung, other = Story("b1", 1), Story("b2", 2)
    hung.turn({"k": "schedule.added", "s": "s", "n": "n", "when": "@every 20s", "no": 1, **RULE})
    for number, when in ((2, "@every 25s"), (3, "@every 30s")):
        other.turn(
            {"k": "schedule.changed", "s": "s", "n": "n", "when": when, "no": number, **RULE}, at=1042.0 + number
        )
    born = hung.hop("queued", None, 0, 0, f"s-{slot:.0f}", s="s", t=slot)
    told = hung.tell(hung, 2, born, at=1042.0)

    assert audited([*told.lines[:3], *other.lines, *told.lines[3:]]).ok == is_well


def test_from_a_recovery_that_tells_of_it_on_the_new_rule_counts():
    story = recovered(fired(added("@every 30s"), 1020.0), "@every 25s", 2, at=1021.0)

    (finding,) = audited(fired(fired(story, 1025.0), 1075.0).lines).findings

    assert "slot 1050.0 of schedule s neither fired" in finding.says


@pytest.mark.parametrize("change_no", [1, 2])
def test_a_change_that_a_recovery_tells_again_or_after_a_later_one_is_no_news(change_no):
    story = added("@every 30s")
    story.turn({"k": "schedule.changed", "s": "s", "n": "n", "when": "@every 25s", "no": 3, **RULE})
    recovered(story, "@every 30s", change_no, at=1002.0)

    assert audited(fired(fired(story, 1025.0), 1050.0).lines).ok
    assert not audited(fired(story, 1080.0).lines).ok


def test_what_needs_an_unknown_policy_for_a_missing_or_double_hour_is_left_alone():
    spring = 1774747800.0  # 2026-03-29T01:30:00Z, when 02:30 does not exist in Berlin
    story = Story().turn(
        {"k": "schedule.added", "s": "s", "n": "n", "when": "30 2 * * *", "tz": "Europe/Berlin", "no": 1},
        at=spring - 86400.0,
    )
    fired(story, spring + 86400.0 - 3600.0)

    assert audited(story.lines).ok


def test_several_stores_in_one_log_are_told_apart():
    one, other = Story().done(), Story("b2", store="t").done()

    report = audited([line for pair in zip(one.lines, other.lines, strict=True) for line in pair])

    assert report.ok, report.findings
    assert report.jobs == 2


def test_memory_follows_the_open_jobs_and_not_the_log(monkeypatch):
    monkeypatch.setattr("lamplighter.history.replay.jobs.ENDED_KEPT_MAX", 10)
    story = Story()
    for number in range(200):
        story.done(f"j{number}")
    story.move("requeued", "done", 1, 0, "j0").move("claimed", "queued", 2, 0, "j0")
    story.move("done", "running", 2, 1, "j0")
    audit = Audit()
    for line in story.lines:
        audit.feed(sealed(line))

    report = audit.finish()

    assert report.ok, report.findings
    assert report.jobs == 200
    (store,) = audit.replay.stores.values()
    assert (len(store.jobs.open), len(store.jobs.ended), len(store.jobs.waiting)) == (0, 10, 0)
    assert audit.replay.boots["b1"].turns.pieces == 1
    assert len(audit.replay.lines_of["b1"]._turns) <= 64


def test_what_follows_an_end_is_no_finding_of_its_own_where_a_turn_is_missing():
    """The job may have been removed in that turn, and have been born again."""
    whole, holed = Story().done(), Story().done()
    holed.turns += 1

    assert kinds(audited(whole.move("claimed", "queued", 1, 0).lines)) == ["illegal transition"]
    assert kinds(audited(holed.move("claimed", "queued", 1, 0).lines)) == ["missing turns"]
    open_one = Story().move("queued", None, 0, 0)
    open_one.turns += 1
    assert set(kinds(audited(open_one.move("claimed", "queued", 5, 0).lines))) == {
        "missing turns",
        "illegal transition",
    }


def test_the_slots_before_a_schedule_was_removed_are_judged_by_its_rule():
    story = fired(fired(added(), 1010.0), 1030.0).turn({"k": "schedule.removed", "s": "s"})

    assert kinds(audited(story.lines)) == ["slot without an account"]


@pytest.mark.parametrize(("fold", "is_well"), [("first", False), ("second", True), ("both", True), (None, True)])
def test_the_second_of_two_equal_hours_counts_as_the_schedule_says(fold, is_well):
    autumn = 1792891800.0  # 2026-10-25T01:30:00Z, when it is 02:30 in Berlin for the second time
    rule = {"when": "30 2 * * *", "tz": "Europe/Berlin", "no": 1, "gap": "skip"} | ({"fold": fold} if fold else {})
    story = Story().turn({"k": "schedule.added", "s": "s", "n": "n", **rule}, at=autumn - 60.0)

    assert audited(fired(story, autumn).lines).ok == is_well


def test_beside_a_boot_that_tells_no_turns_a_job_may_come_from_nowhere():
    story = Story("b2", 2)
    story.revs["j"] = 1
    story.move("claimed", "queued", 1, 0).move("done", "running", 1, 1).stop()
    story.lines[0]["beside"] = [1]

    assert kinds(audited(without(story.lines, 0))) == []
    alone = [{**line, "boot_no": 1} if "boot_no" in line else line for line in story.lines]
    assert kinds(audited(alone)) == ["missing moves"]
    assert audited([*hushed(), *alone]).ok


@pytest.mark.parametrize(("lines", "says"), [(1, "not well: 1 missing line;"), (2, "not well: 2 missing lines;")])
def test_a_summary_counts_what_is_missing(lines, says):
    story = Story().said("handler.added", job_name="n").said("handler.removed", job_name="n").said("job.parked")
    story.said("handler.added", job_name="n").said("job.parked")

    report = audited(without(story.lines, *(3, 5)[:lines]))

    assert report.summary.startswith(says)


def test_findings_that_are_too_many_to_be_kept_are_counted_all_the_same(monkeypatch):
    story = Story()
    for number in range(4):
        story.said("job.fenced", job_id=f"j{number}", claim_no=5, claim_no_now=1)
    whole = audited(story.lines)
    (kind,) = set(kinds(whole))

    for kept in (4, 3, 1):
        monkeypatch.setattr("lamplighter.history.replay.findings.FINDINGS_KEPT_MAX", kept)
        report = audited(story.lines)

        assert (len(report.findings), report.more) == (kept, {kind: 4 - kept} if kept < 4 else {})
        assert (report.count, report.summary) == (whole.count, whole.summary)
    assert whole.summary.startswith(f"not well: 4 {kind}; in 0 jobs, ")


def test_an_unknown_event_of_a_newer_version_is_passed_over():
    story = Story().done().said("job.levitated", job_id="j", turn=99)

    report = audited(story.lines)

    assert report.ok
    assert any("(job.levitated)" in note for note in report.notes)


def test_an_unknown_kind_of_move_is_counted_and_no_defect():
    story = Story().done().turn({"k": "levitated", "s": "s", "j": "j"}).done("k")

    report = audited(story.lines)

    assert report.ok
    assert any("(turn.committed levitated)" in note for note in report.notes)


def test_an_event_given_as_a_dict_may_carry_anything():
    line = line_of({"event": "job.done", "boot": "b", "seq": 1, "reason": None, "odd": object(), "claim_no": 2})

    assert line.claim_no == 2
    assert "job.done" in line.text


def test_the_slot_of_a_job_is_that_of_its_id_also_where_only_its_end_is_told():
    lines = clean_run("info").lines
    index = next(index for index, line in enumerate(lines) if line["event"] == "job.done" and "slot" in line)

    for flip in ({"slot": lines[index]["slot"] + 1.0}, {"schedule": "another"}):
        assert kinds(audited(changed(lines, index, **flip))) == ["told otherwise"]


def hushed() -> list[Said]:
    """What a runtime tells at warning of a job that failed twice."""
    line = {"event": "job.failed", "boot": "b1", "job_id": "j", "job_name": "n", "outcome": "failed"}
    return [
        {**line, "ts": 1000.0 + n, "seq": 10 * n, "claim_no": n, "attempt": n, "turn": 3 * n, "run_at": 1.0}
        for n in (1, 2)
    ]


def test_a_log_at_warning_has_no_ledger_and_says_so_in_one_sentence(tmp_path):
    for report in (audited(hushed()), audited(hushed(), clean_run().store)):
        assert report.ok, report.findings
        assert len([note for note in report.notes if note.startswith("boot b1 tells no turns")]) == 1
        assert not report.is_whole
        assert report.summary.endswith(" unfinished, or more: a log at warning does not tell")


@LEVELS
def test_an_unfinished_job_that_the_store_does_not_know_is_lost(tmp_path, level):
    run = clean_run(level)
    store = copy_of(run.store, tmp_path)
    spoil(store, "delete from lamplighter_jobs where state = 'queued'")

    assert kinds(audited(run.lines, store)) == ["lost"]


@LEVELS
@pytest.mark.parametrize("change", ["claim_no = claim_no + 1", "attempt = attempt + 1", "rev = 1", "state = 'done'"])
def test_a_job_that_differs_in_the_store_is_found(tmp_path, change, level):
    run = clean_run(level)
    store = copy_of(run.store, tmp_path)
    spoil(store, f"update lamplighter_jobs set {change} where state = 'dead' and name = 'bad'")

    assert kinds(audited(run.lines, store)) == ["disagreement with the store"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("data = '7'", "the store has data with the hash"),
        ("run_at = run_at + 1, due_in = null", "the store has it due at"),
    ],
)
def test_data_and_an_instant_that_are_not_those_of_the_birth_are_found(tmp_path, change, says):
    run = clean_run("info")
    store = copy_of(run.store, tmp_path)

    spoil(store, f"update lamplighter_jobs set {change} where state = 'queued'")

    (finding,) = audited(run.lines, store).findings
    assert (finding.kind, says in finding.says) == ("disagreement with the store", True)


@LEVELS
def test_a_job_that_nobody_in_the_log_can_account_for_is_named(tmp_path, level):
    run = clean_run(level)
    store = copy_of(run.store, tmp_path)
    spoil(store, "update lamplighter_jobs set id = 'stranger' where state = 'queued'")

    findings = audited(run.lines, store).findings

    assert sorted(finding.kind for finding in findings) == ["lost", "orphan"]
    assert any("stranger" in finding.says for finding in findings)


def test_a_job_that_ended_long_ago_and_was_requeued_is_counted_once_in_the_store(monkeypatch):
    run = clean_run()
    monkeypatch.setattr("lamplighter.history.replay.jobs.ENDED_KEPT_MAX", 3)

    report = audited(run.lines, run.store)

    assert report.ok, report.findings
    assert report.jobs == len([line for line in run.lines if line["event"] == "job.queued"])


@LEVELS
def test_ended_jobs_that_retention_did_not_remove_are_missed(tmp_path, level):
    run = clean_run(level)
    store = copy_of(run.store, tmp_path)
    spoil(store, "delete from lamplighter_jobs where state = 'done'")
    stopped = index_of(run.lines, "runtime.stopping")
    rows = len({line["job_id"] for line in run.lines if line["event"] == "job.done"})
    last = max(line["turn"] for line in run.lines if "turn" in line)
    pruned = {"seq": 5000, "turn": last + 1, "crc": None, "moves": [{"k": "pruned", "x": rows}]}
    told = [*run.lines[:stopped], {**run.lines[turns(run.lines)[-1]], **pruned}, *run.lines[stopped:]]
    whole = changed(told, -1, turn=last + 1)

    assert kinds(audited(run.lines, store)) == ["disagreement with the store"]
    assert [kind for kind in kinds(audited(whole, store)) if kind != "missing lines"] == []


def test_a_store_that_is_behind_its_log_has_lost_what_it_had_committed(tmp_path):
    run = clean_run()
    store = copy_of(run.store, tmp_path)
    spoil(store, "update lamplighter_jobs set rev = rev - 1, state = 'running' where name = 'hopeless'")

    assert "disagreement with the store" in kinds(audited(run.lines, store))


def test_numbers_far_beyond_all_others_cost_no_time():
    run = clean_run()
    index = turns(run.lines)[2]

    assert "missing turns" in kinds(audited(changed(run.lines, index, turn=10**15), run.store))
    assert "missing moves" in kinds(audited(edited(run.lines, turns(run.lines)[-1], 0, r=10**15), run.store))


@LEVELS
def test_a_store_that_is_ahead_of_its_log_shows_that_lines_are_missing(level):
    run = clean_run(level)
    stop = turns(run.lines)[-3]

    boot = run.lines[0]["boot"]
    # Another boot has said that it starts, and nothing of a turn.
    idle = Story("idle", 2, store=run.lines[0]["store_id"])

    report = audited([*run.lines[:stop], *idle.lines], run.store)

    assert set(kinds(report)) <= {"missing moves", "orphan"}
    # Its boot has left the store, so it must have logged its stop.
    assert re.fullmatch(
        r"the store has come further with \d+ jobs?, as with \S+: \w+ by move \d, and the log has (no line|move \d)\. "
        rf"Boot {boot} has ended since its last line: the rest of its log is missing, or was never written, as on a "
        r"full disk",
        report.findings[0].says,
    )


def test_how_many_findings_are_not_shown_is_told(tmp_path, capsys, monkeypatch):
    fenced = {"event": "job.fenced", "level": "warning", "boot": "b", "claim_no": 5, "claim_no_now": 1}
    log = tmp_path / "app.log"
    write_log(log, [{**fenced, "seq": number, "ts": float(number), "job_id": f"j{number}"} for number in range(1, 5)])
    assert main(["audit", str(log), "--json"]) == 1
    count = len(capsys.readouterr().out.splitlines()) - 1

    told = []
    for shown in (count - 2, count):
        monkeypatch.setattr("lamplighter.cli.audit.SHOWN_MAX", shown)
        assert main(["audit", str(log)]) == 1
        told.append([line for line in capsys.readouterr().out.splitlines() if line.startswith("...")])

    assert told == [["... and 2 more; --json gives them all"], []]
