"""Which store a line belongs to, and what can be said of a RabbitMQ, which may deliver a job again."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path

import pytest
from lamplighter.cli.main import main
from lamplighter.history.audit.store_check import StoreView
from lamplighter.history.trace.job import biography
from lamplighter.messages.schedules import SlotRange
from lamplighter.stores.sqlite.store import SqliteStore

from support.conformance.kit import NOW, a_boot, a_schedule
from support.conformance.schedules import entry

from ..kit import Said, Story, audited, changed, clean_run, index_of, kinds, on_rabbit, told, without, write_log


def a_run_on(store_id: str, boot: str, *, store: str = "/srv/jobs.db", level: str = "debug") -> list[Said]:
    """The lines of a run as those of another boot, on a store of this id."""
    lines = []
    for line in clean_run(level).lines:
        where = {"store_id": store_id} if "store_id" in line else {}
        where |= {"store": store} if line["event"] == "runtime.started" else {}
        whole = {key: value for key, value in line.items() if key != "crc"}
        lines.append({**whole, "boot": boot, **where} if "seq" in line else line)
    return lines


@pytest.mark.parametrize("level", ["debug", "info"])
def test_a_file_that_was_made_anew_is_another_store(level):
    report = audited([*a_run_on("one", "a", level=level), *a_run_on("two", "b", level=level)])

    assert report.ok
    assert report.jobs == 2 * audited(a_run_on("one", "a", level=level)).jobs


@pytest.mark.parametrize("level", ["debug", "info"])
def test_a_log_that_begins_after_the_boot_line_is_of_the_store_that_its_turns_name(level):
    one, other = a_run_on("one", "a", level=level)[1:], a_run_on("two", "b", level=level)[1:]

    report = audited([line for pair in zip(one, other, strict=True) for line in pair])

    assert report.ok, report.findings
    assert report.jobs == 2 * audited(one).jobs


def test_a_store_is_compared_with_the_lines_of_its_id(tmp_path):
    other = a_run_on("another", "a", store=str(clean_run().store.resolve()))
    log = write_log(tmp_path / "log", [*other, *clean_run().lines])

    assert main(["audit", str(log), "--store", str(clean_run().store)]) == 0


def test_a_store_that_the_log_does_not_tell_of_is_found(capsys, tmp_path):
    log = write_log(tmp_path / "log", a_run_on("another", "a"))

    assert main(["audit", str(log), "--store", str(clean_run().store)]) == 1
    assert re.search(
        r"no line of this store's ledger: the store is \w+, and has \d+ jobs; the log tells of another",
        capsys.readouterr().out,
    )


def test_a_crash_is_counted_once_whichever_line_tells_of_it():
    dead, heir = Story(), Story("b2", 2)
    dead.move("queued", None, 0, 0)
    heir.bury(dead)
    heir.said("runtime.recovered", dead_boot="b1", dead_pid=1, jobs=0, turn=1)

    whole = [*dead.lines, *heir.lines]

    assert [audited(lines).crashes for lines in (whole, without(whole, len(whole) - 1))] == [1, 1]


def test_two_servers_whose_virtual_hosts_have_one_name_are_two_stores():
    report = audited(told(on_rabbit("a", "eu").done("import"), on_rabbit("b", "us").done("import")))

    assert report.ok
    assert report.jobs == 2
    assert any("may deliver a job again" in note for note in report.notes)


def test_a_store_that_says_that_it_redelivers_is_judged_job_by_job():
    story = Story("web").done("import")
    story.lines[0]["redelivers"] = True

    report = audited(told(story))

    assert report.ok
    assert any("may deliver a job again" in note for note in report.notes)


def delivered_again(*, speaks_again: bool = False) -> list[Said]:
    """A job whose first holder was killed; the server gave it to another one."""
    web = on_rabbit("web").move("queued", None, 0, 0)
    one = on_rabbit("one", among=web).move("claimed", "queued", 1, 0)
    two = on_rabbit("two", among=web).move("claimed", "queued", 2, 0, p=1)
    two.move("done", "running", 2, 1)
    if speaks_again:
        one.said("job.parked", job_id="k", job_name="work", ts=2000.0)
    lines = told(web, one, two)
    at = {"web": 0.0, "one": 100.0, "two": 200.0}
    return sorted(({**line, "ts": line["ts"] + at[line["boot"]]} for line in lines), key=lambda line: line["ts"])


def test_a_redelivery_is_told_as_one_and_a_killed_process_is_counted():
    report = audited(delivered_again())

    assert report.ok, report.findings
    assert report.crashes == 1
    assert any(note.startswith("boot one died: a job of it was delivered again") for note in report.notes)


def test_a_boot_that_speaks_again_has_only_lost_its_connection():
    assert audited(delivered_again(speaks_again=True)).crashes == 0


@pytest.mark.parametrize("redeliveries", [0, 1])
def test_a_part_that_a_killed_process_may_have_published_ends_twice(redeliveries):
    web = on_rabbit("web").move("queued", None, 0, 0)
    parent = {"k": "claimed", "j": "j", "n": "n", "f": "queued", "a": 0, "r": 2 + redeliveries, "c": 1 + redeliveries}
    done = {"k": "done", "j": "j", "n": "n", "f": "running", "a": 1, "o": "succeeded", "x": 1}
    # The first one to claim it was killed when it had published the part, of which there are two then.
    two = on_rabbit("two", among=web).turn({**parent, "p": redeliveries} if redeliveries else parent)
    two.turn(
        {**done, "r": 3 + redeliveries, "c": 1 + redeliveries}, {**two.hop("queued", None, 0, 0, "part"), "q": "j"}
    )
    for _ in range(2):
        two.revs["part"] = 1
        two.move("claimed", "queued", 1, 0, "part").move("done", "running", 1, 1, "part")

    report = audited(told(web, two.stop()))

    assert kinds(report) == ([] if redeliveries else ["finished twice"])


def test_an_end_of_a_redelivered_claim_is_counted_and_one_without_is_found():
    web = on_rabbit("web").move("queued", None, 0, 0)
    one = on_rabbit("one", among=web).move("claimed", "queued", 1, 0)
    again = on_rabbit("two", among=web).turn(
        {"k": "claimed", "j": "j", "n": "n", "r": 3, "f": "queued", "c": 2, "a": 0, "p": 1},
        {"k": "done", "j": "j", "n": "n", "r": 4, "f": "running", "c": 2, "a": 1, "o": "succeeded"},
    )
    one.turn({"k": "done", "j": "j", "n": "n", "r": 3, "f": "running", "c": 1, "a": 1, "o": "succeeded"})
    for story in (web, one, again):
        story.stop()

    both = audited(told(web, one, again))

    assert both.ok, both.findings
    assert any("1 job ended more than once" in note for note in both.notes)
    twice = on_rabbit("two").turn(
        {"k": "done", "j": "j", "n": "n", "r": 3, "f": "running", "c": 1, "a": 1, "o": "succeeded"}
    )
    assert "finished twice" in kinds(audited(told(web, one, twice.stop())))


def test_a_move_that_no_line_tells_is_missed_unless_its_boot_may_have_died():
    web, lines = on_rabbit("web").done(), []
    for turn in (1, 2):
        lines = told(web)
        del lines[index_of(lines, "turn.committed", turn=turn)]
        assert "missing turns" in kinds(audited(lines))
    spoiled = changed(
        told(web),
        index_of(told(web), "turn.committed", turn=3),
        moves=[{"k": "done", "j": "j", "n": "n", "r": 5, "f": "running", "c": 1, "a": 1, "o": "succeeded"}],
    )
    assert "missing moves" in kinds(audited(spoiled))


def test_the_life_of_a_job_that_was_delivered_again_misses_nothing(tmp_path):
    life = biography([str(write_log(tmp_path / "log", delivered_again()))], "j")

    assert life is not None
    assert life.gaps == 0
    again = life.entries[2]
    assert (again.says.partition(",")[0], again.said) == (
        "delivered again by the server: boot one",
        {"boot_was": "one"},
    )


def at_the_end(path: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    assert main(["trace", "--json", "--at", "9999", str(path)]) == 0
    seen: Said = json.loads(capsys.readouterr().out)
    return seen


def test_an_instant_does_not_call_a_killed_process_alive(tmp_path, capsys):
    log = write_log(tmp_path / "log", delivered_again())

    seen = at_the_end(log, capsys)
    main(["trace", "--at", "9999", str(log)])

    assert seen["bereft"] == ["one"]
    assert seen["jobs"] == {"done": 1}
    said = capsys.readouterr().out
    assert "dead or without a connection: one (pid 1, last heard of" in said
    assert "a job that it had was delivered again, and it has said nothing since" in said


@pytest.mark.parametrize("boot", ["web", "one", "two"])
def test_what_was_before_any_log_of_a_rabbitmq_is_not_missed(boot):
    web = on_rabbit("web")
    one, two = on_rabbit("one", among=web), on_rabbit("two", among=web)
    for number in range(4):
        job = f"job-{number}"
        web.move("queued", None, 0, 0, job)
        one.move("claimed", "queued", 1, 0, job).move("failed", "running", 1, 1, job)
        two.move("claimed", "queued", 2, 1, job).move("done", "running", 2, 2, job)
    logs = {story.boot: told(story) for story in (web, one, two)}
    for cut in range(len(logs[boot])):
        kept = {**logs, boot: logs[boot][cut:]}

        report = audited(sorted((line for lines in kept.values() for line in lines), key=lambda line: line["ts"]))

        assert report.findings == (), cut


@pytest.mark.parametrize(
    ("slot", "is_known"),
    [
        (NOW - 1, False),
        (NOW, True),
        (NOW + 1, False),
        (NOW + 60, True),
        (NOW + 120, True),
        (NOW + 240, True),
        (NOW + 241, False),
        (NOW + 300, True),
        (NOW + 360, False),
    ],
)
def test_a_store_accounts_for_fired_slots_and_for_all_of_a_skipped_range(tmp_path, slot, is_known):
    with closing(SqliteStore(str(tmp_path / "jobs.db"))) as store:
        store.open()
        with store.turn("b", NOW + 400) as turn:
            turn.schedules.declare([a_schedule(), a_schedule(id="other")])
            turn.schedules.fire(entry(NOW, "s-0"))
            turn.schedules.skip("s", SlotRange(first=NOW + 60, last=NOW + 240, count=4, reason="paused"))
            turn.schedules.fire(entry(NOW + 300, "s-5"))

    view = StoreView(str(tmp_path / "jobs.db"))

    assert (view.accounts_for("s", slot), view.accounts_for("other", slot)) == (is_known, False)


@pytest.mark.parametrize(("told_turns", "is_found"), [(1, False), (3, True)])
def test_a_log_that_tells_more_turns_of_a_boot_than_its_store_has_is_found(tmp_path, told_turns, is_found):
    with closing(SqliteStore(str(tmp_path / "jobs.db"))) as store:
        store.open()
        with store.turn("b1", NOW) as turn:
            turn.boots.register(a_boot("b1"))
            turn.note({"k": "pruned", "x": 1})
    view = StoreView(str(tmp_path / "jobs.db"))
    story = Story(store=view.store_id)
    for _ in range(told_turns):
        story.turn({"k": "pruned", "x": 1})

    found = audited(story.lines, tmp_path / "jobs.db").findings

    says = f"the log tells turn 3 of boot b1, and the store has {view.turns['b1']} only"
    assert [(one.kind, one.says) for one in found] == ([("disagreement with the store", says)] if is_found else [])
