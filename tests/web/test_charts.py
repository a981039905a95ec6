"""Charts are text: what they say can be read without seeing them, and holds no markup of anybody else."""

from __future__ import annotations

from xml.etree import ElementTree

from lamplighter.web.rendering import HEIGHT, columns, number, sparkline


def test_each_column_says_what_it_stands_for() -> None:
    drawn = columns({"done": [3, 0], "dead": [1, 2]}, ["12:00", "12:01"], title="Jobs a minute")

    root = ElementTree.fromstring(drawn)
    assert [title.text for title in root.iter("title")] == ["12:00: 3 done, 1 dead", "12:01: 0 done, 2 dead"]
    assert root.get("aria-label") == "Jobs a minute"


def test_the_highest_column_fills_the_chart_and_stacks_do_not_overlap() -> None:
    root = ElementTree.fromstring(columns({"done": [3, 1], "dead": [1, 0]}, ["a", "b"], title="t"))

    bars = [(bar.get("class"), float(bar.get("y", "")), float(bar.get("height", ""))) for bar in root.iter("rect")]
    heights = {(kind, top): height for kind, top, height in bars if kind != "whole"}
    assert heights == {
        ("done", HEIGHT / 4): HEIGHT * 3 / 4,
        ("dead", 0.0): HEIGHT / 4,
        ("done", HEIGHT * 3 / 4): HEIGHT / 4,
    }


def test_nothing_at_all_is_a_chart_too() -> None:
    assert list(ElementTree.fromstring(columns({"done": [0]}, ["a"], title="t")).iter("rect"))
    assert sparkline([], title="t") == ""


def test_a_name_with_markup_stays_text() -> None:
    hostile = '"><script>alert(1)</script>'

    for drawn in (columns({"done": [1]}, [hostile], title=hostile), sparkline([1, 2], title=hostile)):
        assert not list(ElementTree.fromstring(drawn).iter("script"))


def test_numbers_are_written_as_people_read_them() -> None:
    assert [number(value) for value in (0, 1234567, 2.0, 2.25)] == ["0", "1,234,567", "2", "2.2"]
