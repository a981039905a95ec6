"""What the audit keeps while it reads: bounded by what is open, and without a finding less where a bound is reached."""

from __future__ import annotations

from itertools import permutations

import pytest
from lamplighter.history.audit.audit import Audit
from lamplighter.history.replay.replay import StoreReplay

from ..kit import Said, Story, audited, index_of, kinds, sealed, without

RULE = {"tz": "UTC", "gap": "run_after", "fold": "first"}


def replayed(story: Story) -> StoreReplay:
    audit = Audit()
    for line in story.lines:
        audit.feed(sealed(line))
    (store,) = audit.replay.stores.values()
    assert audit.finish().ok
    return store


def added(when: str = "@every 10s") -> Story:
    return Story().turn({"k": "schedule.added", "s": "s", "n": "n", "when": when, "no": 1, **RULE})


def fired(story: Story, *slots: float) -> Story:
    for slot in slots:
        story.move("queued", None, 0, 0, f"s-{slot:.0f}", s="s", t=slot)
    return story


def test_no_more_is_kept_of_slots_starts_and_groups_than_counts(monkeypatch):
    monkeypatch.setattr("lamplighter.history.replay.slots.FIRED_KEPT_MAX", 3)
    monkeypatch.setattr("lamplighter.history.replay.groups.LATE_STARTS_MAX", 2)
    monkeypatch.setattr("lamplighter.history.replay.groups.WAITING_MAX", 4)
    story = fired(added(), *(1010.0 + 10 * number for number in range(8)))
    for number in range(12):
        job, at = f"j{number}", 2000.0 + 2 * number
        story.turn(story.hop("queued", None, 0, 0, job, g="g"), at=at)
        story.turn(story.hop("claimed", "queued", 1, 0, job, g="g", z=1, e=1, rate="1/1s"), at=at)
        story.turn(story.hop("done", "running", 1, 1, job), at=at + 1)

    store = replayed(story)

    assert [*store.slots.schedules["s"].fired] == [1060.0, 1070.0, 1080.0]
    assert len(*store.rates._starts.values()) <= 5
    assert (store.groups._running, store.groups._group_of) == ({}, {})


def test_steps_of_jobs_that_have_ended_long_ago_are_forgotten(monkeypatch):
    for module in ("jobs", "replay"):
        monkeypatch.setattr(f"lamplighter.history.replay.{module}.ENDED_KEPT_MAX", 2)
    story = Story()
    for number in range(20):
        job = f"j{number}"
        story.move("queued", None, 0, 0, job, d="ab").move("claimed", "queued", 1, 0, job)
        story.turn({"k": "stepped", "j": job, "n": "n", "r": 2, "c": 1, "d": "ab", "step": "one"})
        story.move("dead", "running", 1, 1, job)

    assert len(replayed(story).steps._kept) <= 5


def test_moves_whose_jobs_began_before_the_log_do_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr("lamplighter.history.replay.jobs.WAITING_JOBS_MAX", 2)
    story = Story()
    story.turns = 9
    for number in range(5):
        story.revs[f"j{number}"] = 1
        story.move("claimed", "queued", 1, 0, f"j{number}")

    audit = Audit()
    for line in story.lines[2:]:
        audit.feed(sealed(line))
    (store,) = audit.replay.stores.values()

    assert (len(store.jobs.waiting), store.jobs.headless) == (2, 3)


@pytest.mark.parametrize("most", [0, 10])
def test_a_wrong_parent_or_slot_is_found_however_many_doubts_there_were(monkeypatch, most):
    monkeypatch.setattr("lamplighter.history.replay.links.DOUBTS_MAX", most)
    monkeypatch.setattr("lamplighter.history.replay.slots.DOUBTS_KEPT_MAX", most)
    story = fired(added(), 1011.0)
    story.move("queued", None, 0, 0, "p").move("cancelled", "queued", 0, 0, "p").move("queued", None, 0, 0, "c", m=1)
    story.move("freed", "queued", 0, 0, "c", m=1, y=[["p", 2]])

    assert set(kinds(audited(story.lines))) == {"slot without an account", "started too soon"}


def test_ends_that_no_line_tells_are_kept_up_to_a_bound(monkeypatch):
    monkeypatch.setattr("lamplighter.history.replay.links.UNTOLD_MAX", 2)
    story = Story().move("queued", None, 0, 0, "c", m=5)
    story.move("freed", "queued", 0, 0, "c", m=5, y=[[f"p{number}", 3] for number in range(5)])

    assert [*replayed(story).jobs.links._untold] == [("p3", 3), ("p4", 3)]


@pytest.mark.parametrize(
    ("first", "last", "count"), [(1030.0, 1020.0, 1), (1020.0, 1090.0, 1), (1020.0, 1020.0, 2), (1020.0, 1090.0, 0)]
)
def test_a_range_of_skipped_slots_that_cannot_be_is_found(first, last, count):
    story = fired(added(), 1010.0).turn({"k": "skipped", "s": "s", "t": first, "l": last, "x": count})

    report = audited(story.lines)

    assert kinds(report) == ["slot without an account"]
    assert f"cannot lie from {first} to {last}" in report.findings[0].says


def test_any_slot_may_be_one_of_a_rule_that_this_version_does_not_know():
    story = fired(added("when the moon is full"), 1003.0, 1004.0)
    story.turn({"k": "skipped", "s": "s", "t": 1005.0, "l": 1090.0, "x": 3})

    assert audited(story.lines).ok


def test_a_schedule_that_was_removed_has_no_slots_for_whoever_tells_late_of_one():
    story = fired(added(), 1010.0).turn({"k": "schedule.removed", "s": "s"})

    assert audited(fired(story, 1040.0).lines).ok


def test_slots_that_passed_are_only_noted_where_a_turn_is_missing():
    story = fired(added(), 1010.0, 1020.0, 1030.0)

    report = audited(without(story.lines, index_of(story.lines, "turn.committed", turn=3)))

    assert set(kinds(report)) == {"missing turns", "missing lines"}
    assert "slots of a schedule passed of which no line tells, 1 time" in report.notes


@pytest.mark.parametrize("part", [0, 4])
def test_a_part_that_a_turn_does_not_have_is_found(part):
    story = Story()

    assert kinds(audited(story.turn(story.hop("queued", None, 0, 0), part=part, parts=3).lines)) == ["told otherwise"]


def test_a_part_that_another_boot_tells_again_counts_once():
    story = Story()
    parts = [story.hop("queued", None, 0, 0, job) for job in "ab"]
    for number, move in enumerate(parts, start=1):
        story.turn(move, turn=1, part=number, parts=2)
    story.turns = 1
    heir = Story("b2", 2, among=story).tell(story, 1, parts[0], part=1, parts=2)

    report = audited([*story.lines[:3], *heir.lines, *story.lines[3:]])

    assert (report.ok, report.transitions) == (True, 2)


@pytest.mark.parametrize("keys", [{"c": 1}, {"a": 1}])
def test_a_new_job_has_no_claim_and_no_attempt(keys: Said):
    story = Story()

    assert kinds(audited(story.turn(story.hop("queued", None, 0, 0, **keys)).lines)) == ["illegal transition"]


DEFERRED = {"k": "deferred", "j": "j", "n": "n", "r": 2, "c": 1}


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_a_job_whose_handler_has_returned_needs_its_boot_no_more(order):
    story = Story().move("queued", None, 0, 0).move("claimed", "queued", 1, 0).turn(DEFERRED).stop()
    started, up, *moves, stopped = story.lines

    assert audited([started, up, *(moves[place] for place in order), stopped]).ok


def test_that_a_handler_has_returned_holds_for_its_own_claim():
    story = Story().move("queued", None, 0, 0).move("claimed", "queued", 1, 0).turn(DEFERRED)
    story.move("failed", "running", 1, 1).move("claimed", "queued", 2, 1)

    assert kinds(audited(story.stop().lines)) == ["lost"]


def test_what_an_operator_has_done_is_missed_where_no_line_tells_it():
    story = Story().turn({"k": "acted", "b": "op", "x": 2, "no": 2})
    for turn in (1, 2):
        story.tell("op", turn, story.hop("queued", None, 0, 0, f"j{turn}"), number=2)

    whole = audited(story.lines)

    assert (whole.ok, whole.acts, whole.boots) == (True, 1, 1)
    assert kinds(audited(without(story.lines, 4))) == ["missing turns"]
    assert "missing turns" in kinds(audited(without(story.lines, 3)))
    act = Story().said("operator.acted", operator="op", turn=2, told=2)
    act.tell("op", 1, act.hop("queued", None, 0, 0), number=2)
    assert (kinds(audited(act.lines)), audited(act.lines).acts) == (["missing turns"], 1)
