"""What people write to say which jobs they mean."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lamplighter.admin.query import QUERY_CHARACTERS_MAX, QUERY_TERMS_MAX, parse_query, read_path, read_setting
from lamplighter.cron.interval import INSTANT_MAX, INSTANT_MIN
from lamplighter.errors import UsageError
from lamplighter.messages.jobs import JobState
from lamplighter.messages.queries import DataTerm, JobQuery

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp()
HOUR, DAY = 3_600.0, 86_400.0


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", JobQuery()),
        ("  \t\n ", JobQuery()),
        ("name:mail", JobQuery(names=("mail",))),
        ('name:mail name:"send mail"', JobQuery(names=("mail", "send mail"))),
        ("state:dead state:done", JobQuery(states=(JobState.DEAD, JobState.DONE))),
        ("state:dead error:timeout", JobQuery(states=(JobState.DEAD,), error="timeout")),
        ('error:"no \\"answer\\" \\\\ yet"', JobQuery(error='no "answer" \\ yet')),
        ("id:order:7", JobQuery(id_prefix="order:7")),
        ("group:acme", JobQuery(group="acme")),
        ("debounce:doc-7", JobQuery(debounce="doc-7")),
        ("fate:no", JobQuery(fate="no")),
        ("fate:yes", JobQuery(fate="yes")),
        ('group:"Acme & Sons: 7"', JobQuery(group="Acme & Sons: 7")),
        ("schedule:5f boot:8d corr:c unique:k", JobQuery(schedule="5f", boot="8d", root_id="c", unique="k")),
        ("slot:2026-07-01T06:00:00Z", JobQuery(slot=NOW - 6 * HOUR)),
        ("attempt:3", JobQuery(attempt_min=3, attempt_max=3)),
        ("attempt:>3", JobQuery(attempt_min=4)),
        ("attempt:>=3 attempt:<9", JobQuery(attempt_min=3, attempt_max=8)),
        ("attempt:<=0", JobQuery(attempt_max=0)),
        ("queued:<2h", JobQuery(queued_since=NOW - 2 * HOUR)),
        ("queued:>2h", JobQuery(queued_until=NOW - 2 * HOUR)),
        ("ended:>1d ended:<1w", JobQuery(ended_until=NOW - DAY, ended_since=NOW - 7 * DAY)),
        ("due:>5m", JobQuery(due_until=NOW - 300)),
        ("due:<+1.5h", JobQuery(due_until=NOW + 1.5 * HOUR)),
        ("due:>+90s", JobQuery(due_since=NOW + 90)),
        ("queued:>2026-07-01", JobQuery(queued_since=NOW - 12 * HOUR)),
        ("queued:<2026-07-01T14:00+02:00", JobQuery(queued_until=NOW)),
        (f"queued:<@{NOW}", JobQuery(queued_until=NOW)),
        ("data.user.id=7", JobQuery(data=(DataTerm(("user", "id"), 7),))),
        ("data.a[0].b=1.5", JobQuery(data=(DataTerm(("a", 0, "b"), 1.5),))),
        ('data."a b"."c.d"="7"', JobQuery(data=(DataTerm(("a b", "c.d"), "7"),))),
        ("data.x=true data.y=null", JobQuery(data=(DataTerm(("x",), True), DataTerm(("y",), None)))),
        ("data=ada", JobQuery(data=(DataTerm((), "ada"),))),
        (
            "data.when=2026-07-01 data.n=007",
            JobQuery(data=(DataTerm(("when",), "2026-07-01"), DataTerm(("n",), "007"))),
        ),
        ("data.url=http://x/?a=b", JobQuery(data=(DataTerm(("url",), "http://x/?a=b"),))),
        ("timeout", JobQuery(words=("timeout",))),
        ('two words "of order:7" dead', JobQuery(words=("two", "words", "of order:7", "dead"))),
        ("data database", JobQuery(words=("data", "database"))),
    ],
)
def test_a_text_means_a_query(text: str, query: JobQuery) -> None:
    assert parse_query(text, NOW) == query


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("state:ded", "expected one of queued, running, done, dead, cancelled at character 7 of the query, got: 'ded'"),
        ("foo nmae:mail", "at character 5 of the query, got: 'nmae:mail'; did you mean name:?"),
        ("order:7", "quotation marks around a text with a colon at character 1 of the query, got: 'order:7'"),
        ("name:", "expected a value right after name: at character 6 of the query, got: its end"),
        ("name: mail", "expected a value right after name: at character 6 of the query, got: ' mail'"),
        ('error:"no answer', "expected a second quotation mark at character 7 of the query, got: '\"no answer'"),
        ('error:"a"b', "expected a space at character 10 of the query, got: 'b'"),
        ('a"b"', "expected a space at character 2 of the query"),
        ('""', "expected a word at character 1 of the query"),
        (":x", "expected a word at character 1"),
        ("attempt:many", "expected a whole number, as in attempt:>3 at character 9 of the query, got: 'many'"),
        ("attempt:>-1", "expected a whole number"),
        ("attempt:>", "expected a whole number, as in attempt:>3 at character 10 of the query, got: its end"),
        ("queued:2h", "expected < or > after queued:, as in queued:<2h at character 8 of the query, got: '2h'"),
        ("ended:>=2h", "expected < or > after ended:"),
        ("ended:<2y", "expected a time such as 2h, +30m, 2026-07-01"),
        ("ended:<2026-13-01", "expected a time such as"),
        ("ended:<@nan", "expected a time such as"),
        ("ended:<@1e99", "expected a time such as"),
        ("slot:2h", "expected the instant of a slot"),
        ("error:a error:b", "each of a query's conditions once, but for name:, state:, data and words at character 9"),
        ("queued:<2h queued:<3h", "each of a query's conditions once"),
        ("data.a", "expected = and a value, as in data.user.id=7 at character 7 of the query, got: its end"),
        ("data..a=1", "expected a key, as in data.user.id=7 at character 6"),
        ("data.a[x]=1", "expected the index of an item, as in data.items[0]=7 at character 7"),
        ("data.a=", "expected a value after = at character 8 of the query, got: its end"),
        ("data.a=1e999", "expected a number that is not as large at character 8"),
        (f"data.a={2**63}", "expected a number that is not as large"),
        (f"data.a=-{'9' * 400}", "expected a number that is not as large"),
        ("\ud800", "expected a query that is valid Unicode"),
        ("a " * (QUERY_TERMS_MAX + 1), "expected the end of the query after 100 terms at character 201"),
        ("x" * (QUERY_CHARACTERS_MAX + 1), "expected a query of at most 2000 characters, got: 2001 characters"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place_and_what_was_expected(text: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_query(text, NOW)

    assert says in str(refused.value)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(UsageError, match="expected a query of at most 2000 characters, got: 7"):
        parse_query(7, NOW)  # type: ignore[arg-type]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["a b", 'q"', "\\", '\\"', "name:x", "data.x", "data=", "data", "<3", "true", "7", "null", "1.", "-", "a.b[0]=c"]
)
instants = st.floats(float(INSTANT_MIN), float(INSTANT_MAX)) | st.integers(0, 4 * 10**9).map(float)
scalars = (
    texts
    | st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
terms = st.builds(DataTerm, st.lists(texts | st.integers(0, 10**9 - 1), max_size=4).map(tuple), scalars)
numbers = st.integers(0, 10**9 - 1)
queries = st.builds(
    JobQuery,
    names=st.lists(texts, max_size=3).map(tuple),
    states=st.lists(st.sampled_from(JobState), max_size=3).map(tuple),
    **{field: st.none() | texts for field in ("id_prefix", "error", "schedule", "boot", "root_id", "unique")},
    **{field: st.none() | numbers for field in ("attempt_min", "attempt_max")},
    **{
        field: st.none() | instants
        for field in ("slot", *(f"{what}_{end}" for what in ("queued", "ended", "due") for end in ("since", "until")))
    },
    data=st.lists(terms, max_size=3).map(tuple),
    words=st.lists(texts.filter(bool), max_size=3).map(tuple),
)


@given(queries, st.floats(0, 4e9))
def test_the_text_of_a_query_means_that_query_whenever_it_is_read(query: JobQuery, now: float) -> None:
    text = str(query)

    again = parse_query(text, now)

    assert again == query
    # True is 1 to Python, and not to a query.
    assert [type(term.value) for term in again.data] == [type(term.value) for term in query.data]


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text('nametsdqu:<>=."[] \\17hd', max_size=30))
def test_whatever_is_written_means_a_query_or_is_refused(text: str) -> None:
    try:
        query = parse_query(text, NOW)
    except UsageError:
        return

    assert parse_query(str(query), 0.0) == query


@pytest.mark.parametrize(
    ("text", "path"), [("", ()), ("a", ("a",)), ("a.b[0].c", ("a", "b", 0, "c")), ("[1]", (1,)), ('"a.b"', ("a.b",))]
)
def test_a_place_in_data_is_read(text: str, path: tuple[str | int, ...]) -> None:
    assert read_path(text) == path


@pytest.mark.parametrize(
    ("text", "place", "value"),
    [
        ("user.id=7", "user.id", 7),
        ("to=ada@example.org", "to", "ada@example.org"),
        ('n="7"', "n", "7"),
        ("all=[1, {}]", "all", [1, {}]),
        ("=null", "", None),
        ('"a=b".c=d=e', '"a=b".c', "d=e"),
    ],
)
def test_a_setting_is_a_place_and_json_or_a_text(text: str, place: str, value: object) -> None:
    assert read_setting(text) == (place, value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a", "expected = after a place in data at character 2 of the setting, got: its end"),
        ("a..b=1", "expected a key, as in data.user.id=7 at character 3 of the setting, got: '.b=1'"),
        ("a[x]=1", "expected the index of an item, as in data.items[0]=7 at character 2 of the setting"),
        ("a={1", "expected JSON or a text without quotation marks after =, got: '{1'"),
        ('a="', "expected JSON or a text"),
    ],
)
def test_a_setting_that_cannot_be_read_says_where(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        read_setting(text)


def test_a_place_has_nothing_after_it() -> None:
    with pytest.raises(UsageError, match=r"expected \. or \[ after a place in data at character 2 of the place"):
        read_path("a=1")


@pytest.mark.parametrize("text", ["2026-07-01T06:00", "2026-07-01T06:00Z", "2026-07-01T08:00+02:00", "@1782885600"])
def test_a_time_without_a_zone_is_in_utc_wherever_the_machine_is(zone, text):
    assert parse_query(f"queued:>{text}", 0.0).queued_since == 1_782_885_600.0
