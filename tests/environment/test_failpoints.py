"""Failpoints: what arms them, what they do, how often, and that nothing happens where nothing is armed."""

from __future__ import annotations

import ast
import inspect
import random
from collections.abc import Callable

import pytest
from lamplighter import Runtime, StoreUnavailable, UsageError
from lamplighter.environment import Environment
from lamplighter.environment.failpoints import POINTS, VARIABLE, Failpoints, from_environment

from ..conftest import Recorder
from ..support.package_files import ROOT, package_files


def strikes(failpoints: Failpoints, point: str, times: int) -> list[bool]:
    """Whether each of so many passes of a point raised."""
    struck = []
    for _ in range(times):
        try:
            failpoints.at(point)
            struck.append(False)
        except OSError:
            struck.append(True)
    return struck


def test_an_armed_point_raises_the_named_error_with_its_text_every_time() -> None:
    failpoints = Failpoints("store.read=raise(OSError: no space left)")

    for _ in range(3):
        with pytest.raises(OSError, match=r"^no space left$"):
            failpoints.at("store.read")


def test_an_error_of_a_module_is_found_by_its_dotted_name() -> None:
    with pytest.raises(__import__("sqlite3").OperationalError, match="disk I/O error"):
        Failpoints("store.read=raise(sqlite3.OperationalError: disk I/O error)").at("store.read")


def test_an_error_without_a_text_says_that_a_failpoint_raised_it() -> None:
    with pytest.raises(SystemExit, match="a failpoint"):
        Failpoints("lane.call=raise(SystemExit)").at("lane.call")


def test_an_action_with_a_count_gives_way_to_the_next() -> None:
    failpoints = Failpoints("store.read=2*raise(OSError)->3*off->raise(OSError)")

    assert strikes(failpoints, "store.read", 8) == [True, True, False, False, False, True, True, True]


def test_after_the_last_count_nothing_happens_any_more() -> None:
    assert strikes(Failpoints("store.read=1*raise(OSError)"), "store.read", 3) == [True, False, False]


def test_an_action_with_a_chance_acts_so_often_and_a_seed_gives_the_same_passes() -> None:
    one, two = (Failpoints("store.read=25%raise(OSError)", random.Random(7)) for _ in range(2))

    struck = strikes(one, "store.read", 1000)

    assert 200 < sum(struck) < 300
    assert struck == strikes(two, "store.read", 1000)


def test_a_chance_and_a_count_together_act_so_many_times_in_all() -> None:
    failpoints = Failpoints("store.read=50%3*raise(OSError)", random.Random(7))

    struck = strikes(failpoints, "store.read", 100)

    assert sum(struck) == 3
    assert not all(struck[:3])


def test_several_points_are_armed_by_one_text_and_others_are_left_alone() -> None:
    failpoints = Failpoints(" store.read = raise(OSError) ; ; lane.call=raise(ValueError) ")

    with pytest.raises(OSError):
        failpoints.at("store.read")
    with pytest.raises(ValueError):
        failpoints.at("lane.call")
    for point in POINTS.keys() - {"store.read", "lane.call"}:
        failpoints.at(point)


def test_off_alone_disarms_a_point() -> None:
    failpoints = Failpoints("store.read=raise(OSError)")

    failpoints.arm("store.read", "off")

    assert strikes(failpoints, "store.read", 1) == [False]


def test_sleep_waits_so_many_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("lamplighter.environment.failpoints.time.sleep", slept.append)

    Failpoints("store.read=sleep(0.25)").at("store.read")

    assert slept == [0.25]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("store.raed=raise(OSError)", r"expected the name of a failpoint \(actor.start, .*\), got: 'store.raed'"),
        ("store.read", "expected actions such as .* got: ''"),
        ("store.read=explode", "expected actions such as .* got: 'explode'"),
        ("store.read=raise(OSError", "expected actions such as"),
        ("store.read=raise(OSError)->", "expected actions such as .* got: ''"),
        ("store.read=-1*raise(OSError)", "expected actions such as"),
        ("store.read=raise", "expected the name of an error, as in .* got: ''"),
        ("store.read=raise(Nonsense)", "expected the name of an error, as in .* got: 'Nonsense'"),
        ("store.read=raise(print)", "expected the name of an error"),
        ("store.read=sleep", r"expected seconds, as in 'sleep\(0.5\)', got: 'sleep'"),
        ("store.read=sleep(a while)", "expected seconds"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_was_expected(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Failpoints(text)


def test_an_error_of_a_module_that_is_not_there_is_refused() -> None:
    with pytest.raises((UsageError, ImportError), match="nowhere"):
        Failpoints("store.read=raise(nowhere.Error)")


def calls_of_at() -> dict[str, list[str]]:
    """Which modules pass which point, by their source."""
    passed: dict[str, list[str]] = {}
    for path in package_files():
        relative = path.relative_to(ROOT)
        if relative.parts[0] == "testing":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            is_at = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "at"
            if is_at and node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
                passed.setdefault(node.args[0].value, []).append(str(relative))
    return passed


def test_every_point_is_passed_somewhere_and_no_other_is() -> None:
    assert calls_of_at().keys() == POINTS.keys()


def test_an_unarmed_point_costs_one_look_at_an_empty_dict() -> None:
    body = ast.parse(inspect.getsource(Failpoints.at).lstrip()).body[0].body[1:]  # type: ignore[attr-defined]

    (only,) = body
    assert ast.unparse(only) == "if self._armed:\n    self._act(point)"
    assert Failpoints()._armed == {}


@pytest.mark.parametrize("point", POINTS)
def test_a_job_is_done_although_a_point_on_its_way_fails_once(
    point: str, runtime: Callable[..., Runtime], recorder: Recorder
) -> None:
    failpoints = Failpoints()
    rt = runtime(start=False, environment=Environment(failpoints=failpoints), restart_backoff_seconds_max=0.0)
    rt.jobs.add_handler("work", lambda job: 7, backoff=[0])
    rt.start()
    error = "sqlite3.OperationalError: disk I/O error" if point.startswith("store.") else "RuntimeError: armed"
    failpoints.arm(point, f"1*raise({error})")

    for n in range(3):
        try:
            job = rt.jobs.queue("work", id=f"job-{n}")
        except StoreUnavailable:
            continue
        assert rt.jobs.join(job, timeout=15).result == 7

    assert rt.jobs.counts("work")["done"] >= 2


def test_nothing_is_armed_unless_the_variable_is_set_and_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    unset = from_environment()
    monkeypatch.setenv(VARIABLE, "store.read=raise(OSError)")
    armed = from_environment()

    assert strikes(unset, "store.read", 1) == [False]
    assert strikes(armed, "store.read", 1) == [True]
    assert strikes(Environment().failpoints, "store.read", 1) == [False]
