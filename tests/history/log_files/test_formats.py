"""Every format that docs/debugging.md calls readable: what the log says is the same, whatever has been made of it."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import logging
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from lamplighter import UsageError
from lamplighter.cli.main import main
from lamplighter.history.log_files.lines import NAMES, Unread, fields_of, read
from lamplighter.log.log_line import LogLine
from lamplighter.log.outlets import Console, StandardOutlet, StructlogOutlet, outlet_of

from ..kit import Said, Story, clean_run, index_of, write_log

SAMPLES = Path(__file__).parent / "samples"
"""Written by a runtime whose host used python-json-logger 4.2.0 and ecs-logging 2.3.0, on Python 3.13, in UTC."""

AT = "2026-11-26T07:11:07.123456789Z"

Render = Callable[[list[Said]], str]


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch) -> Iterator[None]:
    """Text without a zone is of the reader's."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def run_lines() -> list[Said]:
    """A run's lines, those of its host among them, each with a time."""
    lines, at = [], 0.0
    for line in clean_run().lines:
        at = line.get("ts", at)
        lines.append({**line, "ts": at})
    return lines


def by_structlog(*processors: Any) -> Render:
    """What a host's structlog writes, with these processors."""

    def render(lines: list[Said]) -> str:
        out = io.StringIO()
        logger = structlog.wrap_logger(
            structlog.WriteLogger(out),
            processors=[structlog.processors.add_log_level, *processors],
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        )
        outlet = outlet_of(logger)
        assert isinstance(outlet, StructlogOutlet)
        for line in lines:
            outlet.write([line])
        return out.getvalue()

    return render


def by_logging(formatter: logging.Formatter) -> Render:
    """What a host's standard logging writes, with this formatter."""

    def render(lines: list[Said]) -> str:
        out = io.StringIO()
        logger = logging.Logger("lamplighter", logging.DEBUG)
        handler = logging.StreamHandler(out)
        handler.setFormatter(formatter)
        logger.addHandler(handler)
        outlet = StandardOutlet(logger)
        for line in lines:
            outlet.write([line])
        return out.getvalue()

    return render


class Json(logging.Formatter):
    """The JSON formatter that everybody writes once."""

    def format(self, record: logging.LogRecord) -> str:
        said = {"time": self.formatTime(record), "level": record.levelname, "message": record.getMessage()}
        return json.dumps(said)


def plain(lines: list[Said]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def docker(text: str) -> str:
    """Docker's json-file driver: 16 KiB a piece, and two streams that are written at once."""
    pieces = [
        json.dumps({"log": line[at : at + 16384], "stream": "stderr", "time": AT})
        for line in text.splitlines(keepends=True)
        for at in range(0, len(line), 16384)
    ]
    other = json.dumps({"log": "another line\n", "stream": "stdout", "time": AT})
    return "".join(f"{piece}\n{other}\n" for piece in pieces)


def cri(text: str) -> str:
    """Kubernetes' CRI, as containerd writes it."""
    pieces = []
    for line in text.splitlines():
        for at in range(0, len(line), 16384):
            tag = "P" if at + 16384 < len(line) else "F"
            pieces += [f"{AT} stderr {tag} {line[at : at + 16384]}\n", f"{AT} stdout F another line\n"]
    return "".join(pieces)


def journal_json(text: str) -> str:
    """`journalctl -o json`: a line that holds what is no text is a list of bytes; one of 48 KiB is cut."""
    entries = []
    for line in text.splitlines():
        parts = [line[at : at + 49152] for at in range(0, len(line), 49152)]
        for number, part in enumerate(parts):
            more = {} if number == len(parts) - 1 else {"_LINE_BREAK": "line-max"}
            message: Any = list(part.encode()) if "\x1b" in part else part
            entries.append({"__REALTIME_TIMESTAMP": "1795678000000000", "_STREAM_ID": "s", "MESSAGE": message, **more})
            entries.append({"__REALTIME_TIMESTAMP": "1795678000000000", "_STREAM_ID": "t", "MESSAGE": None})
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def journal_export(text: str) -> bytes:
    """`journalctl -o export`: every second message in the form that binary fields have."""
    entries = []
    for number, line in enumerate(text.splitlines()):
        raw = line.encode()
        message = b"MESSAGE=" + raw if number % 2 else b"MESSAGE\n" + len(raw).to_bytes(8, "little") + raw
        entries.append(b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795678000000000\n_PID=7\n" + message + b"\n\n")
    return b"".join(entries)


ISO = structlog.processors.TimeStamper(fmt="iso", key="ts")

FORMATS: dict[str, Render] = {
    "JSON lines": plain,
    "JSON behind the prefix of basicConfig": by_logging(
        logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    ),
    "a JSON formatter of the standard library": by_logging(Json()),
    "structlog, EventRenamer": by_structlog(
        structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer()
    ),
    "structlog, logfmt": by_structlog(structlog.processors.LogfmtRenderer()),
    "structlog, key and value": by_structlog(structlog.processors.KeyValueRenderer()),
    "structlog, console in colours": by_structlog(structlog.dev.ConsoleRenderer(colors=True)),
    "structlog, console": by_structlog(
        structlog.processors.TimeStamper(fmt="iso"), structlog.dev.ConsoleRenderer(colors=False)
    ),
    "structlog, console with the time of day": by_structlog(
        structlog.processors.TimeStamper(fmt="%H:%M:%S"), structlog.dev.ConsoleRenderer(colors=True)
    ),
}

FRAMES: dict[str, Callable[[str], str | bytes]] = {
    "Docker": docker,
    "CRI": cri,
    "journalctl -o json": journal_json,
    "journalctl -o export": journal_export,
}


def answers(log: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the command says to each question."""
    lines = clean_run().lines
    job_id = lines[index_of(lines, "job.snoozed")]["job_id"]
    schedule = lines[index_of(lines, "slot.fired")]["schedule"]
    at = str(lines[index_of(lines, "job.snoozed")]["ts"])
    said = []
    for question in (
        ["audit"],
        ["trace", job_id],
        ["trace", "--schedule", schedule],
        ["trace", "--actor", "broker"],
        ["trace", "--actor", "handler:bad"],
        ["trace", "--corr", job_id],
        ["trace", "--at", at],
    ):
        assert main([*question, str(log)]) == 0, question
        said.append(capsys.readouterr().out)
    return said


@pytest.mark.parametrize("frame", [None, *FRAMES])
@pytest.mark.parametrize("name", FORMATS)
def test_each_question_has_the_same_answer_in_every_format(tmp_path, capsys, name, frame):
    bare = answers(write_log(tmp_path / "bare.log", run_lines()), capsys)
    text = FORMATS[name](run_lines())
    framed = text if frame is None else FRAMES[frame](text)
    log = tmp_path / "app.log"
    log.write_bytes(framed if isinstance(framed, bytes) else framed.encode())

    assert answers(log, capsys) == bare


QUOTING = {
    "event": "job.failed",
    "level": "warning",
    "ts": 5.0,
    "boot": "b",
    "seq": 3,
    "job_id": "j",
    "claim_no": 1,
    "outcome": "failed",
    "error": """HTTPError: {"error": "gone", "boot": "c", "seq": 4} = 'x'""",
}

RECOVERY = {
    "event": "turn.committed",
    "level": "info",
    "ts": 1795677335.25,
    "boot": "b",
    "seq": 4,
    "of": "dead",
    "told_by": "b",
    "turn": 7,
    "moves": [{"k": "done", "j": "it's j", "r": 3}, {"k": "skipped", "s": "s", "t": 1.0, "l": 2.0, "x": 2}],
}


@pytest.mark.parametrize("name", FORMATS)
def test_errors_that_quote_json_and_what_a_recovery_tells_are_read_in_every_format(name):
    """Both were passed over in formats of pairs: the audit missed lines that were there, and counted no crash."""
    text = FORMATS[name]([QUOTING, RECOVERY])

    failed, recovered = (fields_of(line.encode()) for line in text.splitlines())

    assert failed is not None
    assert (failed["event"], failed["seq"], failed["error"]) == ("job.failed", 3, QUOTING["error"])
    assert recovered is not None
    assert recovered["moves"] == RECOVERY["moves"]


@pytest.mark.parametrize(("first", "called"), [*itertools.pairwise(NAMES)])
@pytest.mark.parametrize("event", ["job.done", "job.begun"])
def test_a_line_is_an_event_under_the_name_that_has_one(first, called, event):
    line = {first: "job.done" if event == "job.begun" else "app.said", called: event, "boot": "b", "seq": 3}

    said = fields_of(json.dumps(line).encode())

    # One that is known counts before one that a newer version may have.
    assert said is not None
    assert (said["event"], said["boot"], said["seq"]) == ("job.done", "b", 3)


def test_pairs_in_what_a_user_has_sent_are_no_line(tmp_path):
    text = 'INFO app {"message": "boot=b seq=3 event=job.done job_id=j", "level": "info"}'

    assert fields_of(text.encode()) is None


@pytest.mark.parametrize("sample", sorted(path.name for path in SAMPLES.iterdir()))
def test_what_the_usual_json_formatters_have_written_is_read(sample, capsys):
    log = str(SAMPLES / sample)

    assert main(["audit", log]) == 0
    assert main(["trace", "--actor", "broker", log]) == 0
    assert main(["trace", "--json", "j1", log]) == 0

    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("all is well: 1 job, 5 transitions, ")
    hops = [json.loads(line)["says"] for line in said if line.startswith("{")]
    assert [hop for hop in hops if hop.startswith("says: ")] == ["says: said by the host"] * 2
    assert [hop.split()[0] for hop in hops] == [
        "queued,",
        "claim",
        "attempt",
        "says:",
        "attempt",
        "claim",
        "attempt",
        "says:",
        "done",
    ]


def test_what_the_console_of_configure_logging_shows_is_read(tmp_path, monkeypatch, capsys):
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    console = Console()
    for line in run_lines():
        record = logging.makeLogRecord({"msg": LogLine(line, is_event=True), "created": line["ts"]})
        console.emit(record)
    monkeypatch.undo()
    log = tmp_path / "console.log"
    log.write_text(out.getvalue())
    lines = clean_run().lines
    job_id = lines[index_of(lines, "job.snoozed")]["job_id"]

    assert main(["audit", str(log)]) == 0
    assert main(["trace", "--json", job_id, str(log)]) == 0

    said = capsys.readouterr().out.splitlines()
    assert "tells no turns" in said[0]
    hops = [json.loads(line) for line in said if line.startswith("{")]
    assert [hop["line"]["event"] for hop in hops][:3] == ["job.queued", "job.claimed", "job.started"]
    assert all(abs(hop["at"] - lines[0]["ts"]) < 60.0 for hop in hops)


LINE = {
    "event": "turn.committed",
    "boot": "b",
    "seq": 3,
    "turn": 7,
    "store_id": "s",
    "moves": [{"k": "done", "j": "it's", "n": 'a "b"', "r": 3}],
}


@pytest.mark.parametrize(
    ("ts", "instant"),
    [
        (1795677335.25, 1795677335.25),
        (1795677335250, 1795677335.25),
        ("1795677335.25", 1795677335.25),
        ("2026-11-26T07:15:35.25Z", 1795677335.25),
        ("2026-11-26T08:15:35.250000+01:00", 1795677335.25),
        ("2026-11-26 07:15:35,250", 1795677335.25),
        ("yesterday", None),
        (float(10**300), None),
        (True, None),
    ],
)
def test_a_time_is_a_number_or_iso_8601(ts, instant):
    said = fields_of(json.dumps({**LINE, "ts": ts}).encode())

    assert said is not None
    assert said.get("ts") == instant


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"time": "2026-11-26T07:15:35.25Z", "message": json.dumps(LINE)}),
        json.dumps({**LINE, "timestamp": "2026-11-26T07:15:35.25Z"}),
        "2026-11-26T07:15:35.25Z " + json.dumps(LINE),
        "web-1  | 2026-11-26 07:15:35,25 INFO " + json.dumps(LINE),
        "2026-11-26 07:15:35.25 [info     ] turn.committed   boot=b seq=3 store_id=s turn=7 "
        + f"moves={str(LINE['moves'])!r}",
        f"2026-11-26 07:15:35.25 [info     ] turn.committed   boot=b seq=3 moves={LINE['moves']} store_id=s turn=7",
    ],
)
def test_a_line_without_a_time_has_that_of_whoever_wrapped_it(text):
    assert fields_of(text.encode()) == {**LINE, "ts": 1795677335.25} | (
        {"timestamp": "2026-11-26T07:15:35.25Z"} if '"timestamp"' in text else {}
    )


def test_the_lines_of_a_host_are_dated_by_themselves_at_every_level(tmp_path, capsys):
    story = Story().done()
    for line, at in zip(story.lines, (90.0, 91.0, 99.0, 100.0, 103.0, 103.0), strict=True):
        line["ts"] = at
    lines = [
        *story.lines[:4],
        {"event": "step one", "ts": 101.0, "job_id": "j", "job_name": "report"},
        {"event": "step two", "timestamp": "1970-01-01T00:01:42Z", "job_id": "j", "job_name": "report"},
        {"event": "no time", "job_id": "j", "job_name": "report"},
        *story.lines[4:],
    ]

    assert main(["trace", "--json", "j", str(write_log(tmp_path / "log", lines))]) == 0

    hops = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(hop["at"], hop["says"]) for hop in hops] == [
        (99.0, "queued"),
        (100.0, "claim 1 taken"),
        (101.0, "says: step one"),
        (102.0, "says: step two"),
        (None, "says: no time"),
        (103.0, "done"),
    ]


@pytest.mark.parametrize("frame", FRAMES)
def test_a_long_line_in_pieces_is_whole_again(tmp_path, frame):
    long = {**LINE, "ts": 5.0, "reason": "é" * 60_000}
    framed = FRAMES[frame](json.dumps(long) + "\n" + json.dumps({**LINE, "ts": 6.0, "seq": 4}) + "\n")
    log = tmp_path / "app.log.gz"
    log.write_bytes(gzip.compress(framed if isinstance(framed, bytes) else framed.encode()))

    assert [(line.seq, line.reason) for line in read([str(log)])] == [(3, "é" * 60_000), (4, None)]


@pytest.mark.parametrize(
    "question", [["audit"], ["trace", "j"], ["trace", "--actor", "broker"], ["trace", "--at", "9"]]
)
def test_a_log_in_no_known_format_is_refused_with_its_first_line(tmp_path, capsys, question):
    log = tmp_path / "app.log"
    log.write_text("hello\nevent: job.done, boot: b, seq: 3, rev: 7\n")

    assert main([*question, str(log)]) == 2

    said = capsys.readouterr().err
    assert "expected a log of Lamplighter's, in one of the formats of docs/debugging.md, got: no line that is" in said
    assert "app.log:2: event: job.done, boot: b, seq: 3, rev: 7" in said


def test_lines_that_look_like_ours_and_cannot_be_read_are_counted(tmp_path, capsys):
    lines = plain(run_lines()).splitlines(keepends=True)
    log = tmp_path / "app.log"
    log.write_text("".join(lines[:5]) + lines[5][:-40] + "\n" + "".join(lines[6:]))

    main(["audit", str(log)])

    assert "note: 1 line looks like Lamplighter's and cannot be read; the first is app.log:6: {" in (
        capsys.readouterr().out
    )


def test_a_number_of_a_job_or_a_text_of_any_script_finds_it_in_every_format(tmp_path, capsys):
    ids = ["17", "é", "naïve job", '"quoted"', "a=b", "пример"]
    lines = [
        {
            "event": "job.done",
            "level": "info",
            "ts": 5.0 + n,
            "boot": "b",
            "seq": n,
            "job_id": job_id,
            "from": "running",
            "to": "done",
            "rev": n,
            "revs": [n],
            "outcome": "succeeded",
        }
        for n, job_id in enumerate(ids, start=1)
    ]
    for render in FORMATS.values():
        log = tmp_path / "app.log"
        log.write_text(docker(render(lines)))
        for job_id in ids:
            assert main(["trace", job_id, str(log)]) == 0
            assert f"job {job_id} (?): done" in capsys.readouterr().out


def test_frames_and_pieces_of_any_kind_never_make_the_reader_fail(tmp_path):
    chance = random.Random(7)
    text = plain(run_lines()[:12])
    for number in range(120):
        framed = list(FRAMES.values())[number % len(FRAMES)](text)
        raw = bytearray(framed if isinstance(framed, bytes) else framed.encode())
        for _ in range(chance.randrange(1, 40)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        log = tmp_path / "spoiled"
        log.write_bytes(raw[: chance.randrange(len(raw))])

        for _ in read([str(log)], Unread()):
            pass


def test_another_compression_is_refused_with_the_way_around_it(tmp_path):
    log = tmp_path / "app.log.zst"
    log.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(40))

    with pytest.raises(
        UsageError, match=r"compressed by zstd; give it decompressed, as in: zstd -dc .* \| lamplighter"
    ):
        list(read([str(log)]))
