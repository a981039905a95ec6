"""Random cron expressions and the zones to try them in, for the property tests of schedules."""

from __future__ import annotations

import os

from hypothesis import strategies as st

TORTURE = os.environ.get("LAMPLIGHTER_TORTURE") == "1"
EXAMPLES = 3_000 if TORTURE else 50

ZONES = [
    "UTC",
    "Asia/Kolkata",
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Havana",
    "America/Nuuk",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Asia/Gaza",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Antarctica/Troll",
]


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    value = st.integers(low, high)
    pairs = st.lists(value, min_size=2, max_size=2, unique=True)
    span = pairs.map(lambda ends: f"{min(ends)}-{max(ends)}")
    wrapping = pairs.map(lambda ends: f"{max(ends)}-{min(ends)}")
    step = st.integers(1, max(2, (high - low) // 2))
    item = st.one_of(
        value.map(str),
        span,
        st.builds("{}/{}".format, st.one_of(st.just("*"), value.map(str), span), step),
    )
    return st.one_of(
        st.just("*"),
        st.just("*"),
        wrapping,
        st.lists(item, min_size=1, max_size=3).map(",".join),
    )


_weekday = st.integers(0, 7)
_DAYS = st.one_of(
    st.tuples(st.one_of(st.just("*"), _field(1, 31)), st.just("*")),
    st.tuples(st.just("*"), _field(0, 6)),
    st.tuples(_field(1, 31), _field(0, 6)),
    st.tuples(st.sampled_from(["L", "L,15", "1,L"]), st.one_of(st.just("*"), _field(0, 6))),
    st.tuples(st.integers(1, 31).map("{}W".format), st.just("*")),
    st.tuples(
        st.just("*"),
        st.lists(
            st.one_of(st.builds("{}#{}".format, _weekday, st.integers(1, 5)), _weekday.map("L{}".format)),
            min_size=1,
            max_size=2,
        ).map(",".join),
    ),
)


@st.composite
def expressions(draw: st.DrawFn, *, seconds: bool = True) -> str:
    """A random expression that is valid, with six fields now and then; every one of them comes on some day."""
    day, weekday = draw(_DAYS)
    month = "*" if "#" in weekday or day not in ("*", "L") else draw(_field(1, 12))
    fields = [draw(_field(0, 59)), draw(_field(0, 23)), day, month, weekday]
    if seconds and draw(st.booleans()):
        fields.insert(0, draw(_field(0, 59)))
    return " ".join(fields)
