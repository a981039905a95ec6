"""Whatever a log holds, the command answers in words and with an exit code: bytes, torn lines, wrong values."""

from __future__ import annotations

import gzip
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from lamplighter.cli.main import main
from lamplighter.history.log_files.lines import KINDS
from lamplighter.log.events import ENVELOPE, EVENTS

from ..kit import Said, clean_run

TORTURE = os.environ.get("LAMPLIGHTER_TORTURE") == "1"

EXAMPLES = settings(
    max_examples=2_000 if TORTURE else 20,
    deadline=None,
    # A log shrinks slowly, and the traceback says enough.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

FIELDS = sorted({*ENVELOPE, *(name for kind in EVENTS.values() for name in kind.fields)})

STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.sampled_from([0, -1, 2**53, 2**63, 2**64, 10**12, 1795677335]),
    st.floats(allow_nan=False),
    st.sampled_from([1e300, -1e300, 1e-300, 253402300800.0, -62135596800.0, 0.1]),
    st.text(max_size=20),
    st.sampled_from(["", "queued", "running", "done", "@every 1s", "* * * * * *", "2026-11-26T07:15:35Z", "a-5"]),
    st.lists(st.one_of(st.integers(), st.floats(allow_nan=False), st.text(max_size=5), st.none()), max_size=5),
    st.lists(st.lists(st.one_of(st.integers(), st.sampled_from(sorted(EVENTS)), st.text(max_size=5)), max_size=5)),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)


@cache
def whole_run() -> tuple[Said, ...]:
    """One of each kind of line that there is, and a run's."""
    kinds = [
        {"event": event, "boot": "kinds", "seq": seq, "ts": 1795677335.0 + seq, "job_id": "j", "job_name": "bad"}
        for seq, event in enumerate(sorted(EVENTS), start=1)
    ]
    return (*clean_run().lines, *kinds)


def all_questions(log: Path) -> None:
    """Ask everything; an exception would fail the test."""
    lines = clean_run().lines
    job_id = next(line["job_id"] for line in lines if line["event"] == "job.failed")
    # A line of the host's own has no time here, and may stand anywhere.
    instant = next(str(line["ts"]) for line in lines[20:] if "ts" in line)
    schedule = next(line["schedule"] for line in lines if line["event"] == "slot.fired")
    for question in (
        ["audit"],
        ["audit", "--json"],
        ["audit", "--store", str(clean_run().store)],
        ["trace", job_id],
        ["trace", "j"],
        ["trace", "--json", job_id],
        ["trace", "--schedule", schedule],
        ["trace", "--actor", "handler:bad"],
        ["trace", "--corr", job_id],
        ["trace", "--at", instant],
        ["trace", "--at", "9999999999", "--json"],
    ):
        assert main([*question, str(log)]) in (0, 1, 2), question


@EXAMPLES
@given(st.data())
def test_no_wrong_value_in_a_field_makes_the_command_fail(tmp_path, capsys, data):
    lines: list[Any] = [dict(line) for line in whole_run()]
    for _ in range(data.draw(st.integers(1, 4))):
        line = lines[data.draw(st.integers(0, len(lines) - 1))]
        field = data.draw(st.sampled_from([*line, *FIELDS]))
        line[field] = data.draw(STRANGE)
    log = tmp_path / "app.log"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))

    all_questions(log)
    capsys.readouterr()


@EXAMPLES
@given(st.data())
def test_no_mutation_of_the_bytes_of_a_log_makes_the_command_fail(tmp_path, capsys, data):
    raw = bytearray("".join(json.dumps(line) + "\n" for line in whole_run()[:40]).encode())
    for _ in range(data.draw(st.integers(0, 20))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    raw = raw[: data.draw(st.integers(0, len(raw)))]
    log = tmp_path / "app.log"
    log.write_bytes(gzip.compress(raw)[: data.draw(st.integers(0, 3000))] if data.draw(st.booleans()) else raw)

    all_questions(log)
    capsys.readouterr()


@EXAMPLES
@given(st.binary(max_size=300))
def test_no_bytes_make_the_command_fail(tmp_path, capsys, raw):
    log = tmp_path / "app.log"
    log.write_bytes(raw)

    all_questions(log)
    capsys.readouterr()


@pytest.mark.parametrize(
    "at", ["1e300", "-1e300", "nan", "inf", "-inf", "0", "-5", "0001-01-01", "9999-12-31T23:59:59"]
)
def test_no_instant_makes_the_command_fail(tmp_path, capsys, at):
    log = tmp_path / "app.log"
    log.write_text("".join(json.dumps(line) + "\n" for line in whole_run()))

    assert main(["trace", f"--at={at}", str(log)]) in (0, 1, 2)
    capsys.readouterr()


@pytest.mark.parametrize("question", [["audit"], ["trace", "j"], ["trace", "--at", "5"], ["trace", "--corr", "j"]])
def test_what_cannot_be_opened_is_said(tmp_path, capsys, monkeypatch, question):
    def refuse(path: Any, *_: Any) -> int:
        raise PermissionError(13, "Permission denied")

    log = tmp_path / "app.log"
    log.write_text("{}\n")
    for path, says in ((tmp_path, "which is a folder"), (tmp_path / "none", "there is no such file")):
        assert main([*question, str(path)]) == 2
        assert says in capsys.readouterr().err
    monkeypatch.setattr("io.FileIO", refuse)
    assert main([*question, str(log)]) == 2
    assert "expected the path of a log that can be read" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["x", [[1]], 1e300, {"a": 1}])
def test_a_wrong_value_in_every_line_is_left_out_of_the_answer(tmp_path, capsys, value):
    log = tmp_path / "app.log"
    for field in sorted(KINDS.keys() - {"event", "boot", "seq", "job_id"}):
        lines = [{**line, field: value} for line in whole_run() if line.get("boot") == "kinds"]
        log.write_text("".join(json.dumps(line) + "\n" for line in lines))

        assert main(["trace", "j", str(log)]) == 0, field
    capsys.readouterr()
