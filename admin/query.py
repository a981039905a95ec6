"""The query language for jobs, as in `state:dead error:refused ended:<1d`.

Terms are separated by spaces, and all of them must hold. A term is a qualifier with a value, a place in the data with
its value (`data.user.id=7`), or a word in the job's id, name or error. A text with spaces, colons or the like stands
between quotation marks. Instants are in UTC unless they have an offset; `2h` is two hours ago, and `+2h` is in two
hours.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, NoReturn

from ..cron.interval import INSTANT_MAX, INSTANT_MIN
from ..errors import UsageError, alike, shown
from ..messages.jobs import Instant, JobState
from ..messages.queries import QUALIFIERS, DataTerm, JobQuery, is_json_scalar
from ..rules.queries import WHOLE_MAX

QUERY_CHARACTERS_MAX = 2_000

QUERY_TERMS_MAX = 100
"""SQLite takes no condition of a thousand parts."""

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

SPAN_EXAMPLE = "a time such as 2h, +30m, 2026-07-01, 2026-07-01T06:30Z or @1782000000"

Path = tuple[str | int, ...]
"""A place in data: keys of objects and indexes of arrays, from the outside in."""

FIELD_OF = {"id": "id_prefix", "corr": "root_id"}
"""The fields of a `JobQuery` whose qualifiers have another name."""

_SPACE = re.compile(r"\s*")
_QUALIFIER = re.compile(r"([^\s\":]+):")
_PLAIN = re.compile(r"\S+")
_WORD = re.compile(r"[^\s\":]+")
_KEY = re.compile(r"[^\s.\[\]=\":]+")
_INDEX = re.compile(r"\[([0-9]{1,9})\]")
_THAN = re.compile(r"<=|>=|<|>|=|")
_SPAN = re.compile(r"(\+?)([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhdw])")
_WHOLE = re.compile(r"[0-9]{1,9}")


def parse_query(text: str, now: Instant) -> JobQuery:
    """The query that a text means.

    Args:
        text: in the language of this module; an empty one matches every job.
        now: the instant from which ages are counted.

    Raises:
        UsageError: it cannot be read: where, and what was expected there.
    """
    if not isinstance(text, str) or len(text) > QUERY_CHARACTERS_MAX:
        got = f"{len(text)} characters" if isinstance(text, str) else shown(text)
        raise UsageError(f"expected a query of at most {QUERY_CHARACTERS_MAX} characters, got: {got}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"expected a query that is valid Unicode, got: {shown(text)}") from None
    return _Reader(text, now).read()


def parse_query_of_act(
    text: str, now: Instant, call: str, allowed: Collection[JobState], default: Sequence[JobState]
) -> JobQuery:
    """The query of `jobs.requeue_many` or `jobs.cancel_many`, whose name is `call`.

    Args:
        allowed: the states that the text may name.
        default: the states if it names none.

    Raises:
        UsageError: the query is empty, cannot be read, or asks for other states.
    """
    query = parse_query(text, now)
    if query == JobQuery():
        everything = " ".join(f"state:{state}" for state in default)
        raise UsageError(
            f"expected a query that says which jobs jobs.{call} is for, got: {shown(text)}; for all of "
            f"them: {everything!r}"
        )
    if strange := [state for state in query.states if state not in allowed]:
        known = ", ".join(f"state:{state}" for state in JobState if state in allowed)
        raise UsageError(f"expected jobs.{call} to be for {known}, got: state:{strange[0]}")
    return query if query.states else replace(query, states=tuple(default))


def read_instant(text: str, now: Instant) -> Instant:
    """An instant as people write it: `2h` is two hours ago, `+2h` in two hours; otherwise ISO 8601, or `@` and seconds.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return _time(text, now)[0]
    except (ValueError, OverflowError):
        raise UsageError(f"expected {SPAN_EXAMPLE}, got: {shown(text)}") from None


def read_moment(text: str, what: str, now: Instant) -> datetime:
    """An instant to come, as `read_instant` reads it. Raises a UsageError if it cannot be read, or is not to come."""
    if (instant := read_instant(text, now)) <= now:
        raise UsageError(f"expected {what} to be in the future, such as +2h or 2026-07-01T06:30Z, got: {shown(text)}")
    return datetime.fromtimestamp(instant, UTC)


def read_json(text: str, what: str) -> Any:
    """A value that a person has written as JSON.

    Raises:
        UsageError: it is none; `what` names it.
    """
    try:
        return json.loads(text, parse_constant=partial(_refuse_constant, what))
    except json.JSONDecodeError as error:
        hint = f"; as a text it is {json.dumps(text)}" if len(text) < 100 and text.isprintable() else ""
        got = f"{shown(text)}, {error.msg} at character {error.pos + 1}{hint}"
        raise UsageError(f"expected {what} to be JSON, got: {got}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"expected {what} to be JSON as it can be read here, got: {error}") from None


def _refuse_constant(what: str, text: str) -> NoReturn:
    raise UsageError(f"expected {what} to be JSON, which has no {text}")


def read_path(text: str) -> Path:
    """A place in data as people write it: `user.id`, `items[0].name`; "" is all of it.

    Raises:
        UsageError: it cannot be read.
    """
    reader = _Reader(text, 0.0, "the place")
    return reader.path("") if text else ()


def read_setting(text: str) -> tuple[str, Any]:
    """A place in data and what is to stand there, as people write it: `user.id=7`, `to=ada@example.org`, `all=[1, 2]`.

    JSON means itself; anything else is a text, unless it begins as JSON does.

    Raises:
        UsageError: it cannot be read.
    """
    reader = _Reader(text, 0.0, "the setting")
    if not text.startswith("="):
        reader.path("=")
    place, said = text[: reader.at], text[reader.at + 1 :]
    try:
        return place, json.loads(said)
    except (ValueError, RecursionError):
        if said.startswith(("{", "[", '"')):
            raise UsageError(f"expected JSON or a text without quotation marks after =, got: {shown(said)}") from None
        return place, said


class _Reader:
    """Reads a query from its beginning to its end. `at` is the next offset."""

    def __init__(self, text: str, now: Instant, what: str = "the query") -> None:
        self.at = 0
        self._text = text
        self._what = what
        self._now = now
        self._fields: dict[str, Any] = {}
        self._many: dict[str, list[Any]] = {"names": [], "states": [], "data": [], "words": []}

    def read(self) -> JobQuery:
        terms = 0
        while self._next(_SPACE) is not None and self.at < len(self._text):
            terms += 1
            if terms > QUERY_TERMS_MAX:
                self._refuse(f"the end of the query after {QUERY_TERMS_MAX} terms", self.at)
            self._term()
            if self.at < len(self._text) and not self._text[self.at].isspace():
                self._refuse("a space", self.at)
        return JobQuery(**self._fields | {field: tuple(values) for field, values in self._many.items()})

    def path(self, end: str) -> Path:
        first = () if self._text.startswith("[") else (self._key(),)
        path = (*first, *self._path())
        if self._text[self.at : self.at + 1] != end:
            self._refuse(f"{end or '. or ['} after a place in data", self.at)
        return path

    def _term(self) -> None:
        start = self.at
        if self._text.startswith(("data.", "data[", "data="), start):
            self._many["data"].append(self._data())
        elif (found := self._next(_QUALIFIER)) is not None:
            self._qualified(found[1], start)
        elif (word := self._next(_WORD)) is not None:
            self._many["words"].append(word[0])
        else:
            word_here = self._quoted() if self._text[start] == '"' else ""
            self._many["words"].append(word_here or self._refuse("a word", start))

    def _qualified(self, qualifier: str, start: int) -> None:
        what = f"a value right after {qualifier}:"
        match qualifier:
            case "name":
                self._many["names"].append(self._text_here(what))
            case "state":
                self._many["states"].append(self._read_as(JobState, f"one of {', '.join(JobState)}"))
            case "fate":
                self._set("fate", self._read_as(_yes_or_no, "yes or no"), start)
            case "attempt":
                self._attempt(start)
            case "queued" | "ended" | "due":
                self._time(qualifier, start)
            case "slot":
                self._set("slot", self._read_as(_instant, "the instant of a slot, such as 2026-07-01T06:00Z"), start)
            case _ if qualifier in QUALIFIERS:
                self._set(FIELD_OF.get(qualifier, qualifier), self._text_here(what), start)
            case _:
                close = alike(qualifier, QUALIFIERS)
                meant = f"; did you mean {close[0]}:?" if close else ""
                known = ", ".join(f"{one}:" for one in QUALIFIERS)
                self._refuse(
                    f"one of {known}, data.KEY=VALUE, or quotation marks around a text with a colon", start, meant
                )

    def _set(self, field: str, value: Any, start: int) -> None:
        if field in self._fields:
            self._refuse("each of a query's conditions once, but for name:, state:, data and words", start)
        self._fields[field] = value

    def _attempt(self, start: int) -> None:
        than = self._than()
        number = self._read_as(_whole, "a whole number, as in attempt:>3")
        if than != "<" and than != "<=":
            self._set("attempt_min", number + (than == ">"), start)
        if than != ">" and than != ">=":
            self._set("attempt_max", number - (than == "<"), start)

    def _time(self, field: str, start: int) -> None:
        than = self._than()
        if than not in ("<", ">"):
            self._refuse(f"< or > after {field}:, as in {field}:<2h", self.at - len(than))
        instant, is_ago = self._read_as(lambda text: _time(text, self._now), SPAN_EXAMPLE)
        # A time less than two hours ago is later than the instant two hours ago.
        is_since = (than == ">") is not is_ago
        self._set(f"{field}_since" if is_since else f"{field}_until", instant, start)

    def _than(self) -> str:
        found = self._next(_THAN)
        return "" if found is None else found[0]

    def _read_as(self, read: Callable[[str], Any], expected: str) -> Any:
        start = self.at
        text = self._text_here(expected)
        try:
            return read(text)
        except (ValueError, OverflowError):
            self._refuse(expected, start)

    def _data(self) -> DataTerm:
        self.at += len("data")
        path = self._path()
        if self._text[self.at : self.at + 1] != "=":
            self._refuse("= and a value, as in data.user.id=7", self.at)
        self.at += 1
        start = self.at
        is_quoted = self._text.startswith('"', start)
        text = self._text_here("a value after =")
        if is_quoted or not is_json_scalar(text):
            return DataTerm(path, text)
        value = json.loads(text)
        is_float = isinstance(value, float)
        if not (math.isfinite(value) if is_float else -WHOLE_MAX <= (value or 0) < WHOLE_MAX):
            self._refuse("a number that is not as large", start)
        return DataTerm(path, value)

    def _path(self) -> Path:
        path: list[str | int] = []
        while self._text[self.at : self.at + 1] in (".", "["):
            if self._text[self.at] == "[":
                path.append(self._index())
            else:
                self.at += 1
                path.append(self._key())
        return tuple(path)

    def _index(self) -> int:
        found = self._next(_INDEX)
        return self._refuse("the index of an item, as in data.items[0]=7", self.at) if found is None else int(found[1])

    def _key(self) -> str:
        if self._text.startswith('"', self.at):
            return self._quoted()
        found = self._next(_KEY)
        return self._refuse("a key, as in data.user.id=7", self.at) if found is None else found[0]

    def _text_here(self, expected: str) -> str:
        if self._text.startswith('"', self.at):
            return self._quoted()
        found = self._next(_PLAIN)
        return self._refuse(expected, self.at) if found is None else found[0]

    def _quoted(self) -> str:
        start, said = self.at, ""
        self.at += 1
        while self.at < len(self._text):
            char = self._text[self.at]
            self.at += 1
            if char == '"':
                return said
            if char == "\\" and self._text[self.at : self.at + 1] in ('"', "\\"):
                char = self._text[self.at]
                self.at += 1
            said += char
        return self._refuse("a second quotation mark", start)

    def _next(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def _refuse(self, expected: str, at: int, meant: str = "") -> NoReturn:
        got = shown(self._text[at:]) if at < len(self._text) else "its end"
        raise UsageError(f"expected {expected} at character {at + 1} of {self._what}, got: {got}{meant}")


def _yes_or_no(text: str) -> str:
    if text not in ("yes", "no"):
        raise ValueError(text)
    return text


def _whole(text: str) -> int:
    if _WHOLE.fullmatch(text) is None:
        raise ValueError
    return int(text)


def _time(text: str, now: Instant) -> tuple[Instant, bool]:
    """An instant, and whether it was given as an age."""
    span = _SPAN.fullmatch(text)
    if span is None:
        return _instant(text), False
    seconds = float(span[2]) * UNIT_SECONDS[span[3]]
    if now + seconds > INSTANT_MAX and span[1]:
        raise ValueError
    return (now + seconds, False) if span[1] else (now - seconds, True)


def _instant(text: str) -> Instant:
    if text.startswith("@"):
        instant = float(text[1:])
    else:
        time = datetime.fromisoformat(text)
        instant = (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp()
    if not INSTANT_MIN <= instant <= INSTANT_MAX:
        raise ValueError
    return instant
