"""How a log ends: whether its compression or its last line is cut, whoever reads it."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lamplighter.cli.main import main
from lamplighter.history.log_files.lines import Unread, read
from lamplighter.history.log_files.search import find

from ..kit import Story, clean_run, write_log

LINES = "".join(json.dumps(line) + "\n" for line in Story().done().done("other").stop().lines)
TORN = '{"event":"job.done","boot":"b1","seq":99,"moves":[{"k":"done"}'


def framed(text: str) -> str:
    """As Docker's json-file driver keeps it."""
    return "".join(
        json.dumps({"log": line, "stream": "stdout", "time": "2026-11-26T07:24:39.755Z"}) + "\n"
        for line in text.splitlines(keepends=True)
    )


def by_audit(path: Path) -> tuple[str, ...]:
    unread = Unread()
    assert list(read([str(path)], unread))
    return unread.notes


def by_trace(path: Path) -> tuple[str, ...]:
    unread = Unread()
    assert list(find([str(path)], [b'"j"'], unread=unread))
    return unread.notes


READERS = pytest.mark.parametrize("notes", [by_audit, by_trace])
PACKERS = pytest.mark.parametrize("pack", [bytes, gzip.compress])


@READERS
@PACKERS
@pytest.mark.parametrize(
    "text",
    [
        LINES,
        LINES.removesuffix("\n"),
        LINES + '{"event": "a line of the application\'s", "more": {"a": {}}}',
        LINES + "\n \n ",
        framed(LINES),
        framed(LINES).removesuffix("\n"),
    ],
    ids=["whole", "no line break", "not ours", "blank", "framed", "framed, no line break"],
)
def test_a_log_that_ends_with_a_whole_line_is_not_noted(tmp_path, text, pack, notes):
    log = tmp_path / "log"
    log.write_bytes(pack(text.encode()))

    assert notes(log) == ()


@READERS
@PACKERS
@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (LINES + TORN, TORN),
        (LINES + "2026-11-26 INFO " + TORN, "2026-11-26 INFO " + TORN),
        (LINES + "event=job.done boot=b1 se", "event=job.done boot=b1 se"),
        (LINES + '{"lo', '{"lo'),
        (framed(LINES)[:-30], framed(LINES).splitlines()[-1][:-29][:300]),
        (LINES + '{"x":"' + "y" * 3_000_000, '{"x":"' + "y" * 294),
    ],
    ids=["ours", "prefixed", "pairs", "short", "framed", "long"],
)
def test_a_log_whose_last_line_is_cut_is_noted_with_what_is_left_of_it(tmp_path, text, rest, pack, notes):
    log = tmp_path / "log"
    log.write_bytes(pack(text.encode()))

    assert notes(log) == (f"log ends without a line break, and its last line may be cut: {rest}",)


@READERS
def test_a_log_whose_compression_is_cut_is_noted_once(tmp_path, notes):
    log = tmp_path / "app.log.2.gz"
    log.write_bytes(gzip.compress(LINES.encode())[:-20])

    assert notes(log) == ("app.log.2.gz ends in the middle of what was compressed: the rest was not read",)


@pytest.fixture
def job_id() -> str:
    """A job of the clean run."""
    return next(str(line["job_id"]) for line in clean_run().lines if line["event"] == "job.done")


def cut_plain(whole: bytes) -> tuple[bytes, str]:
    return whole[:-30], "note: app.log ends without a line break"


def cut_gzip(whole: bytes) -> tuple[bytes, str]:
    return gzip.compress(whole)[:-40], "note: app.log ends in the middle of what was compressed"


@pytest.mark.parametrize("cut", [cut_plain, cut_gzip])
@pytest.mark.parametrize(
    "question",
    [["audit"], ["trace", "JOB"], ["trace", "--corr", "JOB"], ["trace", "--actor", "broker"], ["trace", "--at", "9e9"]],
    ids=" ".join,
)
def test_each_command_says_that_a_log_is_cut(tmp_path, capsys, job_id, question, cut: Callable):
    log = write_log(tmp_path / "app.log", clean_run().lines)
    kept, says = cut(log.read_bytes())
    log.write_bytes(kept)
    command = [job_id if word == "JOB" else word for word in question]

    main([*command, str(log)])
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith(says)]

    main([*command, str(log), "--json"])
    assert says.removeprefix("note: ") in capsys.readouterr().out


def test_what_is_read_from_standard_input_is_noted_too_also_where_nothing_is_found(monkeypatch, capsys):
    class Piped:
        buffer = io.BufferedReader(io.BytesIO((LINES + TORN).encode()))  # type: ignore[arg-type]

    monkeypatch.setattr(sys, "stdin", Piped())

    assert main(["trace", "nobody", "-"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "nothing in these logs is about job nobody",
        f"note: stdin ends without a line break, and its last line may be cut: {TORN}",
    ]
