"""A store as a whole: when it is well, and what is known of a name while not every runtime has answered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from lamplighter.admin.overview import WholeNames, health_of_store, name_view, overview_of
from lamplighter.admin.views import NAME_ORDERS, Amount, NameView, PauseView, shape_of
from lamplighter.messages.controls import HUNG_SECONDS_MAX
from lamplighter.messages.names import PauseRecord
from lamplighter.messages.queries import Census
from lamplighter.messages.views import Health, LaneView, QuietView
from lamplighter.stores.control_client import BootView, boot_view, hung_parts

from .boots import NOW, a_boot, a_handler, a_view, an_actor
from .kit import a_lane


def a_name(name: str = "work", **changes: Any) -> NameView:
    """A name whose jobs are all done."""
    none = Amount(count=0)
    view = NameView(
        name=name,
        ready=none,
        scheduled=none,
        running=none,
        oldest_ready=None,
        pause=None,
        limit=None,
        boots=("b1",),
        is_parked=False,
        lanes=1,
        busy=0,
    )
    return replace(view, **changes)


def a_pause(**changes: Any) -> PauseView:
    return replace(PauseView(since=NOW, by=None, reason=None, until=None), **changes)


WELL = a_boot(a_view())
DUE = Amount(count=2)


def sick(status: str) -> BootView:
    return a_boot(a_view(), status=status, reasons=("it is so",))


HEALTH: list[tuple[list[BootView], list[NameView], str, list[str]]] = [
    ([WELL], [a_name(ready=DUE)], "green", []),
    ([], [], "yellow", ["no process runs jobs on app.db"]),
    ([], [a_name(ready=Amount(count=1))], "red", ["no process runs jobs on app.db, and 1 due job waits"]),
    ([], [a_name(ready=DUE), a_name(ready=DUE)], "red", ["no process runs jobs on app.db, and 4 due jobs wait"]),
    ([], [a_name(ready=None)], "yellow", ["no process runs jobs on app.db"]),
    ([replace(WELL, kind="producer")], [], "yellow", ["no process runs jobs on app.db"]),
    (
        [WELL, a_boot(is_alive=False, boot="b2")],
        [],
        "yellow",
        ["boot b2 (pid 7 on here) is dead, and nobody has taken back its jobs yet"],
    ),
    ([sick("red")], [], "red", ["boot b1: it is so"]),
    ([sick("yellow")], [], "yellow", ["boot b1: it is so"]),
    ([sick("green")], [], "green", []),
    ([a_boot(condition="stopped")], [], "red", ["boot b1 (pid 7 on here) does nothing: it was not asked"]),
    ([a_boot(condition="silent")], [], "yellow", ["boot b1 (pid 7 on here) does not answer: it was not asked"]),
    ([a_boot()], [], "green", []),
    (
        [a_boot(is_alive=None)],
        [],
        "yellow",
        ["nobody can know whether boot b1 (pid 7 on here) lives: it was not asked"],
    ),
    ([a_boot(a_view(), is_alive=None)], [], "green", []),
    (
        [WELL],
        [a_name(pause=a_pause(by="ada", reason="it fails"))],
        "yellow",
        ["the jobs of 'work' are paused by ada: it fails"],
    ),
    (
        [WELL],
        [a_name(pause=a_pause(until=NOW + 60))],
        "yellow",
        ["the jobs of 'work' are paused until 1970-01-12T13:47:40Z"],
    ),
    ([WELL], [a_name(is_parked=True)], "green", []),
    (
        [WELL],
        [a_name(is_parked=True, ready=DUE)],
        "yellow",
        ["no living runtime has a handler for 'work', and 2 of its jobs wait"],
    ),
]


@pytest.mark.parametrize(("boots", "names", "status", "reasons"), HEALTH)
def test_a_store_is_as_well_as_its_runtimes_and_names_are(boots, names, status, reasons):
    health = health_of_store("app.db", WholeNames(names), boots)

    assert (health.status, list(health.reasons)) == (status, reasons)


FIRST = "'n0', 'n1', 'n2', 'n3', 'n4'"


@pytest.mark.parametrize(
    ("paused", "are_all", "says"),
    [
        (1, True, "the jobs of 'n0' are paused"),
        (5, True, f"5 names are paused: {FIRST}"),
        (6, True, f"6 names are paused: {FIRST} and more"),
        (7, False, f"7+ names are paused: {FIRST} and more"),
    ],
)
def test_of_many_names_some_are_told_and_all_are_counted(paused, are_all, says):
    names = [a_name(f"n{number}", pause=a_pause()) for number in range(paused)]

    health = health_of_store("app.db", WholeNames(names[:3], True, names[3:], are_all), [WELL])

    assert health.reasons == (says,)


def test_an_overview_sums_up_what_is_known():
    names = [
        a_name("a", ready=DUE, running=DUE, oldest_ready=NOW - 5),
        a_name("b", ready=DUE, is_parked=True, oldest_ready=NOW - 9, running=Amount(count=1, is_capped=True)),
        a_name("c", ready=DUE, pause=a_pause(), oldest_ready=NOW - 9, scheduled=None),
        a_name("d", oldest_ready=NOW - 2),
    ]

    seen = overview_of("app.db", WholeNames(names), [WELL], None, NOW)
    more = overview_of("app.db", WholeNames(names[:1], True), [WELL], None, NOW)

    assert (seen.ready, seen.parked, seen.running, seen.scheduled) == (
        Amount(count=6),
        DUE,
        Amount(count=3, is_capped=True),
        None,
    )
    assert (seen.oldest_ready, seen.boots, seen.has_more_names) == (NOW - 5, (replace(WELL, view=None),), False)
    assert (more.ready, more.has_more_names) == (Amount(count=2, is_capped=True), True)


@pytest.mark.parametrize(
    ("order", "names"),
    [("name", "abc"), ("ready", "bac"), ("oldest", "cab"), ("running", "cab"), ("scheduled", "bca")],
)
def test_names_are_sorted_by_what_there_is_most_of_and_what_is_not_known_comes_last(order, names):
    few, many = Amount(count=1), Amount(count=9)
    given = [
        a_name("a", ready=few, oldest_ready=NOW - 5, running=few, scheduled=None),
        a_name("b", ready=many, oldest_ready=None, running=None, scheduled=many),
        a_name("c", ready=None, oldest_ready=NOW - 9, running=many, scheduled=few),
    ]

    assert "".join(one.name for one in sorted(given, key=NAME_ORDERS[order])) == names


@pytest.mark.parametrize(
    ("count", "shape"),
    [(1, "object of 1: k0 (number)"), (12, "k11 (number)"), (13, "k11 (number), 1 more"), (15, "k11 (number), 3 more")],
)
def test_of_an_object_with_many_keys_the_first_are_told_and_how_many_more_there_are(count, shape):
    told = shape_of({f"k{number}": number for number in range(count)})

    assert told.startswith(f"object of {count}: k0 (number)")
    assert told.endswith(shape)


@pytest.mark.parametrize(
    ("census", "ready", "scheduled"),
    [
        (Census(2, 1, 3, False, None), "2", "1"),
        (Census(10, 1, 3, True, None), "10+", "1"),
        (Census(2, 10, 3, True, None), "2", "10+"),
        # No count has reached the most, and not all were looked at.
        (Census(2, 1, 3, True, None), "2+", "1"),
    ],
)
def test_a_count_that_reached_its_most_says_that_there_may_be_more(census, ready, scheduled):
    view = name_view("work", census, 10, None, [WELL], NOW)

    assert (str(view.ready), str(view.scheduled), str(view.running)) == (ready, scheduled, "3")


def a_worker(boot: str, *lanes: LaneView, is_heard: bool = True, **changes: Any) -> BootView:
    handlers = (a_handler(concurrency=3), a_handler(name="other"))
    view = a_view(boot=boot, handlers=handlers, lanes=lanes, lanes_open=len(lanes))
    return a_boot(view if is_heard else None, **{"boot": boot, "names": ("work",), **changes})


def test_what_runs_is_known_once_each_runtime_that_takes_the_name_has_answered():
    work = a_lane("j", job_name="work")
    lanes = (work, a_lane("k"), replace(work, abandoned="timed out"))
    one, other = a_worker("b1", *lanes), a_worker("b2", is_heard=False)
    elsewhere = a_worker("b3", is_heard=False, names=("other",))
    dead = a_worker("b4", is_heard=False, is_alive=False)

    known = name_view("work", None, 10, None, [one, elsewhere, dead], NOW, in_queue=4)
    unknown = name_view("work", None, 10, None, [one, other], NOW, in_queue=4)
    parked = name_view("work", None, 10, None, [elsewhere, dead], NOW)

    assert (known.lanes, known.busy, known.running, known.ready) == (3, 1, Amount(count=1), Amount(count=4))
    assert (known.boots, known.is_parked, known.scheduled) == (("b1",), False, None)
    assert (unknown.lanes, unknown.busy, unknown.running, unknown.boots) == (None, None, None, ("b1", "b2"))
    assert (parked.boots, parked.is_parked, parked.lanes) == ((), True, 0)


@pytest.mark.parametrize(("until", "is_paused"), [(None, True), (NOW + 1, True), (NOW, False)])
def test_a_pause_is_shown_while_it_lasts_and_a_limit_always(until, is_paused):
    view = name_view("work", None, 10, PauseRecord("work", since=NOW - 5, until=until, limit=3), [WELL], NOW)

    assert (view.pause is not None, view.limit) == (is_paused, 3)
    assert name_view("work", None, 10, PauseRecord("work", limit=3), [WELL], NOW).pause is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"busy_seconds": HUNG_SECONDS_MAX, "oldest_seconds": HUNG_SECONDS_MAX}, []),
        ({"busy_seconds": HUNG_SECONDS_MAX + 1}, ["handler:work has been at one message for {} s"]),
        ({"busy_seconds": HUNG_SECONDS_MAX + 1, "busy_with": "Run"}, ["handler:work has been at one Run for {} s"]),
        ({"oldest_seconds": HUNG_SECONDS_MAX + 1}, ["a message to handler:work has waited for {} s"]),
        ({}, []),
    ],
)
def test_a_part_hangs_that_is_at_one_message_or_lets_one_wait_for_too_long(changes, said):
    view = a_view(actors=(an_actor(**changes),))
    seconds = f"{HUNG_SECONDS_MAX + 1:.0f}"
    hung = [one.format(seconds) for one in said]

    assert hung_parts(view, HUNG_SECONDS_MAX) == hung
    boot = boot_view(view, is_alive=True, view=view)
    assert (boot.status, boot.reasons) == ("red" if hung else "green", tuple(hung))


def test_a_runtime_is_shown_by_its_row_and_its_answer():
    quiet = QuietView(since=NOW, by=None, via=None, reason=None)
    sick = Health(status="yellow", reasons=("it is so",), boot="b1")
    plain, told = boot_view(None, is_alive=None, boot="b", pid=None), a_view(is_draining=True, quiet=quiet, health=sick)
    seen = boot_view(told, is_alive=True, view=told)

    assert (plain.boot, plain.status, plain.reasons, plain.stops, plain.is_quiet) == ("b", None, (), False, False)
    assert (plain.unheard, plain.is_well) == ("it was not asked", False)
    assert (seen.boot, seen.status, seen.reasons, seen.stops, seen.is_quiet) == (
        "b1",
        "yellow",
        ("it is so",),
        True,
        True,
    )
    assert (seen.unheard, seen.is_well, replace(seen, status="red").is_well) == (None, True, False)


@pytest.mark.parametrize(
    ("actors", "defect", "crash"),
    [
        ([an_actor(last_crash="E: old")], None, None),
        ([an_actor(status="quarantined", last_crash="E: x")], "quarantined", "E: x"),
        ([an_actor(status="waiting", last_crash="E: x")], "restarting", "E: x"),
        ([an_actor(is_halted=True, last_crash="E: old")], "halted", None),
        (
            [an_actor(name="broker", status="waiting", last_crash="E: y"), an_actor(is_halted=True)],
            "restarting",
            "E: y",
        ),
        ([an_actor(name="handler:other", status="quarantined", last_crash="E: x")], None, None),
    ],
)
def test_why_a_runtime_takes_no_jobs_of_a_name_is_told_by_its_actors(actors, defect, crash):
    boot = a_boot(a_view(actors=tuple(actors)))

    assert (boot.defect("work"), boot.crash_of("work")) == (defect, crash)
    assert a_boot().defect("work") is None


def test_how_long_the_broker_is_at_one_message_is_told():
    busy = a_view(actors=(an_actor(busy_seconds=9.0), an_actor(name="broker", busy_seconds=5.0)))

    assert [a_boot(view).broker_busy for view in (busy, a_view(actors=(an_actor(name="broker"),)), None)] == [
        5.0,
        0.0,
        0.0,
    ]
