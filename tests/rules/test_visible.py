"""What a log, an error or a job's data hold never reaches a terminal as anything but text."""

from __future__ import annotations

import io
import json
import logging
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lamplighter.cli.main import main
from lamplighter.log.log_line import LogLine
from lamplighter.log.outlets import Console
from lamplighter.rules.printable import visible

HOSTILE = [
    "\x1b[2J\x1b[H all is well: 1 job",
    "\x1b]0;another title\x07",
    "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "\x1bP+q544e\x1b\\",
    "\x9b31mred in C1\x9d0;title\x9c",
    "failed\rdone  ",
    "failed\x08\x08\x08\x08\x08\x08done",
    "invoice_\u202efdp.exe",
    "\u2066left\u2069 \u200fright",
    "two\u2028lines\u2029more",
    "bell\x07 vertical\x0b form\x0c nul\x00 del\x7f",
    "\ud800 alone",
    "\u00adsoft \ufeffmark",
    "\x1b[?1049h\x1b[6n",
]


def is_harmless(text: str) -> bool:
    return all(unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in text.replace("\n", ""))


@pytest.mark.parametrize("text", HOSTILE)
def test_what_would_drive_a_terminal_is_shown_as_an_escape(text):
    assert is_harmless(visible(text))
    assert visible(text) != text


@given(st.text())
def test_text_that_drives_nothing_stays_as_it_is(text):
    shown = visible(text)

    assert visible(shown) == shown
    if all(one.isprintable() for one in text):
        assert shown == text


def test_scripts_and_pictures_that_need_joiners_keep_them():
    assert visible("می‌خواهم 👩‍👧") == "می‌خواهم 👩‍👧"
    assert visible("a\n\tb", breaks=True) == "a\n\tb"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_answer_of_the_command_drives_the_terminal(tmp_path, capsys, hostile):
    lines = [
        {"event": "runtime.started", "store": hostile, "host": hostile, "boot": hostile, "seq": 1},
        {"event": "schedule.added", "schedule": "s", "when": hostile, "timezone": hostile, "job_name": hostile},
        {"event": "actor.crashed", "child": f"handler:{hostile}", "reason": hostile, "message": hostile},
        {"event": "job.queued", "to": "queued", "rev": 1, "claim_no": 0, "attempt": 0},
        {"event": "job.failed", "error": hostile, "outcome": hostile, "reason": hostile, "claim_no": 1, "attempt": 1},
        {"event": "job.dead", "from": "queued", "to": "dead", "rev": 2, "revs": [1, 2], "reason": hostile},
        {"event": "slot.skipped", "schedule": "s", "slot": 5.0, "reason": hostile, "by": hostile},
        {"event": hostile, "job_id": "j"},
    ]
    log = tmp_path / "app.log"
    text = "".join(
        json.dumps({"boot": "b", "seq": n, "ts": float(n), "job_id": "j", "job_name": hostile, **line}) + "\n"
        for n, line in enumerate(lines, start=1)
    )
    raw = f"{hostile} not a line of ours, boot: 1, seq: 1\n".encode(errors="replace")
    log.write_bytes(raw + text.replace("\\ud800", "?").encode())

    for question in (["audit"], ["trace", "j"], ["trace", "--schedule", "s"], ["trace", "--at", "9"]):
        main([*question, str(log)])
        said = capsys.readouterr()
        assert is_harmless(said.out + said.err)
        assert said.out


@pytest.mark.parametrize("hostile", HOSTILE)
def test_the_console_shows_what_is_hostile_as_text(monkeypatch, hostile):
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    console = Console()
    fields = {"event": hostile, "level": "error", "error": hostile, "traceback": f"{hostile}\n", hostile: [hostile]}

    console.emit(logging.makeLogRecord({"msg": LogLine(fields, is_event=True)}))

    assert is_harmless(out.getvalue())
    assert out.getvalue()


def test_a_terminal_of_another_encoding_gets_escapes_and_not_an_error(tmp_path, monkeypatch):
    log = tmp_path / "app.log"
    line = {"event": "job.dead", "ts": 5.0, "boot": "b", "seq": 1, "job_id": "j", "rev": 1, "revs": [1], "reason": "é…"}
    log.write_text(json.dumps(line) + "\n")
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", out)

    assert main(["trace", "j", str(log)]) == 0
    out.seek(0)
    assert "dead: \\xe9\\u2026" in out.read()
