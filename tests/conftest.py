"""What the tests share: runtimes that are stopped whatever happens, and a recorder of everything that they say."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import signal
import sys
import threading
import time as walltime
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest
import structlog
from lamplighter import Runtime
from lamplighter.environment import Environment
from lamplighter.history.audit.audit import Audit, Report
from lamplighter.history.audit.store_check import StoreView
from lamplighter.log.events import ENVELOPE, EVENTS
from lamplighter.log.outlets import LineFile, Sink
from lamplighter.stores.sqlite import posix_lock_guard
from lamplighter.testing.manual_clock import ManualTime

from .support import side_by_side
from .support.in_process import Guard

# Its modules hold tests too: StoreConformance.
pytest.register_assert_rewrite("support.conformance")

# A machine that others use too may be slow at any moment.
hypothesis.settings.register_profile("lamplighter", parent=hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("lamplighter")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts a background job so, and every process that a test starts would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

WAIT_SECONDS_MAX = 15.0
"""No test waits longer for one thing."""

LEAVE_NOTHING_OPEN = (
    "tests/boot/test_starting.py",
    "tests/environment/test_process.py",
    "tests/handlers/test_processes.py",
    "tests/handlers/test_tasks.py",
    "tests/log/test_logging.py",
    "tests/log/test_writes.py",
    "tests/admin/test_inspector.py",
    "tests/stores/test_controls.py",
    "tests/stores/test_presence.py",
)
"""The tests of what opens files, sockets and pipes: child processes, loops, lock files, logs and control sockets."""


def _leaves_nothing_open(item: pytest.Item) -> bool:
    """Whether it is one of these, or the part of one that lies in tests/whole."""
    return item.nodeid.replace("tests/whole/", "tests/").startswith(LEAVE_NOTHING_OPEN)


def pytest_sessionstart() -> None:
    """Nothing that is collected goes before the end: the collector would walk through all of it for nothing."""
    gc.disable()


def pytest_collection_finish() -> None:
    """All that is collected stays to the end, so the collector need not walk through it for each test either."""
    gc.collect()
    gc.freeze()
    gc.enable()


class FromTheEnd:
    """A folder whose last file is collected first.

    Where two processes share the tests, each collects all of them, and the first that comes to a file compiles it for
    both: so they come from both ends.
    """

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        return reversed([*super().collect()])  # type: ignore[misc]


class DirFromTheEnd(FromTheEnd, pytest.Dir):
    pass


class PackageFromTheEnd(FromTheEnd, pytest.Package):
    pass


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    worker = getattr(parent.config, "workerinput", {}).get("workerid", "gw0")
    if int(worker.removeprefix("gw")) % 2 == 0:
        return None
    kind = PackageFromTheEnd if (path / "__init__.py").is_file() else DirFromTheEnd
    return kind.from_parent(parent, path=path)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, the longest come first."""
    for item in items:
        if _leaves_nothing_open(item):
            # Python closes a forgotten socket when nobody knows it any more, and says so in a warning.
            item.add_marker(pytest.mark.filterwarnings("error::ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning"))
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (side_by_side.turn_of(item.nodeid), item.path))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """What tests of other files have left to the collector is collected before a file whose warnings are errors."""
    if _leaves_nothing_open(item) and _collected_for.get("file") != item.path:
        _collected_for["file"] = item.path
        gc.collect()
    _guard.is_closed = not item.nodeid.startswith("tests/whole/")
    try:
        return (yield)
    finally:
        _guard.is_closed = False


_collected_for: dict[str, Path] = {}
_guard = Guard()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Fail a test of which a thread has started a process, or has tried to."""
    yield
    refused, _guard.refused = _guard.refused, []
    assert not refused, refused[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where several processes share the tests, a file stays whole, and so do those that share a RabbitMQ."""
    config.option.loadscopereorder = False
    return side_by_side.WholeFiles(config, log)


def open_files() -> set[tuple[str, str]]:
    """What this process has open: each descriptor's number, and the file, socket or pipe that it is of.

    The package holds some database files for the whole process on purpose: those do not count.
    """
    found = set()
    for name in {*os.listdir("/proc/self/fd")} - {str(kept.descriptor) for kept in [*posix_lock_guard._kept.values()]}:
        # The descriptor that lists the folder is among them, and other threads close theirs.
        with contextlib.suppress(OSError):
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
    return found


SHARED: set[tuple[str, str]] = set()
"""What the fixtures of modules and of the session have opened: they close it after other tests."""


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Iterator[Any]:
    """Note what a fixture opens that several tests share."""
    before = open_files() if fixturedef.scope != "function" else None
    try:
        return (yield)
    finally:
        if before is not None:
            SHARED.update(open_files() - before)


@pytest.fixture(autouse=True)
def nothing_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaves a file, a socket or a pipe open, with all the fixtures of its own closed."""
    before = open_files() if _leaves_nothing_open(request.node) else None
    yield
    if before is None or open_files() <= before | SHARED:
        return
    gc.collect()
    # The threads of what the test has stopped may be closing theirs.
    give_up_at = walltime.monotonic() + WAIT_SECONDS_MAX
    while left := open_files() - before - SHARED:
        if walltime.monotonic() > give_up_at:
            pytest.fail(f"expected that the test leaves nothing open, got {sorted(left)}: close it")
        walltime.sleep(0.01)


STARTS = datetime(2026, 3, 2, tzinfo=UTC)
"""When `time` starts."""


MARK = "a mark of the recorder"
"""In the place of an event: all that were said before it have arrived."""


class Recorder:
    """A subscriber that keeps every event, and that a test can wait at."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []
        self._arrived = threading.Condition()
        self._runtimes: list[Runtime] = []

    def follow(self, runtime: Runtime) -> None:
        runtime.subscribe(self)
        self._runtimes.append(runtime)

    def catch_up(self) -> None:
        """Wait until all that was said by now has arrived: a subscriber is called on a thread of its own."""
        for runtime in self._runtimes:
            passed = threading.Event()
            for subscription in runtime._subscriptions:
                if subscription.call is self and runtime.boot is not None:
                    subscription.waiting.put({MARK: passed})
                    while runtime.boot is not None and not passed.wait(0.01):
                        pass
                if subscription.call is self:
                    # A stop does not wait for the thread, which ends with the None behind the last event.
                    while runtime.boot is None and None in list(subscription.waiting.mail):
                        with self._arrived:
                            self._arrived.wait(0.01)

    def __call__(self, event: dict[str, Any]) -> None:
        if MARK in event:
            event[MARK].set()
            return
        with self._arrived:
            self._events.append(event)
            self._arrived.notify_all()

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every event that was said by now."""
        self.catch_up()
        return self._events

    def of(self, name: str, **fields: Any) -> list[dict[str, Any]]:
        """Every event of this name that carries these fields, of those that were said by now."""
        return [
            event
            for event in list(self.events)
            if event["event"] == name and all(event.get(key) == value for key, value in fields.items())
        ]

    def wait_for(
        self, name: str, *, count: int = 1, timeout: float = WAIT_SECONDS_MAX, **fields: Any
    ) -> dict[str, Any]:
        """The `count`-th event of this name that carries these fields, as soon as it is there."""
        self.until(lambda: len(self.of(name, **fields)) >= count, f"{count} {name} with {fields}", timeout=timeout)
        return self.of(name, **fields)[count - 1]

    def until(self, holds: Callable[[], Any], what: str = "the condition", timeout: float = WAIT_SECONDS_MAX) -> None:
        """Wait until something holds; it is looked at again with every event, and now and then."""
        give_up_at = walltime.monotonic() + timeout
        while not holds():
            with self._arrived:
                self._arrived.wait(0.02)
            if walltime.monotonic() > give_up_at:
                said = "\n".join(str(event)[:300] for event in self._events[-40:])
                pytest.fail(f"expected {what} within {timeout} s; the last events were:\n{said}")

    def audit(self, store: Path | None = None) -> Report:
        """What the audit says of everything that was said, and of the store, if that is given."""
        audit = Audit()
        for event in self.events:
            audit.feed(event)
        return audit.finish(None if store is None else StoreView(store))

    def check(self) -> None:
        """Every event is declared, with every field that it carries."""
        for event in self.events:
            declared = {*ENVELOPE, "level", *EVENTS[event["event"]].fields}
            undeclared = event.keys() - declared
            assert not undeclared, f"{event['event']} carries undeclared fields: {sorted(undeclared)}"


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """Keeps the events of every runtime that the `runtime` fixture makes."""
    kept = Recorder()
    yield kept
    kept.check()


@pytest.fixture(autouse=True)
def logging_as_before(nothing_left_open: None) -> Iterator[None]:
    """Puts back what a test configures: this process's logging is pytest's and the other tests' too.

    It closes the log file before `nothing_left_open` looks.
    """
    root, ours = logging.getLogger(), logging.getLogger("lamplighter")
    level, our_level = root.level, ours.level
    yield
    for handler in list(root.handlers):
        if isinstance(handler, Sink):
            root.removeHandler(handler)
            handler.close()
    root.setLevel(level)
    ours.setLevel(our_level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], ModuleType]]:
    """Makes modules of a text, which child processes can import too. They are forgotten after the test."""
    made: list[str] = []

    def make(name: str, text: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        made.append(name)
        return importlib.import_module(name)

    yield make
    for name in made:
        sys.modules.pop(name, None)


@pytest.fixture
def runtime(tmp_path: Path, recorder: Recorder) -> Iterator[Callable[..., Runtime]]:
    """Makes runtimes on tmp_path/jobs.db, started unless told otherwise, and stops them all."""
    made: list[Runtime] = []

    def make(store: Any = None, *, start: bool = True, **options: Any) -> Runtime:
        one = Runtime(tmp_path / "jobs.db" if store is None else store, **options)
        recorder.follow(one)
        made.append(one)
        return one.start() if start else one

    yield make
    for one in made:
        one.stop(drain=0.0)


@pytest.fixture
def unwatched() -> Iterator[logging.Logger]:
    """A logger whose lines no handler but ours sees: where another does, nobody stands in for the broker."""
    logger = logging.Logger("of nobody")
    logger.addHandler(LineFile(os.devnull))
    yield logger
    logger.handlers[0].close()


@pytest.fixture
def time() -> ManualTime:
    """Time that passes only when a test lets it."""
    return ManualTime(STARTS.timestamp())


@pytest.fixture
def timed(runtime: Callable[..., Runtime], time: ManualTime) -> Callable[..., Runtime]:
    """Makes runtimes whose clock is `time`."""
    return lambda **options: runtime(environment=Environment(clock=time.clock), **options)


@pytest.fixture(params=["America/New_York", "Asia/Kolkata"])
def zone(request: pytest.FixtureRequest) -> Iterator[str]:
    """The zone of this process, which is none in which local time could be taken for UTC."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TZ", request.param)
        walltime.tzset()
        yield request.param
    walltime.tzset()


@pytest.fixture
def caller() -> Iterator[Callable[..., Future[Any]]]:
    """Threads for calls that the test itself must not wait for."""
    with ThreadPoolExecutor(4) as pool:
        yield pool.submit


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Has runs inside of a test leave Faker out, as this one does: each would import it afresh."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:faker")
    return pytester
