"""The streams that tell open pages that something has changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from lamplighter.web.live import LOOK_SECONDS, Live


def begun(version: int) -> bytes:
    return b"retry: 1000\nid: %d\n\n" % version


def stale(version: int) -> bytes:
    return b"id: %d\nevent: stale\ndata: \n\n" % version


class Store:
    """Something whose state can change, and which counts who watches."""

    def __init__(self) -> None:
        self.state = 0
        self.watchers = 0
        self.looks = 0

    @contextlib.contextmanager
    def watch(self) -> Iterator[object]:
        self.watchers += 1
        try:
            yield self._look
        finally:
            self.watchers -= 1

    def version(self) -> str:
        return str(self.state)

    def _look(self) -> int:
        self.looks += 1
        return self.state


class Time:
    """Time that passes only while somebody sleeps, while a store changes.

    Args:
        changes: at which sleep the store changes, and by how much.
    """

    def __init__(self, store: Store, changes: dict[int, int]) -> None:
        self._now = 0.0
        self._sleeps = 0
        self._store = store
        self._changes = changes

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._now += seconds
        self._sleeps += 1
        self._store.state += self._changes.get(self._sleeps, 0)


def live_on(store: Store, changes: dict[int, int]) -> Live:
    time = Time(store, changes)
    return Live(store.watch, store.version, time.monotonic, time.sleep)


def told(live: Live, seen: str | None = None, *, pieces: int | None = None) -> list[bytes]:
    async def read() -> list[bytes]:
        found = []
        async with contextlib.aclosing(live.stream(seen)) as stream:
            async for piece in stream:
                found.append(piece)
                if len(found) == pieces:
                    break
        return found

    return asyncio.run(read())


def test_a_change_is_told_once() -> None:
    assert told(live_on(Store(), {3: 1, 10: 5})) == [begun(0), stale(1), stale(6)]


def test_the_more_pages_are_open_the_more_seldom_each_is_read_again() -> None:
    def stale_of(listeners: int) -> int:
        async def read() -> int:
            live = live_on(Store(), dict.fromkeys(range(1_000), 1))
            live.note_cost(0.2)
            async with contextlib.AsyncExitStack() as open_pages:
                for _ in range(listeners - 1):
                    other = await open_pages.enter_async_context(contextlib.aclosing(live.stream()))
                    await anext(other)
                return len([piece async for piece in live.stream()]) - 1

        return asyncio.run(read())

    # A fourth of 0.2 s counts, which may be 2 % of the time: one page is read every 2.5 s, four of them every 10 s.
    assert [stale_of(1), stale_of(4)] == [24, 6]


def test_a_stream_ends_by_itself_so_that_no_server_waits_for_it() -> None:
    store = Store()

    assert told(live_on(store, {})) == [begun(0)]
    assert store.looks <= 60 / LOOK_SECONDS + 1


def test_what_changed_since_the_page_was_made_or_the_stream_ended_is_told_at_once() -> None:
    """The browser comes again a second after a stream has ended: what changed in that second was told with the next
    change, which may be hours later."""
    store = Store()
    live = live_on(store, {3: 1})
    last = told(live)[-1]
    store.state += 1

    assert last == stale(1)
    assert told(live, "1", pieces=2) == [begun(2), stale(2)]
    assert told(live, "2") == [begun(2)]


def test_what_changes_while_a_change_is_told_is_told_again_rather_than_never() -> None:
    store = Store()
    version = store.version
    live = live_on(store, {1: 1})

    def racing() -> str:
        seen = version()
        store.state += store.state == 1
        return seen

    live.version = racing

    assert told(live) == [begun(0), stale(1)]
    assert told(live, "1", pieces=2) == [begun(2), stale(2)]


def test_while_nobody_listens_nothing_is_asked() -> None:
    store = Store()
    live = live_on(store, {1: 1})

    told(live, pieces=1)

    assert (store.watchers, live.listeners) == (0, 0)


def test_all_streams_share_one_watch_and_the_last_one_closes_it() -> None:
    store = Store()
    live = live_on(store, {})

    async def read() -> list[int]:
        streams = [live.stream() for _ in range(3)]
        watchers = []
        for stream in streams:
            await anext(stream)
            watchers.append(store.watchers)
        for stream in streams:
            await stream.aclose()
            watchers.append(store.watchers)
        return watchers

    assert [asyncio.run(read()) for _ in range(2)] == [[1, 1, 1, 1, 1, 0]] * 2


def test_pages_that_take_long_to_make_are_read_again_more_seldom() -> None:
    always = dict.fromkeys(range(1, 121), 1)
    quick, slow = live_on(Store(), always), live_on(Store(), always)
    for _ in range(20):
        slow.note_cost(0.1)

    assert len(told(quick)) == 121
    assert len(told(slow)) == 13
