"""Charts are text: what they say can be read without seeing them, and holds no markup of anybody else."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from lamplighter.messages.tallies import BOUNDS, RAN, WAITED, Tally, start_of
from lamplighter.web.pages.looks import SPANS, charts
from lamplighter.web.rendering import HEIGHT, columns, curves, decades_of, most_of, number, sparkline, ticks_of


def test_each_column_says_what_it_stands_for() -> None:
    drawn = columns({"done": [3, 0], "dead": [1, 2]}, ["12:00", "12:01"], title="Jobs a minute", line=[4, 0])

    root = ElementTree.fromstring(drawn)
    assert [title.text for title in root.iter("title")] == ["12:00: 3 done, 1 dead, 4 started", "12:01: 2 dead"]
    assert root.get("aria-label") == "Jobs a minute"
    places = [[one.get(name) for name in ("class", "x", "y", "width", "height")] for one in root.iter("rect")]
    assert places == [
        ["done", "0.0", "30.0", "288.0", "90.0"],
        ["dead", "0.0", "0.0", "288.0", "30.0"],
        ["dead", "360.0", "60.0", "288.0", "60.0"],
        ["whole", "0.0", "0", "360.0", "120"],
        ["whole", "360.0", "0", "360.0", "120"],
    ]
    assert [(line.get("class"), line.get("points")) for line in root.iter("polyline")] == [
        ("line", "0.0,0.0 288.0,0.0 360.0,120.0 648.0,120.0")
    ]


def test_columns_reach_up_to_a_round_number_and_stacks_do_not_overlap() -> None:
    counts = {"started": [3, 1], "done": [2, 1], "dead": [1, 0]}
    root = ElementTree.fromstring(columns({"done": [2, 1], "dead": [1, 0]}, ["a", "b"], title="t"))

    bars = [(bar.get("class"), float(bar.get("y", "")), float(bar.get("height", ""))) for bar in root.iter("rect")]
    assert most_of(counts) == 4
    assert {(kind, top): height for kind, top, height in bars if kind != "whole"} == {
        ("done", HEIGHT / 2): HEIGHT / 2,
        ("dead", HEIGHT / 4): HEIGHT / 4,
        ("done", HEIGHT * 3 / 4): HEIGHT / 4,
    }


def test_durations_are_drawn_over_powers_of_ten_and_a_gap_is_a_gap() -> None:
    series = {"p50": [0.001, None, 0.01], "p99": [0.1, None, 1.0]}
    decades = decades_of(series.values())
    root = ElementTree.fromstring(curves(series, ["a", "b", "c"], decades, title="Ran"))

    assert (list(decades), ticks_of(decades)) == ([-3, -2, -1, 0, 1], ["10 s", "100 ms", "1 ms"])
    assert [(line.get("class"), line.get("points")) for line in root.iter("polyline")] == [
        ("p50", "0.0,120.0 192.0,120.0"),
        ("p50", "480.0,90.0 672.0,90.0"),
        ("p99", "0.0,60.0 192.0,60.0"),
        ("p99", "480.0,30.0 672.0,30.0"),
    ]
    assert [(one.get("x"), one.get("width"), one.get("height")) for one in root.iter("rect")] == [
        ("0.0", "240.0", "120"),
        ("480.0", "240.0", "120"),
    ]
    assert [title.text for title in root.iter("title")] == ["a: 0.001 p50, 0.1 p99", "c: 0.01 p50, 1 p99"]


def test_nothing_at_all_is_a_chart_too() -> None:
    assert ElementTree.fromstring(columns({"done": [0]}, ["a"], title="t")).tag == "svg"
    assert ElementTree.fromstring(curves({"p50": [None]}, ["a"], decades_of([[None]]), title="t")).tag == "svg"
    assert most_of({"started": [], "done": []}) == 1
    assert sparkline([], title="t") == ""
    for values, line in (
        ([0, 0], "0.0,20.0 100.0,20.0"),
        ([3], "0.0,2.0"),
        ([0, 4, 2], "0.0,20.0 50.0,2.0 100.0,11.0"),
    ):
        (drawn,) = [one.get("points") for one in ElementTree.fromstring(sparkline(values, title="t")).iter("polyline")]
        assert drawn == line


def test_a_name_with_markup_stays_text() -> None:
    hostile = '"><script>alert(1)</script>'

    for drawn in (columns({"done": [1]}, [hostile], title=hostile), sparkline([1, 2], title=hostile)):
        assert not list(ElementTree.fromstring(drawn).iter("script"))


def test_numbers_are_written_as_people_read_them() -> None:
    assert [number(value) for value in (0, 1234567, 2.0, 2.25)] == ["0", "1,234,567", "2", "2.2"]


def test_of_a_store_that_counts_nothing_there_is_no_chart() -> None:
    found = charts(None, SPANS["1h"], 1_800_000_030.0)

    assert (found["is_kept"], {number for values in found["counts"].values() for number in values}) == (False, {0.0})


@pytest.mark.parametrize(("span", "minutes"), [("1h", 1), ("24h", 60)])
def test_the_failure_that_a_job_has_died_of_is_in_no_other_column(span: str, minutes: int) -> None:
    unit, now = SPANS[span].unit, 1_800_000_030.0
    begun = [0] * len(BOUNDS) + [240]
    told = (("done", 120, ()), ("dead", 60, ()), (f"{RAN}failed", 180, begun), (WAITED, 240, begun))
    tallies = [Tally(unit, start_of(unit, now), "", kind, n, 1.0, tuple(buckets)) for kind, n, buckets in told]

    found = charts(tallies, SPANS[span], now)

    counts = found["counts"]
    assert {name: values[-1] * minutes for name, values in counts.items()} == {
        "started": 240,
        "done": 120,
        "failed": 120,
        "dead": 60,
    }
    assert all(set(values[:-1]) == {0.0} and len(values) == len(found["labels"]) for values in counts.values())
