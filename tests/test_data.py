"""Data, results and progress of every kind that can be carried: what stands for it is stored, and annotations bring it
back.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import pathlib
import typing
import uuid
from dataclasses import dataclass, field

import attrs
import msgspec
import pydantic
import pytest
from lamplighter import Job, JobFailed, JobSpec, UsageError
from lamplighter.testing import assert_queued

ID = uuid.UUID("6f2c1c9e-3f0b-4a51-9d3e-0a6a4f8a2b11")
AT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 9


class Point(typing.NamedTuple):
    x: int
    y: int


class Box(typing.TypedDict):
    name: str
    under: pathlib.Path


class Card(msgspec.Struct, rename="camel"):
    card_no: int
    until: datetime.date | None = None


@attrs.define
class Ticket:
    no: uuid.UUID


@dataclass
class Order:
    id: uuid.UUID
    at: datetime.datetime
    price: decimal.Decimal
    colour: Colour = Colour.RED
    files: list[pathlib.Path] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    counts: dict[int, int] = field(default_factory=dict)
    card: Card | None = None


class User(pydantic.BaseModel):
    id: uuid.UUID
    full_name: str = pydantic.Field(alias="fullName")
    born: datetime.date | None = None
    friends: list[User] = []


class Strict(pydantic.BaseModel, strict=True):
    id: uuid.UUID
    at: datetime.datetime


class Cat(pydantic.BaseModel):
    kind: typing.Literal["cat"] = "cat"
    lives: int = 9


class Dog(pydantic.BaseModel):
    kind: typing.Literal["dog"] = "dog"


class Numbers(pydantic.RootModel[list[int]]):
    pass


@pydantic.dataclasses.dataclass
class Size:
    width: int = pydantic.Field(gt=0)


@dataclass
class Envelope:
    user: User


class Login(pydantic.BaseModel):
    password: pydantic.SecretStr


ORDER = Order(
    id=ID,
    at=AT,
    price=decimal.Decimal("1.20"),
    files=[pathlib.Path("a/b")],
    tags={"b", "a"},
    counts={1: 2},
    card=Card(7, AT.date()),
)
USER = User(id=ID, fullName="Ada", friends=[User(id=ID, fullName="Bob", born=AT.date())])

CARRIED = {
    "UUID": (uuid.UUID, ID, str(ID)),
    "datetime": (datetime.datetime, AT, "2026-01-02T03:04:05Z"),
    "date": (datetime.date, AT.date(), "2026-01-02"),
    "time": (datetime.time, AT.time(), "03:04:05"),
    "timedelta": (datetime.timedelta, datetime.timedelta(minutes=3), "PT180S"),
    "Decimal": (decimal.Decimal, decimal.Decimal("1.20"), "1.20"),
    "Enum": (Colour, Colour.RED, "red"),
    "IntEnum": (Level, Level.HIGH, 9),
    "Path": (pathlib.Path, pathlib.Path("a/b"), "a/b"),
    "bytes": (bytes, b"x", "eA=="),
    "set": (set[str], {"b", "a"}, ["a", "b"]),
    "set of many": (frozenset[int | str | None], frozenset({1, "a", None}), ["a", 1, None]),
    "dict": (dict[uuid.UUID, Colour], {ID: Colour.RED}, {str(ID): "red"}),
    "NamedTuple": (Point, Point(1, 2), [1, 2]),
    "TypedDict": (Box, {"name": "a", "under": pathlib.Path("b")}, {"name": "a", "under": "b"}),
    "Struct": (Card, Card(7, AT.date()), {"cardNo": 7, "until": "2026-01-02"}),
    "attrs": (Ticket, Ticket(ID), {"no": str(ID)}),
    "dataclass": (
        Order,
        ORDER,
        {
            "id": str(ID),
            "at": "2026-01-02T03:04:05Z",
            "price": "1.20",
            "colour": "red",
            "files": ["a/b"],
            "tags": ["a", "b"],
            "counts": {"1": 2},
            "card": {"cardNo": 7, "until": "2026-01-02"},
        },
    ),
    "model": (
        User,
        USER,
        {
            "id": str(ID),
            "fullName": "Ada",
            "born": None,
            "friends": [{"id": str(ID), "fullName": "Bob", "born": "2026-01-02", "friends": []}],
        },
    ),
    "strict model": (Strict, Strict(id=ID, at=AT), {"id": str(ID), "at": "2026-01-02T03:04:05Z"}),
    "models": (list[Cat | Dog], [Cat(lives=1), Dog()], [{"kind": "cat", "lives": 1}, {"kind": "dog"}]),
    "tagged models": (
        typing.Annotated[Cat | Dog, pydantic.Field(discriminator="kind")],
        Dog(),
        {"kind": "dog"},
    ),
    "root model": (Numbers, Numbers([1, 2]), [1, 2]),
    "pydantic dataclass": (Size, Size(3), {"width": 3}),
    "model in a dataclass": (
        Envelope,
        Envelope(User(id=ID, fullName="Ada")),
        {"user": {"id": str(ID), "fullName": "Ada", "born": None, "friends": []}},
    ),
}


def annotated(fn, wanted):
    fn.__annotations__ = {"job": Job[wanted]}
    return fn


@pytest.mark.parametrize(("wanted", "value", "stored"), CARRIED.values(), ids=CARRIED)
def test_what_is_queued_is_what_the_handler_gets_and_may_return(runtime, wanted, value, stored):
    rt, got = runtime(), []
    rt.jobs.add_handler("work", annotated(lambda job: got.append(job.data) or job.data, wanted))

    job = rt.jobs.queue("work", value)
    done = rt.jobs.join(job, timeout=10)

    assert got == [value]
    assert type(got[0]) is type(value)
    assert (job.data, done.result) == (stored, stored)
    assert_queued(rt, "work", value)
    assert_queued(rt, "work", stored)


@pytest.mark.parametrize(("wanted", "value", "stored"), CARRIED.values(), ids=CARRIED)
def test_every_way_in_takes_the_same(runtime, wanted, value, stored):
    rt = runtime()

    jobs = rt.jobs.queue_many([("a", value), JobSpec(name="a", data=[value])])
    rt.scheduler.add("a", "@daily", {"of": value})
    rt.jobs.mark_done(jobs[0], value)

    assert [job.data for job in jobs] == [stored, [stored]]
    assert [one.data for one in rt.scheduler.list()] == [{"of": stored}]
    assert rt.jobs.get(jobs[0]).result == stored


def test_progress_takes_what_data_takes(runtime):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.progress(decimal.Decimal("0.5"), note=ID))

    done = rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    assert done.progress_report == {"done": "0.5", "total": None, "note": str(ID)}


MISFITS = [
    (User, {"id": "secret"}, "Input should be a valid UUID - at `$.id`; Field required - at `$.fullName`"),
    (User, {"id": str(ID), "fullName": "a", "friends": [{}]}, "Field required - at `$.friends[0].id`"),
    (list[Cat | Dog], [{"kind": "secret"}], "Input should be 'cat' - at `$[0]"),
    (Size, {"width": 0}, "data does not fit Size: Input should be greater than 0 - at `$.width`"),
    (
        dict[str, Cat],
        {"secret": {"lives": "many"}},
        "Input should be a valid integer, unable to parse string as an integer - at `$[...].lives`",
    ),
    (Envelope, {"user": {"id": str(ID)}}, "data does not fit Envelope: Field required - at `$.fullName`"),
]


@pytest.mark.parametrize(("wanted", "data", "says"), MISFITS)
def test_data_that_a_model_refuses_makes_the_job_dead_and_is_not_quoted(runtime, wanted, data, says):
    rt = runtime()
    rt.jobs.add_handler("work", annotated(lambda job: None, wanted))

    with pytest.raises(JobFailed) as failed:
        rt.jobs.join(rt.jobs.queue("work", data), timeout=10)

    assert says in failed.value.job.reason
    assert "secret" not in failed.value.job.reason


class Odd:
    pass


class Unbuilt(pydantic.BaseModel):
    of: "Nowhere"  # noqa: F821, UP037


@pytest.mark.parametrize("wanted", [list[User | Odd], Unbuilt], ids=str)
def test_a_model_that_pydantic_cannot_validate_is_refused_when_its_handler_is_added(runtime, wanted):
    rt = runtime(start=False)

    with pytest.raises(UsageError, match="expected a payload type that can be validated"):
        rt.jobs.add_handler("work", annotated(lambda job: None, wanted))


@pytest.mark.parametrize(
    "make", [lambda one: one, lambda one: [one], lambda one: Order(ID, AT, decimal.Decimal(1), card=one)]
)
def test_a_secret_that_its_model_hides_is_refused_when_it_is_queued(runtime, make):
    rt = runtime()

    with pytest.raises(UsageError, match="which its dump hides"):
        rt.jobs.queue("login", make(Login(password="hunter2")))

    assert rt.jobs.counts()["queued"] == 0
