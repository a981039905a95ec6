"""Data as JSON text: what comes out is what went in."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lamplighter.environment.environment import new_id
from lamplighter.errors import UsageError
from lamplighter.rules.codec import DEPTH_MAX, encode, encode_own
from lamplighter.rules.new_jobs import JobIds

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_whatever_json_can_carry_comes_out_as_it_went_in(value: Any) -> None:
    text = encode(value, what="data", bytes_max=10**9)

    assert text.isascii()
    assert json.loads(text) == value


class Colour(IntEnum):
    RED = 1


@pytest.mark.parametrize(("value", "text"), [(Colour.RED, "1"), ((1, (2,)), "[1,[2]]")])
def test_what_is_unusual_and_can_be_carried_is(value: Any, text: str) -> None:
    assert encode(value, what="data", bytes_max=100) == text


@dataclass
class Picture:
    file: Any


@pytest.mark.parametrize(
    ("data", "where", "mended"),
    [
        ("\ud83d", "data", "\ufffd"),
        ({"to": ["ada", "b\udce9b"]}, "data.to[1]", {"to": ["ada", "b\ufffdb"]}),
        ({"\ud83d": 1}, "data", {"\ufffd": 1}),
        ([Picture(Path("caf\udce9"))], "data[0].file", [{"file": "caf\ufffd"}]),
        ("\ud83d\ude00", "data", "😀"),
    ],
)
def test_half_of_a_surrogate_pair_is_refused_or_becomes_a_character_that_says_so(data, where, mended) -> None:
    with pytest.raises(UsageError, match=f"^expected text of valid Unicode at {re.escape(where)}, got: "):
        encode(data, what="data", bytes_max=1000)

    assert json.loads(encode(data, what="data", bytes_max=1000, mends=True)) == mended


def test_what_an_older_version_has_stored_is_written_too() -> None:
    assert json.loads(encode_own({"\ud83d": ("a\udce9", Picture("\ud83d"))})) == {
        "\ufffd": ["a\ufffd", {"file": "\ufffd"}]
    }


@pytest.mark.parametrize("inner", [7, [], "x"])
def test_data_may_nest_just_so_deep(inner: Any) -> None:
    def nested(depth: int) -> Any:
        return inner if depth == 0 else [nested(depth - 1)]

    deepest = encode(nested(DEPTH_MAX), what="data", bytes_max=1000)

    assert deepest.count("[") >= DEPTH_MAX
    with pytest.raises(UsageError, match="nested"):
        encode(nested(DEPTH_MAX + 1), what="data", bytes_max=1000)


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {1: 2}, {"a": {None: 1}}, {1j}, [10**5000]])
def test_what_json_cannot_carry_is_refused(value: Any) -> None:
    with pytest.raises(UsageError):
        encode(value, what="data", bytes_max=10**9)


def test_the_ids_of_a_lifes_jobs_rise_and_two_lives_have_none_in_common() -> None:
    one, other = JobIds(new_id), JobIds(new_id)

    ids, others = [one() for _ in range(1000)], [other() for _ in range(1000)]

    assert ids == sorted(set(ids))
    assert not set(ids) & set(others)
    assert {len(one) for one in ids} == {28}
    # Nobody who knows some of them knows the next.
    assert len({one[-8:] for one in ids}) > 990
