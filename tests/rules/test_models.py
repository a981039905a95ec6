"""What is said of data that a model of pydantic refuses: pydantic's words, without what came."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal

import pydantic
import pytest
from lamplighter import UsageError
from lamplighter.rules.models import (
    PROBLEMS_MAX,
    TOLD_CHARACTERS_MAX,
    ModelType,
    PayloadMismatch,
    asks_for_model,
    dump,
)
from pydantic_core import PydanticCustomError


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


class Closed(pydantic.BaseModel, extra="forbid"):
    to: str = ""


class Wide(pydantic.BaseModel):
    a: int
    b: int
    c: int
    d: int
    e: int
    f: int
    g: int


def quotes(value: str) -> str:
    raise ValueError(f"{value} is not wanted")


def quotes_too(value: str) -> str:
    raise PydanticCustomError("unwanted", "{value} is not wanted", {"value": value})


SAYS: list[tuple[Any, Any, str]] = [
    (Wide, dict.fromkeys("abcdef", 1), "Field required - at `$.g`"),
    (Closed, {"secret": 1}, "Extra inputs are not permitted - at `$[...]`"),
    (Annotated[str, pydantic.Field(min_length=3)], "a", "String should have at least 3 characters - at `$`"),
    (Annotated[str, pydantic.Field(min_length=1)], "", "String should have at least 1 character - at `$`"),
    (Annotated[list[int], pydantic.Field(max_length=1)], [1, 2], "List should have at most 1 item after validation"),
    (Annotated[int, pydantic.Field(gt=0)], 0, "Input should be greater than 0 - at `$`"),
    (Annotated[str, pydantic.Field(pattern=r"\d{3}")], "secret", r"String should match pattern '\d{3}' - at `$`"),
    (uuid.UUID, "secret", "Input should be a valid UUID - at `$`"),
    (datetime.date, "secret", "Input should be a valid date or datetime - at `$`"),
    (datetime.timedelta, "secret", "Input should be a valid timedelta - at `$`"),
    (pydantic.AnyUrl, "secret", "Input should be a valid URL - at `$`"),
    (decimal.Decimal, "secret", "Input should be a valid decimal - at `$`"),
    (Colour, "secret", "Input should be 'red' or 'blue' - at `$`"),
    (
        Annotated[Cat | Dog, pydantic.Field(discriminator="kind")],
        {"kind": "secret"},
        "Input tag found using 'kind' does not match any of the expected tags: 'cat', 'dog' - at `$`",
    ),
    (
        Annotated[str, pydantic.AfterValidator(quotes)],
        "secret",
        "Expected what its own checks take, which raised ValueError - at `$`",
    ),
    (
        Annotated[str, pydantic.AfterValidator(quotes_too)],
        "secret",
        "Expected what its own checks take, which said unwanted - at `$`",
    ),
]


def refusal(wanted: Any, data: Any) -> str:
    with pytest.raises(PayloadMismatch) as refused:
        ModelType(wanted).validate(data)
    return str(refused.value)


@pytest.mark.parametrize(("wanted", "data", "says"), SAYS, ids=[says for _, _, says in SAYS])
def test_a_refusal_says_what_pydantic_says_and_nothing_of_the_data(wanted, data, says):
    said = refusal(wanted, data)

    assert said.startswith(says)
    assert "secret" not in said


def test_a_refusal_names_some_of_many_problems_and_counts_the_others():
    said = refusal(Wide, {})

    assert said.count("Field required") == PROBLEMS_MAX == 5
    assert said.endswith("; and 2 more")


def test_a_long_refusal_is_cut():
    words = tuple(f"word-{number}" for number in range(1000))
    said = refusal(Literal[words], "secret")  # type: ignore[valid-type]

    assert "word-3'" in said
    assert len(said) < TOLD_CHARACTERS_MAX + 50


@pytest.mark.parametrize(
    ("wanted", "asks"), [(Cat, True), (list[Cat], True), (dict[str, Cat | None], True), (dict[str, int], False)]
)
def test_a_type_asks_for_a_model_wherever_the_model_stands_in_it(wanted, asks):
    assert asks_for_model(wanted) is asks


class Secrets(pydantic.BaseModel):
    inner: Any


@pytest.mark.parametrize(
    "inner", [pydantic.SecretStr("x"), [pydantic.SecretStr("x")], {"a": (1, pydantic.SecretStr("x"))}]
)
def test_a_secret_is_refused_wherever_it_stands(inner):
    with pytest.raises(UsageError, match="expected data without secrets, got: a secret of pydantic's in Secrets"):
        dump(Secrets(inner=inner))
    assert dump(Secrets(inner=["x", {"a": 1}])) == {"inner": ["x", {"a": 1}]}
