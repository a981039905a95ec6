"""Reading logs: rotated, compressed, shared, prefixed, wrapped, torn."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lamplighter import UsageError
from lamplighter.history.audit.audit import Audit
from lamplighter.history.log_files.files import LogEnd
from lamplighter.history.log_files.lines import Unread, check_readable, fields_of, parse, read
from lamplighter.history.log_files.search import find, in_order
from lamplighter.history.replay.findings import NumberRanges

from ..kit import clean_run, write_log

LINE = {
    "event": "job.done",
    "ts": 1.5,
    "boot": "b",
    "seq": 3,
    "job_id": "j",
    "turn": 7,
    "outcome": "succeeded",
    "moves": [{"k": "done", "j": "j", "n": "it's", "r": 3}],
}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(LINE),
        json.dumps(LINE, separators=(",", ":")) + "\r\n",
        "2026-01-01 12:00:00,000 INFO lamplighter " + json.dumps(LINE),
        "web-1 {production} [info] " + json.dumps(LINE) + " trailing",
        json.dumps({"log": json.dumps(LINE) + "\n", "stream": "stdout"}),
        json.dumps({"message": json.dumps(LINE), "level": "INFO"}),
        "app: " + json.dumps({"event": json.dumps(LINE), "logger": "lamplighter"}),
    ],
)
def test_a_line_is_read_whatever_is_around_it(text):
    line = parse(text.encode())

    assert line is not None
    assert (line.event, line.boot, line.seq, line.job_id, line.turn) == ("job.done", "b", 3, "j", 7)
    assert line.moves is not None
    assert [(move.k, move.n, move.r) for move in line.moves] == [("done", "it's", 3)]
    assert fields_of(text.encode()) == LINE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GET /boot?seq=1 200",
        '{"event": "user.created", "ts": 1.0}',
        '{"boot": "b", "seq": 1}',
        '["event", "boot", "seq"]',
        json.dumps(LINE)[:-20],
        json.dumps({**LINE, "seq": "three"}),
        '{"event": "job.done", "boot": "b", "seq": 1, "moves": {}}',
        "\udcff{".encode(errors="surrogateescape"),
    ],
)
def test_what_is_no_line_of_ours_or_torn_is_passed_over(text):
    assert parse(text if isinstance(text, bytes) else text.encode()) is None


@pytest.mark.parametrize("wrong", [{"seq": "3"}, {"seq": None}, {"boot": 7}, {"event": "Not.A.Name"}, {"event": None}])
def test_a_line_whose_own_fields_are_of_another_kind_is_none_of_ours(wrong):
    assert fields_of(json.dumps(LINE).encode()) == LINE
    assert fields_of(json.dumps({**LINE, **wrong}).encode()) is None


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["", "GET / 200", "another"], r"no line that is one; the first is log:2: GET / 200"),
        (["GET / 200", "boot=b seq=x", ""], r"no line that is one; the first is log:2: boot=b seq=x"),
        (["cut"], "no line that is one; the first is (log:1: )?cut"),
        ([], "no line at all"),
    ],
)
def test_a_log_of_somebody_else_is_refused_with_what_stands_in_it(tmp_path, lines, says):
    log = tmp_path / "log"
    log.write_text("\n".join(lines))

    with pytest.raises(UsageError, match=f"in one of the formats of docs/debugging.md, got: {says}$"):
        check_readable([str(log)])


@pytest.mark.parametrize(
    ("chunks", "rest"),
    [([b"a\nb"], b"b"), ([b"a", b"b"], b"ab"), ([b"a", b"\nb"], b"b"), ([b"a\n"], b""), ([b"\n"], b"")],
)
def test_what_stands_behind_the_last_line_break_is_the_rest(chunks, rest):
    end = LogEnd()
    for chunk in chunks:
        end.come_to(chunk)

    assert end.rest == rest


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail(raw):
    parse(raw)
    fields_of(raw)


def test_rotated_and_compressed_logs_may_be_given_in_any_order(tmp_path):
    lines = [line for line in clean_run().lines if "seq" in line]
    third = len(lines) // 3
    oldest = tmp_path / "app.log.2.gz"
    oldest.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines[:third]).encode()))
    middle = write_log(tmp_path / "app.log.1", lines[third : 2 * third])
    newest = write_log(tmp_path / "app.log", lines[2 * third :])

    for order in ([newest, middle, oldest], [middle, oldest, newest]):
        audit = Audit()
        seqs = []
        for line in read([str(path) for path in order]):
            audit.feed(line)
            seqs.append(line.seq)
        assert seqs == [line["seq"] for line in lines]
        assert audit.finish().ok


def test_a_turn_that_lies_in_two_logs_is_read_in_its_order(tmp_path):
    lines = [{**LINE, "seq": seq, "ts": 7.0} for seq in range(1, 7)]
    older, newer = write_log(tmp_path / "app.log.1", lines[:3]), write_log(tmp_path / "app.log", lines[3:])

    orders = [[line.seq for line in read([str(one), str(other)])] for one, other in ((older, newer), (newer, older))]

    assert orders == [[1, 2, 3, 4, 5, 6]] * 2


def test_a_compressed_log_that_ends_in_the_middle_is_read_as_far_as_it_goes_and_said(tmp_path):
    whole = gzip.compress("".join(json.dumps({**LINE, "seq": n}) + "\n" for n in range(20_000)).encode())
    torn = tmp_path / "torn.gz"
    torn.write_bytes(whole[: len(whole) // 2])

    unread = Unread()

    assert 0 < len(list(read([str(torn)], unread))) < 20_000

    assert unread.notes[0] == "torn.gz ends in the middle of what was compressed: the rest was not read"


def test_a_log_that_cannot_be_read_is_said_with_its_name(tmp_path):
    with pytest.raises(UsageError, match=r"expected the path of a log that can be read, got: '.*nowhere'"):
        list(read([str(tmp_path / "nowhere")]))


def test_a_line_knows_where_it_stands(tmp_path):
    log = tmp_path / "app.log"
    log.write_text("something else\n" + json.dumps(LINE) + "\n")

    (line,) = read([str(log)])

    assert line.text == "app.log:2: " + json.dumps(LINE)


def test_a_search_finds_lines_across_the_borders_of_its_chunks(tmp_path, monkeypatch):
    lines = [{**LINE, "seq": number, "job_id": f"j{number}"} for number in range(200)]
    log = write_log(tmp_path / "log", lines)
    for chunk in (64, 100, 333, 4096):
        monkeypatch.setattr("lamplighter.history.log_files.search.CHUNK_BYTES", chunk)

        assert [said["seq"] for said in find([str(log)], [b'"j17"', b'"j170"'])] == [17, 170]
        assert len(list(find([str(log)], [b"job.done"]))) == 200


def test_lines_are_ordered_by_number_within_a_boot_and_by_revision_between_boots():
    lines = [
        {"boot": "a", "seq": 1, "ts": 10.0, "rev": 1, "job_id": "j"},
        {"boot": "a", "seq": 2, "ts": 9.0},
        {"boot": "b", "seq": 9, "ts": 8.0, "rev": 2, "job_id": "j"},
        {"boot": "b", "seq": 10, "ts": 11.0, "rev": 3, "job_id": "j"},
    ]

    ordered = in_order(lines[::-1])

    assert [line["rev"] for line in ordered if "rev" in line] == [1, 2, 3]
    assert [line["seq"] for line in ordered if line["boot"] == "a"] == [1, 2]


def test_the_lives_of_an_id_that_was_used_again_come_one_after_the_other():
    times = [(10.0, 1), (12.0, 2), (11.0, 3), (20.0, 1), (22.0, 2), (21.0, 3)]
    lines = [{"boot": f"b{at}", "seq": 1, "ts": at, "rev": rev, "job_id": "j"} for at, rev in times]

    assert in_order(lines[::-1]) == in_order(lines[2:] + lines[:2]) == lines


@given(st.lists(st.integers(1, 60)))
def test_revisions_are_a_set_that_knows_its_gaps(numbers):
    revisions, model = NumberRanges(), set()
    for number in numbers:
        assert revisions.add(number) == (number not in model)
        model.add(number)

    assert len(revisions) == len(model)
    assert all((number in revisions) == (number in model) for number in range(62))
    assert (revisions.first, revisions.last) == ((min(model), max(model)) if model else (0, 0))
    missing = [number for first, last in revisions.gaps(1, 61) for number in range(first, last + 1)]
    assert missing == sorted(set(range(1, 62)) - model)
    assert any(revisions.gaps(3, 9)) == bool(set(range(3, 10)) - model)


@given(st.permutations(range(1, 41)), st.integers(0, 40))
def test_revisions_that_come_in_any_order_weigh_as_much_as_they_have_gaps(numbers, told):
    # A log of millions of lines is audited in the room of its gaps.
    revisions, model = NumberRanges(), sorted(numbers[:told])
    for number in numbers[:told]:
        revisions.add(number)
    runs = sum(number - 1 not in model for number in model)

    assert revisions.pieces == runs
    for first, last in list(revisions.gaps(1, 40)):
        revisions.fill(first, last)
    assert revisions.pieces == 1


@pytest.mark.parametrize("chunk", [64, 1000, 1 << 20])
def test_a_search_between_two_instants_misses_nothing_that_lies_between_them(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr("lamplighter.history.log_files.search.CHUNK_BYTES", chunk)
    monkeypatch.setattr("lamplighter.history.log_files.search.PROBE_BYTES", 300)
    lines = [{**LINE, "ts": float(number), "seq": number} for number in range(0, 5000, 10)]
    log = tmp_path / "log"
    log.write_text("".join(f"something else\n{json.dumps(line)}\n" for line in lines))

    found = [said["seq"] for said in find([str(log)], [b"job.done"], within=(2000.0, 2500.0))]

    assert [seq for seq in found if 2000 <= seq <= 2500] == list(range(2000, 2501, 10))
    if chunk < 1 << 20:
        assert len(found) < 100
