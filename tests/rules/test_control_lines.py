"""Views, questions and answers as lines of JSON, between processes that need not be of one version."""

from __future__ import annotations

import json

import msgspec
import pytest
from lamplighter import UsageError
from lamplighter.messages.controls import Ask
from lamplighter.messages.views import DeclaredView, Stack, StacksView
from lamplighter.rules.control_lines import (
    AskRefused,
    decode_answer,
    decode_ask,
    encode_answer,
    encode_ask,
    encode_refusal,
    encode_view,
)

DECLARED = DeclaredView(boot="b", schedules=("s1", "s2"))


def test_a_question_and_an_answer_are_a_line_each_and_come_out_as_they_went_in():
    ask = Ask(verb="view", by="ada@here", via="cli")
    asked, answered = encode_ask(ask), encode_answer(DECLARED)

    assert (asked.count(b"\n"), answered.count(b"\n")) == (1, 1)
    assert decode_ask(asked) == ask
    assert decode_answer(answered, DeclaredView) == DECLARED


def test_what_a_newer_version_says_more_is_passed_over():
    line = json.dumps({"v": 1, "verb": "view", "colour": "blue"}).encode()
    answer = json.dumps({"v": 1, "answer": {"boot": "b", "schedules": [], "moods": 3}, "took": 1}).encode()

    assert decode_ask(line) == Ask(verb="view")
    assert decode_answer(answer, DeclaredView) == DeclaredView(boot="b", schedules=())


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"view\n", b"[1]\n", b'{"v":1}\n', b'{"v":"1","verb":"view"}\n', b"\xff\n"]
)
def test_what_is_no_question_is_refused_and_never_an_error_of_another_kind(line):
    with pytest.raises(UsageError, match="expected a question"):
        decode_ask(line)


def test_lines_of_another_version_are_refused_and_which_one_was_expected_is_said():
    with pytest.raises(UsageError, match="expected v=1, got: 2"):
        decode_ask(b'{"v":2,"verb":"view"}\n')
    with pytest.raises(UsageError, match="expected an answer of v=1, got: 2"):
        decode_answer(b'{"v":2,"answer":{}}\n', DeclaredView)


def test_a_refusal_says_why():
    with pytest.raises(AskRefused, match="expected one of"):
        decode_answer(encode_refusal("unknown_verb", "expected one of them"), DeclaredView)


@pytest.mark.parametrize("line", [b"", b"nothing", b'{"v":1,"answer":{"boot":1}}', b'{"v":1,"answer":null}'])
def test_what_is_no_answer_is_said_to_be_none(line):
    with pytest.raises(UsageError, match="expected"):
        decode_answer(line, DeclaredView)


def test_a_file_whose_name_is_no_unicode_is_shown():
    stack = Stack(what="thread", name="main", stack="File caf\udce9.py")
    view = StacksView(at=1.0, boot="b", pid=1, stacks=(stack,))

    assert msgspec.json.decode(encode_view(view))["stacks"][0]["stack"] == "File caf\ufffd.py"
