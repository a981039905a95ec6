"""`lamplighter stats`."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from lamplighter import JobFailed, Runtime
from lamplighter.cli.main import main
from lamplighter.environment.clock import SystemClock
from lamplighter.messages.tallies import HOUR, MINUTE, Tally, start_of
from lamplighter.stores.sqlite.store import SqliteStore


@pytest.fixture
def store(tmp_path) -> str:
    """A store on which two jobs are done and one could not be done."""
    runtime = Runtime(tmp_path / "jobs.db")

    @runtime.jobs.handler("mail", max_attempts=1)
    def mail(job):
        if job.data == "fails":
            raise ValueError

    with runtime:
        *fine, failing = [runtime.jobs.queue("mail", data) for data in ("fine", "fine", "fails")]
        for job in fine:
            runtime.jobs.join(job)
        with pytest.raises(JobFailed):
            runtime.jobs.join(failing)
        runtime.jobs.queue("nobody")
    return str(tmp_path / "jobs.db")


def test_a_line_for_each_name_says_what_became_of_its_jobs(store, capsys):
    assert main(["stats", "-s", store]) == 0

    heads, mail, nobody = capsys.readouterr().out.splitlines()
    assert heads.split()[:7] == ["name", "queued", "done", "dead", "cancelled", "attempts", "failed"]
    assert mail.split()[:9] == ["mail", "3", "2", "1", "0", "3", "1", "(33", "%)"]
    assert nobody.split() == ["nobody", "1", "0", "0", "0", "0"]


def test_programs_get_numbers(store, capsys):
    assert main(["stats", "mail", "-s", store, "--json", "--by", "time"]) == 0

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum(line["stats"]["done"] for line in lines) == 2
    assert all(line["stats"]["ran"]["p99"] > 0 for line in lines if line["stats"]["attempts"])


@pytest.mark.parametrize(
    ("since", "done"), [("1h", 1), ("30m", 0), ("2h", 3), ("3h", 3), ("4h", 40), ("3d", 40), ("6d", 140)]
)
def test_sums_are_those_of_so_long_and_of_hours_where_no_minutes_are_kept(tmp_path, capsys, since, done):
    """The sums of minutes and of hours are different here, so that it is seen which of them are read."""
    path, now = str(tmp_path / "jobs.db"), SystemClock().now()
    with closing(SqliteStore(path)) as store:
        store.open()
        with store.turn("b", now) as turn:
            turn.tallies.add(
                Tally(span, start_of(span, now - age), "mail", "done", n)
                for span, age, n in (
                    (MINUTE, 45 * 60, 1),
                    (MINUTE, 100 * 60, 2),
                    (HOUR, 100 * 60, 40),
                    (HOUR, 5 * 86400, 100),
                )
            )

    assert main(["stats", "-s", path, "--since", since, "--json"]) == (0 if done else 1)

    told = [json.loads(line)["stats"]["done"] for line in capsys.readouterr().out.splitlines()]
    assert told == [done] * bool(done)


def test_times_are_those_of_this_machine_and_with_utc_those_of_utc(zone, store, capsys):
    assert main(["stats", "mail", "-s", store, "--by", "time"]) == 0
    assert main(["stats", "mail", "-s", store, "--by", "time", "--utc"]) == 0

    times = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("time ")]
    local, utc = (line.split()[1] for line in (times[0], times[-1]))
    assert ("Z" in local, utc[-1]) == (False, "Z")


def test_a_name_of_which_nothing_is_known_exits_with_1(store, capsys):
    assert main(["stats", "unknown", "-s", store]) == 1

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--since", "soon"], "expected --since to be a span such as 90s, 30m, 1h30m or 2d, got: 'soon'"),
        (["--since", "9d"], "expected --since of at most 8d"),
    ],
)
def test_a_span_that_is_none_is_refused(store, capsys, arguments, says):
    assert main(["stats", "-s", store, *arguments]) == 2

    assert says in capsys.readouterr().err
