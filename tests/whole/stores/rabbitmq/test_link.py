"""Who uses the connection, its own thread or a caller's, and what can go wrong between them."""

from __future__ import annotations

import queue
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import pika
import pytest
from lamplighter.stores.rabbitmq import topology
from lamplighter.stores.rabbitmq.link import Arrival, Link, LinkLost, Message, QueueSpec, Sent
from lamplighter.stores.rabbitmq.pika import link as pika_link
from lamplighter.stores.rabbitmq.pika import publishing
from lamplighter.stores.rabbitmq.pika.connection import ACK, ack
from pika import frame
from pika.adapters.select_connection import IOLoop, SelectConnection

from ....faults.kit import eventually, now_in
from .conftest import Vhosts
from .kit import link_to
from .test_model import JOBS, SECONDS_MAX, Player, bodies

CALLS: dict[str, Callable[[Link], Future]] = {
    "send": lambda link: link.send([Message("", JOBS.name, b"a")]),
    "setup": lambda link: link.setup([QueueSpec(name="another", arguments=topology.QUORUM)]),
    "look": lambda link: link.look(JOBS.name),
    "browse": lambda link: link.browse(JOBS.name, lambda arrival: None),
}


@pytest.fixture(params=["plain", "tls"])
def player(request: pytest.FixtureRequest, vhosts: Vhosts, url: str) -> Iterator[Player]:
    # A heartbeat would wake the link's thread, and hide that nothing else does.
    address = f"{url}?heartbeat=600"
    if request.param == "tls":
        files = {"cafile": "ca.pem", "certfile": "client.pem", "keyfile": "client.key"}
        address = f"{vhosts.over_tls(url.rpartition('/')[2], **files)}&heartbeat=600"
    link = link_to(address)
    yield Player(link)
    link.stop()


def test_an_error_in_the_links_own_thread_ends_the_connection_for_the_server_too(player: Player) -> None:
    player.have(JOBS)
    player.publish("a")
    player.consume("first", 1)
    player.take(1)

    def fail() -> None:
        raise ZeroDivisionError("in a callback")

    # Kept, as by a traceback that somebody looks at: Python closes the socket of what nobody knows any more.
    connection = player.link._connection  # type: ignore[attr-defined]
    connection.ioloop.add_callback_threadsafe(fail)

    player.session = player.listener.sessions.get(timeout=SECONDS_MAX)
    player.consume("second", 1)
    again = player.take(1)

    assert (bodies(again), again[0].redeliveries) == (["a"], 1)
    assert "in a callback" in player.listener.losses.get_nowait()
    assert connection is not player.link._connection  # type: ignore[attr-defined]


def test_a_link_that_still_connects_is_stopped_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(SECONDS_MAX)
        link = link_to(f"amqp://127.0.0.1:{silent.getsockname()[1]}/")
        link.start(lambda event: None)
        peer, _ = silent.accept()

        link.stop()

        assert not link._thread.is_alive()
        peer.close()


def test_a_link_that_is_stopped_just_before_it_has_a_connection_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    # The stop saw nothing to close, and the thread connected again and again for as long as the process lived.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        link, make = link_to(f"amqp://127.0.0.1:{silent.getsockname()[1]}/"), pika_link.parameters

        def stopped_meanwhile(*given: Any) -> pika.connection.Parameters:
            link._stopping.set()
            link._soon(link._close)
            return make(*given)

        monkeypatch.setattr(pika_link, "parameters", stopped_meanwhile)
        link.start(lambda event: None)
        link._thread.join(5)

        assert not link._thread.is_alive()


def test_a_session_is_given_up_though_the_server_does_not_answer_the_close(vhosts: Vhosts, player: Player) -> None:
    link, node = player.link, vhosts.server.nodes[0]
    node.signal(signal.SIGSTOP)
    try:
        connection = link._connection  # type: ignore[attr-defined]
        connection.ioloop.add_callback_threadsafe(connection.close)
        link.give_up(player.session, "it says nothing any more")

        assert player.listener.losses.get(timeout=SECONDS_MAX) == "it says nothing any more"
    finally:
        node.signal(signal.SIGCONT)


@pytest.mark.parametrize("name", CALLS)
def test_who_asks_a_connection_that_ends_in_this_very_moment_is_told_so(
    vhosts: Vhosts, url: str, player: Player, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    link = player.link
    player.have(JOBS)
    with monkeypatch.context() as patch:
        # A loop that was told to stop takes calls, and begins none of them.
        patch.setattr(IOLoop, "add_callback_threadsafe", lambda loop, call: None)
        asked = CALLS[name](link)
    assert not asked.done()
    vhosts.server.close_connections("guest", "over")

    with pytest.raises(LinkLost):
        asked.result(SECONDS_MAX)
    assert player.listener.sessions.get(timeout=SECONDS_MAX) == player.session + 1
    CALLS[name](link).result(SECONDS_MAX)


def message(body: bytes) -> Message:
    return Message("", JOBS.name, body)


def on_publish(monkeypatch: pytest.MonkeyPatch, do: Callable[[bytes], None]) -> None:
    """Have something done whenever a message is made into frames."""
    encode = publishing.encoded

    def instead(message: Message, *more: Any) -> bytes:
        do(message.body)
        return encode(message, *more)

    monkeypatch.setattr(publishing, "encoded", instead)


def test_a_thread_that_nothing_can_interrupt_publishes_itself(
    player: Player, caller: Callable[..., Future], monkeypatch: pytest.MonkeyPatch
) -> None:
    player.have(JOBS)
    by: dict[bytes, threading.Thread] = {}
    on_publish(monkeypatch, lambda body: by.update({body: threading.current_thread()}))

    def publish() -> threading.Thread:
        player.publish("a")
        return threading.current_thread()

    thread = caller(publish).result(SECONDS_MAX)
    # A signal's handler may raise on the main thread.
    player.publish("b")

    assert (by[b"a"], by[b"b"].name) == (thread, "lamplighter rabbitmq")


def test_nothing_is_published_before_a_session_has_begun_that_counts_it(player: Player) -> None:
    player.have(JOBS)
    link: Any = player.link
    begin, early = link._begin_session, list[Future[Any]]()

    def publish_first() -> None:
        # As a turn may that has begun in the session before.
        early.append(link.send([message(b"a")]))
        begin()

    link._begin_session = publish_first
    link.give_up(player.session, "it says nothing any more")
    eventually(lambda: not player.listener.sessions.empty(), what="the next session")

    assert player.publish("b") == Sent()
    with pytest.raises(LinkLost, match="there is no connection"):
        early[0].result(SECONDS_MAX)


def test_calls_are_made_in_their_order_whoever_makes_them(player: Player, caller: Callable[..., Future]) -> None:
    player.have(JOBS)
    link: Any = player.link

    with link._lock:
        # Nobody can make the call that is handed over, until the lock is free.
        first = link.send([message(b"handed over")])
        second = caller(link.send, [message(b"made by its caller")])
        eventually(lambda: len(link._calls) == 2, what="both to be asked for")
    first.result(SECONDS_MAX)
    second.result(SECONDS_MAX).result(SECONDS_MAX)

    player.consume("first", 2)
    assert bodies(player.take(2)) == ["handed over", "made by its caller"]


def test_what_does_not_go_at_once_goes_later_and_before_what_comes_after_it(
    player: Player, caller: Callable[..., Future]
) -> None:
    player.have(JOBS)
    link: Any = player.link
    big = [bytes([letter]) * 1_000_000 for letter in b"abcdefgh"]

    def send() -> list[Future[Sent]]:
        # The link's thread can send nothing, while the server makes room for more.
        with link._lock:
            first = link.send([message(body) for body in big])
            select.select([], [link._connection._transport._sock], [], SECONDS_MAX)
            return [first, link.send([message(b"small")])]

    assert [sent.result(SECONDS_MAX) for sent in caller(send).result(SECONDS_MAX)] == [Sent(), Sent()]
    player.consume("first", 9)
    assert [arrival.body for arrival in player.take(9)] == [*big, b"small"]


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_after_an_error_in_a_call_nothing_is_sent_until_the_next_session(
    player: Player, caller: Callable[..., Future], monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    player.have(JOBS)
    link: Any = player.link

    def fail(body: bytes) -> None:
        if body == b"bad":
            raise error("in the midst of it")

    on_publish(monkeypatch, fail)

    def send() -> Future[Sent]:
        # The link's thread cannot end the session in between.
        with link._lock:
            with suppress(SystemExit):
                link.send([message(b"before it"), message(b"bad")])
            return link.send([message(b"good")])

    with pytest.raises(LinkLost):
        caller(send).result(SECONDS_MAX).result(SECONDS_MAX)
    assert player.listener.sessions.get(timeout=SECONDS_MAX) == player.session + 1
    assert "in the midst of it" in player.listener.losses.get_nowait()
    assert link.look(JOBS.name).result(SECONDS_MAX) == (0, 0)


def test_a_connection_that_breaks_in_the_midst_of_a_send_loses_what_is_unconfirmed(
    player: Player, caller: Callable[..., Future]
) -> None:
    player.have(JOBS)
    link: Any = player.link

    def send() -> Future[Sent]:
        # The link's thread can send nothing more.
        with link._lock:
            sending = link.send([message(bytes(1_000_000))] * 40)
            assert link._connection._transport.get_write_buffer_size()
            link._connection._transport._sock.shutdown(socket.SHUT_RDWR)
            return sending

    with pytest.raises(LinkLost):
        caller(send).result(SECONDS_MAX).result(SECONDS_MAX)
    assert player.listener.sessions.get(timeout=SECONDS_MAX) == player.session + 1
    assert player.publish("b") == Sent()


def test_confirms_are_read_however_they_are_cut(player: Player, caller: Callable[..., Future]) -> None:
    player.have(JOBS)
    link: Any = player.link
    number = 0

    def read(first: bytes, second: bytes) -> list[bool]:
        nonlocal number
        with link._lock:
            # The server's own confirms come later, and find nothing.
            sent = [link.send([message(b"a")]) for _ in range(3)]
            before = link._connection.bytes_received
            for part in (first, second):
                link._connection._on_data_available(part)
            # Without that a connection with nothing but confirms would seem silent, and be ended.
            assert link._connection.bytes_received - before == len(first + second)
            return [one.done() for one in sent]

    for cut in range(1, 2 * ACK.size):
        said = ack(1, number + 1, False) + ack(1, number + 3, True)
        number += 3
        assert caller(read, said[:cut], said[cut:]).result(SECONDS_MAX) == [True, True, True]


def test_a_message_with_the_bytes_of_a_confirm_is_none(player: Player, caller: Callable[..., Future]) -> None:
    player.have(JOBS)
    player.consume("first", 1)
    link: Any = player.link
    deliver = pika.spec.Basic.Deliver("first", 1, False, "", JOBS.name)
    body = ack(1, 1_000_000, True)
    frames = frame.Method(1, deliver), frame.Header(1, len(body), pika.BasicProperties()), frame.Body(1, body)
    said = b"".join(one.marshal() for one in frames)

    def read() -> bool:
        with link._lock:
            sent = link.send([message(b"a")])
            for cut in range(1, len(said)):
                for part in (said[:cut], said[cut:]):
                    link._connection._on_data_available(part)
            return sent.done()

    assert not caller(read).result(SECONDS_MAX)
    assert {arrival.body for arrival in player.take(len(said) - 1)} == {body}


@pytest.mark.parametrize("apart", [False, True])
def test_deliveries_are_acknowledged_together_up_to_the_first_that_is_not(
    player: Player, caller: Callable[..., Future], monkeypatch: pytest.MonkeyPatch, apart: bool
) -> None:
    player.have(JOBS)
    link: Any = player.link
    player.publish(*"abcdefg")
    player.consume("first", 7, apart=apart)
    tags = [arrival.tag for arrival in player.take(7)]
    said: list[bytes] = []
    send = link._connection._send
    monkeypatch.setattr(link._connection, "_send", lambda data: (said.append(data), send(data)))

    caller(link.acknowledge, player.session, [tags[place] for place in (5, 2, 0, 1)]).result(SECONDS_MAX)

    channel = 2 if apart else 1
    assert said == [ack(channel, 3, True) + ack(channel, 6, False)]
    monkeypatch.undo()
    # Once the server has answered this, it has read what came before.
    link.look(JOBS.name).result(SECONDS_MAX)
    link.give_up(player.session, "it says nothing any more")
    player.session = player.listener.sessions.get(timeout=SECONDS_MAX)
    player.consume("second", 7)
    assert bodies(player.take(3)) == ["d", "e", "g"]


def wait_until(event: threading.Event, link: Link) -> None:
    give_up_at = now_in(SECONDS_MAX)
    while not event.is_set() and now_in(0.0) < give_up_at:
        link.wait(event, SECONDS_MAX)


def test_who_waits_takes_in_what_comes_and_then_the_links_thread_does(
    player: Player, caller: Callable[..., Future]
) -> None:
    player.have(JOBS)
    link: Any = player.link
    told_by, over = [], threading.Event()

    def told(_: Future[Sent]) -> None:
        told_by.append(threading.current_thread())
        over.set()

    def publish() -> Future[Sent]:
        # The link's thread can take nothing in.
        with link._lock:
            link.send([message(b"a")]).add_done_callback(told)
            wait_until(over, link)
        told_by.append(threading.current_thread())
        return link.send([message(b"b")])

    assert caller(publish).result(SECONDS_MAX).result(SECONDS_MAX) == Sent()
    assert told_by[0] is told_by[1]


def test_while_somebody_waits_nobody_else_takes_in_what_comes(
    player: Player, caller: Callable[..., Future], monkeypatch: pytest.MonkeyPatch
) -> None:
    player.have(JOBS)
    player.consume("first", 20)
    link: Any = player.link
    over, by = threading.Event(), set()

    def arrived(arrival: Arrival) -> None:
        by.add(threading.current_thread())
        player.listener.arrivals.put(arrival)

    monkeypatch.setattr(player.listener, "arrived", arrived)

    def wait() -> threading.Thread:
        wait_until(over, link)
        return threading.current_thread()

    waiting = caller(wait)
    eventually(lambda: link._connection.ioloop.left is not None, what="the caller to read")
    for _ in range(20):
        player.publish("a")
        player.take(1)
    over.set()

    assert by == {waiting.result(SECONDS_MAX)}


def test_the_links_thread_takes_in_what_comes_with_the_lock_held(
    player: Player, caller: Callable[..., Future], monkeypatch: pytest.MonkeyPatch
) -> None:
    player.have(JOBS)
    player.consume("first", 1)
    lock: Any = player.link._lock  # type: ignore[attr-defined]
    free: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def is_free() -> bool:
        got = lock.acquire(blocking=False)
        if got:
            lock.release()
        return bool(got)

    # Asked on another thread: the one that has a lock may take it again.
    def ask(*_: Arrival) -> None:
        free.put(caller(is_free).result(SECONDS_MAX))

    monkeypatch.setattr(player.listener, "arrived", ask)
    player.publish("a")
    of_what_comes = free.get(timeout=SECONDS_MAX)
    player.link._connection.ioloop.call_later(0.0, ask)  # type: ignore[attr-defined]

    assert (of_what_comes, free.get(timeout=SECONDS_MAX)) == (False, False)


def shut(vhosts: Vhosts, link: Any) -> str:
    """The server dies in the midst of a frame."""
    connection = link._connection
    with link._lock:
        connection.together(lambda: connection._proto_data_received(frame.Heartbeat().marshal()[:5]))
    connection._transport._sock.shutdown(socket.SHUT_RDWR)
    return ""


def close(vhosts: Vhosts, link: Any) -> str:
    vhosts.server.close_connections("guest", "an operator wants it")
    return "an operator wants it"


def give_up(vhosts: Vhosts, link: Any) -> str:
    link.give_up(link._session, "it says nothing any more")
    return "it says nothing any more"


@pytest.mark.parametrize("end", [shut, close, give_up])
def test_who_waits_is_told_when_the_connection_ends(
    vhosts: Vhosts,
    player: Player,
    caller: Callable[..., Future],
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[Vhosts, Link], str],
) -> None:
    link: Any = player.link
    over, tell = threading.Event(), player.listener.lost

    def lost(*said: Any) -> None:
        tell(*said)
        over.set()

    monkeypatch.setattr(player.listener, "lost", lost)
    waiting = caller(wait_until, over, link)
    eventually(lambda: link._connection.ioloop.left is not None, what="the caller to read")
    reason = end(vhosts, link)

    waiting.result(SECONDS_MAX)
    assert player.listener.sessions.get(timeout=SECONDS_MAX) == player.session + 1
    assert reason in player.listener.losses.get_nowait()


def test_who_waits_for_what_never_comes_waits_no_longer_than_told(
    player: Player, caller: Callable[..., Future]
) -> None:
    caller(player.link.wait, threading.Event(), 0.001).result(SECONDS_MAX)


def test_a_link_stops_while_somebody_waits(player: Player, caller: Callable[..., Future]) -> None:
    link: Any = player.link
    over = threading.Event()
    waiting = caller(wait_until, over, link)
    eventually(lambda: link._connection.ioloop.left is not None, what="the caller to read")

    link.stop()

    assert not link._thread.is_alive()
    over.set()
    waiting.result(SECONDS_MAX)


def test_who_ends_a_connection_whose_thread_is_about_to_read_ends_it_for_this_reason(
    player: Player, caller: Callable[..., Future]
) -> None:
    player.have(JOBS)
    link: Any = player.link

    def is_at_the_lock() -> bool:
        # To read; or, seldom, for a pulse.
        stack = link._thread.stack()
        return "in locked" in stack or "in process_timeouts" in stack

    def end() -> None:
        with link._lock:
            link.send([message(b"a")])
            eventually(is_at_the_lock, what="the link's thread to wait for the lock")
            link._connection.drop("it was ended")

    caller(end).result(SECONDS_MAX)
    assert player.listener.sessions.get(timeout=SECONDS_MAX) == player.session + 1
    assert player.listener.losses.get_nowait() == "it was ended"


def test_a_connection_that_has_ended_can_be_dropped(player: Player) -> None:
    link: Any = player.link
    connection = link._connection
    link.give_up(player.session, "it says nothing any more")
    player.listener.sessions.get(timeout=SECONDS_MAX)

    connection.drop("once more")

    assert connection.is_closed


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_an_error_in_what_somebody_reads_who_waits_ends_the_session(
    player: Player, caller: Callable[..., Future], monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    player.have(JOBS)
    link, came = player.link, threading.Event()

    def fail(arrival: Arrival) -> None:
        came.set()
        raise error("while it was read")

    monkeypatch.setattr(player.listener, "arrived", fail)

    def read() -> None:
        with link._lock, suppress(SystemExit):  # type: ignore[attr-defined]
            player.consume("first", 1)
            link.send([message(b"a")])
            wait_until(came, link)

    caller(read).result(SECONDS_MAX)
    assert player.listener.sessions.get(timeout=SECONDS_MAX) == player.session + 1
    assert "while it was read" in player.listener.losses.get_nowait()


def test_pika_has_what_it_keeps_to_itself_and_is_used(player: Player) -> None:
    link: Any = player.link
    used = {
        SelectConnection: ("_adapter_emit_data", "_on_data_available", "_terminate_stream"),
        link._connection: ("_body_max_length", "_frame_buffer", "_transport", "bytes_received"),
        link._connection._transport: (
            *("_close_and_finalize", "_on_socket_readable", "_sock"),
            *("_MAX_CONSUME_BYTES", "_MAX_RECV_BYTES"),
        ),
    }
    missing = [name for of, names in used.items() for name in names if not hasattr(of, name)]

    assert not missing, f"pika {pika.__version__} lacks {missing}, which stores/rabbitmq/pika/connection.py uses"
