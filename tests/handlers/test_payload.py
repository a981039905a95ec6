"""Typed payloads: a type that no data can have is refused when the handler is added, and no error quotes the data."""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import decimal
import enum
import pathlib
import typing
import uuid
from dataclasses import dataclass
from functools import partial

import msgspec
import pytest
from lamplighter import Discard, Job, UsageError
from lamplighter.handlers.payload import fit, payload_type
from lamplighter.testing import Inline

SECRET = "4111-1111-1111-1111"


class Order:
    def __init__(self, number):
        self.number = number


class Name(str):
    __slots__ = ()


class Colour(enum.Enum):
    RED = "red"


class Tree(msgspec.Struct):
    leaf: int
    below: list[Tree] = []


@dataclasses.dataclass
class Card:
    kind: typing.Literal["visa", "amex"]
    colour: Colour = Colour.RED
    limit: int = 0
    until: datetime.date | None = None


@dataclasses.dataclass
class Place:
    under: pathlib.Path


@dataclasses.dataclass
class Wallet:
    orders: list[Order]


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    number: int


@dataclasses.dataclass
class Checked:
    number: str

    def __post_init__(self):
        raise ValueError(f"{self.number} is no number")


class Cat(msgspec.Struct, tag=True):
    pass


class Dog(msgspec.Struct, tag=True):
    pass


def handler_for(wanted):
    def handle(job):
        return None

    handle.__annotations__ = {"job": Job[wanted]}
    return handle


IMPOSSIBLE = [
    Order,
    Name,
    complex,
    list[Order],
    dict[str, Order],
    Order | None,
    Wallet,
    tuple[int, Order],
]
POSSIBLE = [
    Card,
    Tree,
    Strict,
    Cat | Dog,
    Colour,
    dict,
    list[Card],
    object,
    typing.Any,
    collections.abc.Mapping,
    pathlib.Path,
    uuid.UUID,
    dict[uuid.UUID, pathlib.Path],
    decimal.Decimal,
    datetime.datetime,
    bytes,
    set[int],
    typing.Literal[1, 2],
    typing.NamedTuple("N", [("n", int)]),
    typing.TypedDict("T", {"n": int}),
]


@pytest.mark.parametrize("wanted", IMPOSSIBLE, ids=str)
def test_a_type_that_no_data_can_be_made_into_is_refused_when_its_handler_is_added(wanted):
    with pytest.raises(
        UsageError, match=r"expected a payload type that JSON data can be made into .* make it in the handler"
    ):
        payload_type(handler_for(wanted), Job)


@pytest.mark.parametrize("wanted", POSSIBLE, ids=str)
def test_a_type_that_data_can_be_made_into_is_taken(wanted):
    assert payload_type(handler_for(wanted), Job) in (wanted, None)


def test_jobs_wait_for_a_handler_that_can_take_them(runtime):
    rt = runtime()
    job = rt.jobs.queue("order", {"number": 1})

    with pytest.raises(UsageError):
        rt.jobs.add_handler("order", handler_for(Order))

    assert rt.jobs.get(job).state == "queued"


MISFITS = [
    ({"kind": SECRET}, Card, "data does not fit Card: Expected one of its declared values - at `$.kind`"),
    ({"kind": "visa", "colour": SECRET}, Card, "Expected one of its declared values - at `$.colour`"),
    (SECRET, Colour, "data does not fit Colour: Expected one of its declared values"),
    (f"{SECRET} - at `$.{SECRET}`", Colour, "data does not fit Colour: Expected one of its declared values"),
    ({"number": 1, SECRET: 2}, Strict, "data does not fit Strict: Expected no field but the declared ones"),
    ([{"number": 1, SECRET: 2}], list[Strict], "Expected no field but the declared ones - at `$[0]`"),
    ({"type": SECRET}, Cat | Dog, "Expected the tag of one of its declared types - at `$.type`"),
    ({"number": SECRET}, Checked, "Expected what its own checks take, which raised ValueError"),
    ({"kind": "visa", "limit": SECRET}, Card, "data does not fit Card: Expected `int`, got `str` - at `$.limit`"),
    ({"kind": "visa", "until": SECRET}, Card, "data does not fit Card: Invalid RFC3339 encoded date - at `$.until`"),
    ({}, Card, "data does not fit Card: Expected the field `kind`"),
    ({SECRET: "x"}, dict[str, int], "Expected `int`, got `str` - at `$[...]`"),
    ({SECRET: 1}, dict[int, int], "Expected `int`, got `str` - at `key` in `$`"),
    ({"under": [SECRET]}, Place, "Expected `Path`, got `list` - at `$.under`"),
]


@pytest.mark.parametrize("data, wanted, said", MISFITS)
def test_data_that_does_not_fit_is_never_quoted(data, wanted, said):
    with pytest.raises(Discard) as refused:
        fit(data, wanted)

    assert str(refused.value).endswith(said)
    assert SECRET not in str(refused.value)


@dataclass
class Priced:
    price: int


class Pricer:
    def __call__(self, job: Job[Priced]) -> int:
        return job.data.price


def price_with(discount: int, job: Job[Priced]) -> int:
    return job.data.price - discount


@pytest.mark.parametrize(
    "fn", [Pricer(), Pricer().__call__, partial(price_with, 1)], ids=["object", "method", "partial"]
)
def test_whatever_can_be_called_may_ask_for_a_type(runtime, fn):
    rt = runtime()
    rt.jobs.add_handler("price", fn)

    job = rt.jobs.join(rt.jobs.queue("price", {"price": 3}), timeout=10)

    assert job.result in (2, 3)


@dataclasses.dataclass
class Mail:
    address: str
    language: str = "en"


@pytest.mark.parametrize(
    ("data", "result", "asked"),
    [
        ({"address": "ada@example.org"}, "ada@example.org in en", 0),
        ({"to": "ada@example.org"}, "ada@example.org in fr", 1),
        ("ada@example.org", None, 1),
    ],
    ids=["fits", "older", "neither"],
)
def test_an_upcast_is_asked_for_data_that_does_not_fit_and_no_other(data, result, asked):
    calls = []

    def upcast(old):
        calls.append(old)
        return {"address": old["to"], "language": "fr"} if isinstance(old, dict) else {}

    def register(runtime):
        @runtime.jobs.handler("mail", upcast=upcast, max_attempts=1)
        def mail(job: Job[Mail]) -> str:
            return f"{job.data.address} in {job.data.language}"

    with Inline(register) as app:
        job = app.jobs.get(app.jobs.queue("mail", data))

    assert (job.result, len(calls)) == (result, asked)
    if result is None:
        assert job.reason == "data does not fit Mail: Expected the field `address`"


def test_a_job_whose_upcast_fails_is_tried_again():
    errors = [RuntimeError("not yet")]

    def upcast(old):
        if errors:
            raise errors.pop()
        return Mail(old)

    def register(runtime):
        @runtime.jobs.handler("mail", upcast=upcast, max_attempts=2, backoff=0)
        def mail(job: Job[Mail]) -> str:
            return job.data.address

    with Inline(register) as app:
        job = app.jobs.queue("mail", "ada@example.org")
        app.advance(seconds=1)

        assert app.jobs.get(job).result == "ada@example.org"
