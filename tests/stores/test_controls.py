"""The socket at which a boot is asked from outside: whoever stands before it, and whatever befalls it."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import socket
import stat
import threading
import time as walltime

import pytest
from lamplighter.environment.threads import spawn
from lamplighter.messages.boots import BootRecord
from lamplighter.messages.controls import ANSWER_BYTES_MAX, ASK_BYTES_MAX
from lamplighter.stores import controls
from lamplighter.stores.asking import Heard, ask_all
from lamplighter.stores.controls import CALLERS_MAX, PART_BYTES, SocketControls, short_path
from lamplighter.stores.presence import FilePresence

PATIENCE = 15.0
"""Seconds that a busy machine may take."""


def echo(line):
    return b"heard " + line + b"\n"


class Served:
    """Controls that answer, with the threads that they have had."""

    def __init__(self, folder, boot="one", answer=echo, monotonic=walltime.monotonic):
        self.threads = []
        self.path = folder / f"{boot}.ctl"
        self.controls = SocketControls(folder, boot, monotonic)
        self.controls.serve(answer, self._spawn)

    def _spawn(self, run, name):
        self.threads.append(spawn(run, name))

    def ask(self, line=b"hello\n"):
        return ask_all({"one": self.path}, line, PATIENCE, walltime.monotonic)["one"]


@pytest.fixture
def serve(tmp_path):
    """Makes controls in tmp_path, and closes them."""
    made = []

    def make(folder=tmp_path / "boots", **options):
        made.append(Served(folder, **options))
        return made[-1]

    yield make
    for one in made:
        one.controls.close()
        for thread in one.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.fixture
def call():
    """Connects to a socket, and hangs up at the end."""
    with contextlib.ExitStack() as stack:

        def connect(path):
            caller = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            caller.settimeout(PATIENCE)
            with short_path(path) as short:
                caller.connect(short)
            return caller

        yield connect


def test_a_process_that_is_stopped_is_not_waited_for(serve):
    one, other, asked = serve(boot="one"), serve(boot="other"), []

    def is_stopped(pid):
        asked.append(pid)
        return len(asked) == 1

    sockets = {"one": one.path, "other": other.path}
    heard = ask_all(sockets, b"hello\n", PATIENCE, walltime.monotonic, is_stopped=is_stopped)

    pid = os.getpid()
    assert heard == {"one": Heard(None, f"process {pid} is stopped", pid), "other": Heard(b"heard hello", pid=pid)}
    assert asked == [pid, pid]


def test_who_asks_is_answered_by_the_process_that_answers(serve):
    served = serve()

    heard = served.ask()

    assert heard.answer == b"heard hello"
    assert heard.pid == (os.getpid() if hasattr(socket, "SO_PEERCRED") else None)


def test_only_its_own_user_can_reach_it(serve):
    served = serve()

    assert stat.S_IMODE(os.stat(served.path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(served.path.parent).st_mode) == 0o700
    assert served.controls.address == str(served.path)


def test_who_leaves_takes_the_socket_along(serve):
    served = serve()

    served.controls.close()

    assert not served.path.exists()
    assert served.controls.address is None
    heard = served.ask()
    assert heard.answer is None
    assert "nobody answers" in heard.why


def test_a_long_answer_comes_whole_and_a_longer_one_than_allowed_is_not_read(serve):
    sizes = {b"long": ANSWER_BYTES_MAX - 1, b"longer": ANSWER_BYTES_MAX * 2}
    served = serve(answer=lambda line: b"x" * sizes[line] + b"\n")

    assert len(served.ask(b"long\n").answer) == ANSWER_BYTES_MAX - 1
    assert "more than" in served.ask(b"longer\n").why


def test_garbage_is_passed_on_as_it_is_and_harms_nobody(serve, call):
    heard = []
    served = serve(answer=lambda line: (heard.append(line), b"no\n")[1])
    for garbage in (b"\0\xff\n", b"\n", b"x" * (ASK_BYTES_MAX + 1), b"a\nb\nc\n"):
        caller = call(served.path)
        with contextlib.suppress(BrokenPipeError):
            caller.sendall(garbage)
        assert caller.makefile("rb").readline() == b"no\n"

    assert heard[:2] == [b"\0\xff", b""]
    assert len(heard[2]) > ASK_BYTES_MAX
    assert heard[3] == b"a"
    assert served.ask().answer == b"no"


def test_who_hangs_up_in_the_middle_harms_nobody(serve, call):
    served = serve(answer=lambda line: b"x" * (ANSWER_BYTES_MAX // 2) + b"\n")
    call(served.path).close()
    half = call(served.path)
    half.send(b"half a questi")
    half.close()
    reading = call(served.path)
    reading.sendall(b"hello\n")
    reading.recv(10)
    reading.close()

    assert len(served.ask().answer) == ANSWER_BYTES_MAX // 2


def test_who_says_nothing_keeps_nobody_waiting_and_is_hung_up_on(serve, call):
    served = serve()
    silent = [call(served.path) for _ in range(CALLERS_MAX - 1)]

    assert served.ask().answer == b"heard hello"
    assert silent[0].recv(1) == b""


def test_who_takes_no_answer_is_hung_up_on(serve, call, recorder, monkeypatch):
    monkeypatch.setattr(controls, "CALLER_SECONDS_MAX", 0.05)
    served = serve(answer=lambda line: b"x" * ANSWER_BYTES_MAX + b"\n")
    caller = call(served.path)
    caller.sendall(b"hello\n")
    recorder.until(lambda: served.controls._counter._callers, "it to be heard")
    recorder.until(lambda: not served.controls._counter._callers, "it to be hung up on")

    assert 0 < len(caller.makefile("rb").read()) < ANSWER_BYTES_MAX


def test_who_takes_some_of_a_long_answer_now_and_then_is_given_all_of_it(serve, call, recorder):
    now = [0.0]
    served = serve(answer=lambda line: b"x" * ANSWER_BYTES_MAX + b"\n", monotonic=lambda: now[0])
    caller, took, callers = call(served.path), 0, served.controls._counter._callers
    caller.sendall(b"hello\n")

    def left():
        return len(one.answer or b"") if (one := next(iter(callers.values()), None)) else 0

    recorder.until(left, "it to be answered")
    for _ in range(5):
        before = left()
        now[0] += 0.7 * controls.CALLER_SECONDS_MAX
        while left() == before and (part := caller.recv(PART_BYTES)):
            took += len(part)

    assert took + len(caller.makefile("rb").read()) == ANSWER_BYTES_MAX + 1


def test_more_than_can_be_heard_at_once_are_heard_one_after_the_other(serve):
    served, many = serve(), 3 * CALLERS_MAX

    heard = ask_all({str(n): served.path for n in range(many)}, b"hello\n", 2 * PATIENCE, walltime.monotonic)

    assert [one.answer for one in heard.values()] == [b"heard hello"] * many


def test_a_socket_that_was_full_once_answers_whoever_comes_later(serve, call, recorder):
    # As many as may be heard at once come, go, come again, and go: nobody is kept out by those who have gone.
    served = serve()
    for _ in range(2):
        silent = [call(served.path) for _ in range(CALLERS_MAX)]
        recorder.until(lambda: len(served.controls._counter._callers) == CALLERS_MAX, "all to be heard")
        for caller in silent:
            caller.close()
        recorder.until(lambda: not served.controls._counter._callers, "all to be dismissed")

        assert served.ask().answer == b"heard hello"
    recorder.until(lambda: not served.controls._counter._callers, "the last to be dismissed")
    # Its own three: what is listened at, and a pair to wake its thread.
    assert len(served.controls._counter._sockets) == 3


def test_one_that_does_not_answer_keeps_nobody_from_the_others(serve, tmp_path):
    go_on = threading.Event()
    served, slow = serve(), serve(boot="slow", answer=lambda line: (go_on.wait(PATIENCE), line)[1])
    sockets = {"one": served.path, "slow": slow.path, "none": tmp_path / "boots" / "none.ctl"}

    heard = ask_all(sockets, b"hello\n", 0.2, walltime.monotonic)

    go_on.set()
    assert heard["one"].answer == b"heard hello"
    assert heard["slow"].why == "no answer within 0.2 s"
    assert "nobody answers" in heard["none"].why


def test_a_socket_that_was_cleaned_away_is_made_anew_when_its_boot_looks(serve):
    served = serve()
    shutil.rmtree(served.path.parent)

    served.controls.keep()

    assert served.ask().answer == b"heard hello"
    assert len(served.threads) == 2
    assert served.controls.trouble() is None


def test_to_keep_a_sound_socket_changes_nothing(serve):
    served = serve()
    before = os.stat(served.path).st_ino

    served.controls.keep()

    assert os.stat(served.path).st_ino == before
    assert len(served.threads) == 1


def test_another_socket_in_its_place_is_replaced(serve, tmp_path):
    served = serve()
    served.path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other, short_path(served.path) as short:
        other.bind(short)

    served.controls.keep()

    assert served.ask().answer == b"heard hello"


def test_a_thread_that_has_failed_is_found_said_once_and_replaced(serve):
    broken = [True]

    def answer(line):
        if broken:
            raise SystemExit("broken")
        return echo(line)

    served = serve(answer=answer)
    assert served.ask().answer is None
    served.threads[0].join(PATIENCE)
    broken.clear()

    served.controls.keep()

    assert "the thread that answers has failed: SystemExit('broken')" in served.controls.trouble()
    assert served.controls.trouble() is None
    assert served.ask().answer == b"heard hello"


def test_a_path_too_long_for_a_socket_is_reached_by_its_folder(serve, tmp_path):
    if not os.path.exists("/proc/self/fd"):
        pytest.skip("only Linux has such paths")
    long = tmp_path / ("l" * 120)
    long.mkdir()

    served = serve(long / "boots")

    assert served.controls.address == str(long / "boots" / "one.ctl")
    assert served.ask().answer == b"heard hello"


def test_where_no_socket_can_be_made_it_is_said_once_and_nothing_else_happens(serve, tmp_path):
    (tmp_path / "file").touch()

    served = serve(tmp_path / "file")
    first = served.controls.trouble()
    served.controls.keep()

    assert str(tmp_path / "file" / "one.ctl") in first
    assert served.controls.trouble() is None
    assert served.controls.address is None
    assert served.threads == []


def test_without_a_thread_there_is_no_socket_to_wait_at(tmp_path):
    def none_left(run, name):
        raise RuntimeError("can't start new thread")

    made, before = SocketControls(tmp_path / "boots", "one", walltime.monotonic), set(controls._open)
    made.serve(echo, none_left)

    assert "can't start new thread" in made.trouble()
    assert list((tmp_path / "boots").iterdir()) == []
    assert set(controls._open) == before


def test_what_the_dead_have_left_is_buried_with_them_or_tidied_away(tmp_path):
    place = FilePresence(tmp_path)
    place.enter("living")
    for name in ("buried.ctl", "unknown.ctl", "known.ctl", "living.ctl"):
        (tmp_path / name).touch()

    place.bury(BootRecord(boot="buried", pid=1, host="here", started_at=1.0, hint=None, names=()))
    place.tidy({"known"})

    assert sorted(path.name for path in tmp_path.iterdir()) == ["known.ctl", "living.ctl", "living.lock"]
    place.leave("living")


@pytest.fixture
def looks(monkeypatch):
    """How long the thread that answers was ready to wait in each look, and for which callers it had not to."""
    looks = []
    selected = controls.selectors.PollSelector.select

    def select(self, timeout=None):
        found = selected(self, timeout)
        if threading.current_thread().name == "lamplighter control":
            looks.append((timeout, [events for key, events in found if key.data is not None]))
        return found

    monkeypatch.setattr(controls.selectors.PollSelector, "select", select)
    return looks


def test_who_has_asked_and_takes_the_answer_slowly_wakes_the_thread_only_for_that(serve, call, looks):
    # It has closed its side, so it could be read from at once, again and again.
    served = serve(answer=lambda line: b"x" * ANSWER_BYTES_MAX + b"\n")
    caller = call(served.path)
    caller.sendall(b"hello\n")
    caller.shutdown(socket.SHUT_WR)

    assert len(caller.makefile("rb").read()) == ANSWER_BYTES_MAX + 1
    served.controls.close()
    served.threads[0].join(PATIENCE)
    first, *others = [events for _, ready in looks for events in ready]
    assert (first, {*others}) == (selectors.EVENT_READ, {selectors.EVENT_WRITE})


def test_while_nobody_asks_its_thread_does_not_wake(serve, looks):
    served = serve()
    served.ask()
    served.controls.close()
    served.threads[0].join(PATIENCE)

    # Without a caller it waits for ever, with one for no longer than that one has.
    waits = [timeout for timeout, _ in looks]
    assert waits[0] is waits[-1] is None
    bounded = [wait for wait in waits if wait is not None]
    assert bounded
    assert max(bounded) <= controls.CALLER_SECONDS_MAX
