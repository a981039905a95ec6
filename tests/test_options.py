"""The options of the calls, as type checkers know them: the same as those that the calls have."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any, get_args, get_type_hints

from lamplighter import JobSpec, JobState
from lamplighter.api.jobs import Jobs
from lamplighter.handlers.handler import HandlerKeywords
from lamplighter.messages.jobs import JobKeywords, JobStateName
from lamplighter.rules.limits import LimitKeywords, Limits
from lamplighter.stores.opening import Durability
from lamplighter.stores.sqlite.store import DURABILITY

NOT_OPTIONS = ("name", "data", "types")
"""Fields of a JobSpec: the last is set by the `spec` of a handler object."""


def fields_of(value: type, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    return {name: kind for name, kind in get_type_hints(value).items() if name not in without}


def by_keyword(call: Any) -> dict[str, Any]:
    names = [name for name, one in inspect.signature(call).parameters.items() if one.kind is one.KEYWORD_ONLY]
    kinds = get_type_hints(call)
    return {name: kinds[name] for name in names}


def test_the_keywords_of_a_job_are_the_options_of_its_spec() -> None:
    assert fields_of(JobKeywords) == fields_of(JobSpec, without=frozenset({*NOT_OPTIONS, "_"}))
    assert not JobKeywords.__required_keys__


def test_the_options_of_a_spec_are_those_of_queue_but_the_connection() -> None:
    said = inspect.signature(Jobs.queue).parameters
    options = {name: (one.annotation, one.default) for name, one in said.items() if one.kind is one.KEYWORD_ONLY}

    assert options.pop("connection") == ("Any", None)
    assert options == {
        field.name: (field.type, field.default) for field in fields(JobSpec) if field.name not in NOT_OPTIONS
    }


def test_the_keywords_of_a_runtime_are_its_limits() -> None:
    assert fields_of(LimitKeywords) == fields_of(Limits)
    assert not LimitKeywords.__required_keys__


def test_the_keywords_of_a_handler_are_the_options_of_add_handler() -> None:
    assert fields_of(HandlerKeywords) == by_keyword(Jobs.add_handler)
    assert not HandlerKeywords.__required_keys__


def test_a_state_may_be_written_as_the_states_are_called() -> None:
    assert get_args(JobStateName) == tuple(JobState)


def test_a_durability_may_be_written_as_the_store_has_it() -> None:
    assert get_args(Durability) == tuple(DURABILITY)


def test_alist_takes_what_list_takes() -> None:
    assert inspect.signature(Jobs.alist).parameters == inspect.signature(Jobs.list).parameters
