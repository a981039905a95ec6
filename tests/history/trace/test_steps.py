"""What `trace` tells of the steps of a job: how far each attempt has come."""

from __future__ import annotations

import pytest
from lamplighter import Runtime
from lamplighter.history.log_files.search import in_order
from lamplighter.history.trace.job import biography
from lamplighter.history.trace.others import LAST_SEQ, with_hops
from lamplighter.log.events import EVENTS, MOVE_KINDS
from lamplighter.rules.lifecycle import MOVES
from lamplighter.testing import Simulation

from ..kit import Story, sealed


@pytest.mark.parametrize("level", ["debug", "info"])
def test_each_step_is_told_and_what_an_attempt_goes_on_after(tmp_path, level):
    def register(runtime: Runtime) -> None:
        def work(job):
            for name in ("one", "two"):
                job.step(name, lambda: "x")
                if job.attempt == 1:
                    raise ValueError("no")

        runtime.jobs.add_handler("work", work, backoff=[0.0])

    with Simulation(register, host=lambda runtime: runtime.jobs.queue("work", id="a")) as simulation:
        simulation.settle()
        lines = simulation.log.splitlines(keepends=True)
    log = tmp_path / "log"
    log.write_text("".join(line for line in lines if level == "debug" or '"level":"debug"' not in line))

    told = biography([str(log)], "a")

    assert told is not None
    assert told.gaps == 0
    said = [entry.says for entry in told.entries[:-1]]
    begins = ("step ", "attempt 2 goes on")
    steps = [next(begin for begin in begins if text.startswith(begin)) for text in said if text.startswith(begins)]
    assert steps == (["step ", "attempt 2 goes on", "step "] if level == "debug" else ["step ", "step "])
    assert told.entries[-1].says.endswith(", with 2 steps")


@pytest.mark.parametrize("kind", ["stepped", "signalled", "replaced"])
def test_of_several_lines_about_a_job_in_one_turn_each_is_told_with_its_move(kind):
    story = Story().move("queued", None, 0, 0).move("claimed", "queued", 1, 0)
    own = [{"step": "one", "d": "ab"}, {"step": "two", "d": "cd"}]
    if kind == "replaced":
        own = [{"u": 5.0, "d": "ab"}, {"u": 5.0, "d": "cd"}]
    story.turn(*({"k": kind, "j": "j", "n": "n", "r": 2 + number, "c": 1, **one} for number, one in enumerate(own)))
    story.lines = [line for line in story.lines if line["event"] != "job.replaced"]
    line = {"step": "two"} if kind != "replaced" else {"run_at": 5.0}
    story.said(f"job.{kind}", job_id="j", job_name="n", claim_no=1, turn=3, digest="cd", took=0.5, **line)

    found = in_order(with_hops(map(sealed, story.lines), lambda move: True))

    told = [(said["digest"], said.get("took")) for said in found if said["event"] == f"job.{kind}"]
    assert told == [("ab", None), ("cd", 0.5)]


def test_each_move_of_a_job_is_told_and_what_the_ledger_has_of_it_besides():
    keys = {"n": "n", "r": 7, "f": "queued", "c": 2, "a": 1, "o": "failed", "u": 5.0, "s": "s", "t": 4.0, "d": "ab"}
    keys |= {"p": 1, "b": "b9", "q": "p", "x": 2, "m": 3, "y": [["p", 3]], "step": "a", "steps": 4, "until": 9.0}
    keys |= {"by": "ada", "via": "cli", "why": "it fails"}
    names = {"job_name": "n", "from": "queued", "claim_no": 2, "outcome": "failed", "run_at": 5.0, "schedule": "s"}
    names |= {"slot": 4.0, "digest": "ab", "redeliveries": 1, "boot_was": "b9", "then_of": "p", "then": 2, "parents": 3}
    names |= {"fate_of": "p", "step": "a", "steps": 4, "until": 9.0, "by": "ada", "via": "cli", "reason": "it fails"}
    about = {"boot": "b1", "ts": 1000.5, "turn": 1, "store_id": "s", "untold": "operator", "told_by": "b2"}
    line = {"event": "turn.committed", "boot": "b2", "of": "b1", "turn": 1, "store_id": "s", "at": 1000.5, "seq": 9}
    line |= {"told_by": "b2", "ts": 1003.0, "crc": 1, "moves": [{"k": kind, "j": "j", **keys} for kind in MOVE_KINDS]}

    told = {said["event"]: said for said in with_hops([line], lambda move: True)}

    of_turns = {event for event, kind in EVENTS.items() if event.startswith("job.") and "turn" in kind.fields}
    assert told.keys() == of_turns - {"job.forgotten"} | {"job.deferred"}
    for event, said in told.items():
        of_moves = {"rev": 7, "attempt": 1, "to": MOVES[event][1].value} if event in MOVES else {}
        expected = {"event": event, "job_id": "j", "seq": LAST_SEQ, **names, **of_moves, **about}
        if event == "job.freed":
            del expected["fate_of"]
        assert said == expected


@pytest.mark.parametrize("is_first", [True, False])
def test_a_move_that_its_boot_and_another_tell_is_told_once_as_by_its_own(is_first):
    dead, other = Story(), Story("b2", 2)
    hops = dead.hop("queued", None, 0, 0), dead.hop("claimed", "queued", 1, 0, "k")
    dead.turn(*hops).said("job.queued", job_id="j", job_name="n", turn=1)
    other.tell(dead, 1, *hops, {**dead.hop("queued", None, 0, 0, "by-hand"), "via": "cli"}, {"k": "queued", "n": "n"})
    other.tell(dead, 2, dead.hop("queued", None, 0, 0, "late"))
    stories = (dead, other) if is_first else (other, dead)
    lines = [sealed(line) for story in stories for line in story.lines]

    found = in_order(with_hops(lines, lambda move: True))

    told = [(said["job_id"], said.get("told_by"), said.get("untold")) for said in found if "job_id" in said]
    assert sorted(told, key=str) == [
        ("by-hand", "b2", "operator"),
        ("j", None, None),
        ("k", None, None),
        ("late", "b2", "dead"),
    ]


def test_a_line_beside_a_move_that_only_another_boot_tells_is_one_with_it():
    dead, other = Story(), Story("b2", 2)
    dead.said("job.queued", job_id="j", job_name="n", turn=1, took=0.5)
    other.tell(dead, 1, dead.hop("queued", None, 0, 0))

    found = with_hops(map(sealed, [*dead.lines, *other.lines]), lambda move: True)

    assert [(said["took"], said.keys() & {"told_by", "untold"}) for said in found if "job_id" in said] == [(0.5, set())]
