"""How many of a group ran at once, as the audit reads it of the ledger: at info as at debug."""

from __future__ import annotations

from itertools import chain

import pytest

from ..kit import Said, Story, audited, kinds


class Groups(Story):
    """Claims of one group, each turn with an instant."""

    def claim(self, job: str, of: int, at: float, limit: int = 2, group: str = "g") -> Groups:
        self.turn(self.hop("queued", None, 0, 0, job, g=group), at=at)
        self.turn(self.hop("claimed", "queued", 1, 0, job, g=group, z=of, e=limit), at=at)
        return self

    def end(self, job: str, at: float) -> Groups:
        self.turn(self.hop("done", "running", 1, 1, job), at=at)
        return self


def found(lines: list[Said]) -> list[str]:
    return [one.says for one in audited(lines).findings if one.kind == "too many of a group"]


def test_as_many_as_may_are_well():
    story = Groups().claim("a", 1, 10).claim("b", 2, 11).end("a", 12).claim("c", 2, 13).claim("d", 1, 13, group="h")

    assert found(story.lines) == []


def test_one_more_than_may_is_found():
    story = Groups().claim("a", 1, 10).claim("b", 2, 11).claim("c", 2, 12)

    assert found(story.lines) == ["3 jobs of group 'g' of n ran at once, and 2 may: c was one too many"]


def test_a_claim_that_says_itself_that_it_was_too_many_is_found():
    assert len(found(Groups().claim("a", 3, 10).lines)) == 1


@pytest.mark.parametrize("read_first", ["claims", "end"])
def test_an_end_that_another_process_has_logged_counts_from_its_instant(read_first):
    # Read before the first claim it was dropped: the group of a job that nobody had told of yet was never free again.
    one, other = Groups().claim("a", 1, 10).claim("b", 2, 11), Groups("b2", 2)
    other.revs = one.revs
    end = other.hop("done", "running", 1, 1, "a")
    one.claim("c", 2, 13)
    other.turn(end, at=12)

    logs = (one.lines, other.lines) if read_first == "claims" else (other.lines, one.lines)
    assert found([*chain.from_iterable(logs)]) == []


@pytest.mark.parametrize(("overlaps", "end", "is_found"), [(True, 12.5, False), (True, 14, True), (False, 12.5, True)])
def test_where_turns_overlap_an_end_that_begins_little_later_may_come_before_a_claim(overlaps, end, is_found):
    story = Groups().claim("a", 1, 10).claim("b", 2, 11).claim("c", 2, 12).end("a", end)
    story.lines[0]["overlaps"] = overlaps
    for line in story.lines:
        line["ts"] = line.get("at", 0.0)

    assert bool(found(story.lines)) == is_found


@pytest.mark.parametrize(("told", "is_found"), [(15, True), (17, False)])
def test_where_a_claims_turn_waited_an_end_before_its_line_may_come_before_it(told, is_found):
    """A turn whose host is cut off has the instant at which it began, and claims when the host is back."""
    story = Groups().claim("a", 1, 10).claim("b", 2, 11).claim("c", 2, 12)
    story.lines[0]["overlaps"] = True
    for line in story.lines:
        line["ts"] = told
    story.end("a", 16)

    assert bool(found(story.lines)) == is_found


@pytest.mark.parametrize("late", [True, False])
def test_an_end_that_is_told_long_after_takes_back_what_was_found(late):
    one, other = Groups().claim("a", 1, 10).claim("b", 2, 11), Groups("b2", 2)
    other.revs = one.revs
    end = other.hop("done", "running", 1, 1, "a")
    one.claim("c", 2, 13).claim("far", 1, 500, group="h").claim("away", 2, 600, group="h")
    other.turn(end, at=12 if late else 14)

    lines = [*one.lines, *other.lines]
    assert len(found(lines)) == (0 if late else 1), audited(lines)


def test_where_a_clock_was_set_or_a_turn_is_missing_nobody_knows():
    story = Groups().claim("a", 1, 10).claim("b", 2, 11).claim("c", 2, 12)
    cut = [line for line in story.lines if line.get("turn") != 3]
    story.said("clock.jumped", delta=5.0, jobs=0, schedules=0)

    assert "too many of a group" not in kinds(audited(story.lines))
    assert "too many of a group" not in kinds(audited(cut))


@pytest.mark.parametrize(("back", "is_known"), [(0.5, True), (1.5, False)])
def test_that_a_clock_was_set_is_seen_where_whoever_knew_of_it_was_killed(back, is_known):
    # The line that says it is written behind the turn that has found it, and that turn was told by the next boot.
    killed, later = Groups().claim("a", 1, 10).claim("b", 2, 11).claim("c", 2, 12), Groups("b2", 2)
    later.tell(killed, killed.turns + 1, {"k": "recounted", "x": 1}, at=12 - back)

    assert ("too many of a group" in kinds(audited([*killed.lines, *later.lines]))) == is_known
