"""Jobs that have ended are removed when somebody asks for it: all of them is gone but what the log has said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lamplighter import Operator, Runtime, UnknownJob, UsageError
from lamplighter.cli.main import main

from ..conftest import Recorder

ADA = {"by": "ada", "reason": "they asked for it"}
SECRET = "jane.doe@example.org"


@pytest.fixture
def one(runtime: Callable[..., Runtime]) -> Runtime:
    made: Runtime = runtime()

    def fail(job: Any) -> None:
        raise ValueError(f"no such address: {job.data}")

    made.jobs.add_handler("mail", lambda job: job.data)
    made.jobs.add_handler("fail", fail, max_attempts=2, backoff=[0.0])
    return made


def ended(runtime: Runtime, recorder: Recorder) -> list[str]:
    """A done, a dead and a cancelled job."""
    runtime.jobs.join(runtime.jobs.queue("mail", SECRET, id="done"), timeout=15)
    runtime.jobs.queue("fail", SECRET, id="dead")
    recorder.wait_for("job.dead")
    runtime.jobs.cancel(runtime.jobs.queue("nobody", SECRET, id="off"))
    return ["done", "dead", "off"]


def test_nothing_is_left_in_the_store_of_a_job_that_was_forgotten(
    one: Runtime, recorder: Recorder, tmp_path: Path
) -> None:
    for job_id in ended(one, recorder):
        one.jobs.forget(job_id, **ADA)

        with pytest.raises(UnknownJob):
            one.jobs.get(job_id)
        assert one.jobs.attempts(job_id) == []
    one.stop()

    assert one.jobs is not None and list(tmp_path.glob("jobs.db-wal")) == []
    assert SECRET.encode() not in (tmp_path / "jobs.db").read_bytes()


def test_it_is_in_the_ledger_and_in_a_line_on_whose_behalf_and_why(one: Runtime, recorder: Recorder) -> None:
    ended(one, recorder)

    one.jobs.forget("done", **ADA)

    line = recorder.wait_for("job.forgotten")
    assert {key: line[key] for key in ("job_id", "job_name", "state", *ADA)} == {
        "job_id": "done",
        "job_name": "mail",
        "state": "done",
        **ADA,
    }
    (moves,) = [said["moves"] for said in recorder.of("turn.committed") if said["turn"] == line["turn"]]
    assert moves == [{"k": "forgotten", "j": "done", "n": "mail", "by": ADA["by"], "why": ADA["reason"]}]


@pytest.mark.parametrize("state", ["queued", "running"])
def test_one_that_has_not_ended_is_refused_with_what_to_do(one: Runtime, recorder: Recorder, state: str) -> None:
    one.jobs.add_handler("long", lambda job: job.sleep(60))
    one.jobs.queue("long", id="j", delay=60 if state == "queued" else None)
    if state == "running":
        recorder.wait_for("job.started")

    with pytest.raises(UsageError, match=f"expected a job that has ended, got: j, which is {state}; cancel it first"):
        one.jobs.forget("j")

    assert one.jobs.get("j").state == state


def test_an_unknown_job_is_told_to_be_unknown(one: Runtime) -> None:
    with pytest.raises(UnknownJob):
        one.jobs.forget("nobody")


def test_its_id_and_its_unique_key_are_free_and_the_next_job_has_a_life_of_its_own(
    one: Runtime, recorder: Recorder
) -> None:
    job = one.jobs.join(one.jobs.queue("mail", "first", id="j", unique="k"), timeout=15)
    one.jobs.forget(job)
    # Who starts anew knows the number of the last job by the store alone.
    one.stop()
    one.start()

    again = one.jobs.join(one.jobs.queue("mail", "second", id="j", unique="k"), timeout=15)

    assert (again.deduplicated, again.result, again.record.move_no) == (False, "second", job.record.move_no)
    assert again.record.row_id > job.record.row_id


def test_the_audit_of_log_and_store_finds_nothing_and_the_trace_tells_it(
    one: Runtime, recorder: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for job_id in ended(one, recorder):
        one.jobs.forget(job_id, **ADA)
    one.jobs.join(one.jobs.queue("mail", "again", id="off"), timeout=15)
    one.stop()
    log, store = tmp_path / "app.log", str(tmp_path / "jobs.db")
    log.write_text("".join(json.dumps(event) + "\n" for event in recorder.events))

    audited = main(["audit", str(log), "--store", store])
    main(["trace", "done", str(log)])

    told = capsys.readouterr().out
    assert audited == 0, told
    assert "forgotten by ada: they asked for it" in told


def test_a_job_that_is_gone_without_a_word_is_found(one: Runtime, recorder: Recorder, tmp_path: Path) -> None:
    """Else the ledger's word for it would prove nothing."""
    ended(one, recorder)
    one.jobs.forget("done")
    one.stop()
    log = tmp_path / "app.log"
    said = [event for event in recorder.events if event["event"] != "job.forgotten"]
    for event in said:
        if event["event"] == "turn.committed":
            event["moves"] = [move for move in event["moves"] if move["k"] != "forgotten"]
            event.pop("crc")
    log.write_text("".join(json.dumps(event) + "\n" for event in said))

    assert main(["audit", str(log), "--store", str(tmp_path / "jobs.db")]) == 1


def test_an_asyncio_host_and_an_operator_do_the_same(one: Runtime, recorder: Recorder, tmp_path: Path) -> None:
    ended(one, recorder)

    asyncio.run(one.jobs.aforget("done"))
    Operator(tmp_path / "jobs.db", by="ada", via="a script").forget("dead", reason="they asked for it")

    assert [job.id for job in one.jobs.list()] == ["off"]
    recorder.wait_for("operator.acted", by="ada", action="forgotten")
