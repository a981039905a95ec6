"""Where hosts' threads and tasks wait for an answer."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest
from lamplighter.environment import replies
from lamplighter.environment.replies import (
    YIELDS_MAX,
    ActorMailbox,
    LoopReply,
    Mailbox,
    ThreadReply,
    answer,
    answer_all,
)
from lamplighter.errors import UnknownJob

SECONDS_MAX = 30.0


def test_a_thread_gets_the_answer_that_another_gives():
    reply = ThreadReply()
    threading.Thread(target=answer, args=(reply, 7, None)).start()

    assert reply.wait(SECONDS_MAX) == 7


def test_an_answer_that_was_there_before_is_not_waited_for():
    reply = ThreadReply()

    answer(reply, None, None)

    assert reply.wait(0.0) is None


def test_a_refusal_is_raised_where_the_answer_is_waited_for():
    reply = ThreadReply()

    answer(reply, None, UnknownJob("no such job"))

    with pytest.raises(UnknownJob, match="no such job"):
        reply.wait(SECONDS_MAX)


def test_only_the_first_answer_counts():
    reply = ThreadReply()

    answer(reply, "first", None)
    answer(reply, None, UnknownJob("second"))

    assert reply.wait(0.0) == "first"


def test_who_has_waited_long_enough_is_no_longer_answered():
    reply = ThreadReply()
    waited_for = not reply.cancelled()

    with pytest.raises(TimeoutError):
        reply.wait(0.0)
    given_up = reply.cancelled()
    answer(reply, "late", None)

    assert (waited_for, given_up) == (True, True)


@pytest.mark.parametrize("seconds", [0.0, -0.5, -1.0, -60.0])
def test_a_thread_whose_time_is_up_takes_an_answer_that_is_there_and_waits_for_none(seconds):
    answered, unanswered = ThreadReply(), ThreadReply()
    answer(answered, 7, None)

    assert answered.wait(seconds) == 7
    with pytest.raises(TimeoutError):
        unanswered.wait(seconds)


@pytest.mark.parametrize("seconds", [0.0, -0.5, -1.0, -60.0])
def test_a_task_whose_time_is_up_takes_an_answer_that_is_there_and_waits_for_none(seconds):
    async def host():
        answered, unanswered = LoopReply(), LoopReply()
        answer(answered, 7, None)
        taken = await answered.wait(seconds)
        with pytest.raises(TimeoutError):
            await unanswered.wait(seconds)
        return taken

    assert asyncio.run(asyncio.wait_for(host(), SECONDS_MAX)) == 7


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts how often another thread calls it."""

    calls = 0

    def call_soon_threadsafe(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return super().call_soon_threadsafe(*args, **kwargs)


def run(main: Any) -> int:
    """Run a coroutine function; how often its loop was called from outside."""
    loop = CountingLoop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    return loop.calls


@pytest.mark.parametrize("seconds", [None, SECONDS_MAX])
def test_a_task_that_waits_gets_the_answer_and_leaves_no_timer(seconds):
    async def waits() -> tuple[Any, list[bool]]:
        loop, timers = asyncio.get_running_loop(), list[asyncio.TimerHandle]()
        call_later = loop.call_later
        loop.call_later = lambda *given: timers.append(call_later(*given)) or timers[-1]  # type: ignore[method-assign]
        reply = LoopReply()
        threading.Thread(target=answer, args=(reply, 7, None)).start()
        return await reply.wait(seconds), [timer.cancelled() for timer in timers]

    assert asyncio.run(waits()) == (7, [] if seconds is None else [True])


def test_the_tasks_of_one_loop_are_answered_by_one_call():
    async def main() -> None:
        replies = [LoopReply() for _ in range(64)]
        waiting = [asyncio.ensure_future(reply.wait(SECONDS_MAX)) for reply in replies]
        answers = [(reply, number, None) for number, reply in enumerate(replies)]
        threading.Thread(target=answer_all, args=(answers,)).start()

        assert await asyncio.gather(*waiting) == list(range(64))

    assert run(main) == 1


def test_threads_and_tasks_are_answered_side_by_side_each_with_its_own():
    async def main() -> None:
        thread, kept, refused = ThreadReply(), LoopReply(), LoopReply()

        answer_all([(kept, 1, None), (thread, 2, None), (refused, None, UnknownJob("no such job"))])

        assert (thread.wait(0.0), await kept.wait(SECONDS_MAX)) == (2, 1)
        with pytest.raises(UnknownJob, match="no such job"):
            await refused.wait(SECONDS_MAX)

    run(main)


def test_a_task_that_is_cancelled_waits_no_longer_and_its_answer_harms_nobody():
    async def main() -> None:
        reply = LoopReply()
        task = asyncio.ensure_future(reply.wait(SECONDS_MAX))
        await asyncio.sleep(0)

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        given_up = reply.cancelled()
        answer(reply, "late", None)
        await asyncio.sleep(0)

        assert given_up

    run(main)


def test_a_task_that_has_waited_long_enough_is_told_so():
    async def main() -> None:
        reply = LoopReply()

        with pytest.raises(TimeoutError):
            await reply.wait(0.0)
        given_up = reply.cancelled()
        answer(reply, "late", None)
        await asyncio.sleep(0)

        assert given_up

    run(main)


def test_an_answer_to_a_loop_that_is_closed_is_dropped():
    kept: list[LoopReply] = []

    async def main() -> None:
        kept.append(LoopReply())

    run(main)

    answer_all([(kept[0], 1, None)])


def test_only_the_first_answer_counts_for_a_task_too_before_its_loop_has_given_it():
    # A broker that has answered, and then dies over the rest of that turn, says of all of it that it is lost.
    async def main() -> None:
        alone, among_others = LoopReply(), LoopReply()

        answer(alone, "first", None)
        answer(alone, None, UnknownJob("second"))
        answer_all([(among_others, "first", None)])
        answer_all([(among_others, None, UnknownJob("second"))])

        assert [await alone.wait(SECONDS_MAX), await among_others.wait(SECONDS_MAX)] == ["first", "first"]

    run(main)


def test_a_refusal_that_nobody_came_to_hear_is_no_error_of_the_hosts_loop():
    # Who joins a job may find it in the store while the runtime stops.
    complaints: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        reply = LoopReply()
        answer(reply, None, UnknownJob("no such job"))
        await asyncio.sleep(0)
        del reply
        gc.collect()

    run(main)

    assert complaints == []


@pytest.mark.parametrize(
    ("waiting", "expected", "arrivals", "yields"),
    [
        (3, 3, [1], 0),
        (0, 3, [1, 1, 1, 1], 3),
        (0, 3, [0, 3], 1),
        (0, 9, [1, 2, 0, 6], 3),
        (0, 99, [1] * 9, YIELDS_MAX),
    ],
    ids=["all are here", "all come", "nobody comes", "no more come", "too many"],
)
def test_a_reader_lets_others_write_while_any_do_and_not_for_long(monkeypatch, waiting, expected, arrivals, yields):
    mailbox, told = Mailbox(), []
    for number in range(waiting):
        mailbox.put(number)

    def sleep(seconds):
        told.append(seconds)
        for _ in range(arrivals[len(told) - 1]):
            mailbox.put("another")

    monkeypatch.setattr(replies.time, "sleep", sleep)
    mailbox.gather(expected)

    assert (told, len(mailbox)) == ([0] * yields, waiting + sum(arrivals[:yields]))


@pytest.mark.parametrize("kind", [Mailbox, ActorMailbox])
def test_mail_that_is_taken_together_wakes_its_reader_for_none_of_it(kind):
    mailbox, heard = kind(), []

    def read():
        heard.append(mailbox.get())
        heard.extend(mailbox.take() for _ in range(3))
        heard.append(mailbox._arrived.qsize())

    for number in (1, 2, 3):
        mailbox.put(number)
    reader = threading.Thread(target=read)
    reader.start()
    reader.join(SECONDS_MAX)

    assert heard == [1, 2, 3, None, 0]


def test_what_an_actor_tells_itself_is_read_next_and_wakes_nobody():
    mailbox, heard = ActorMailbox(), []

    def read():
        heard.append(mailbox.get())
        mailbox.put("own")
        heard.append(mailbox._arrived.qsize())
        heard.append(mailbox.get())

    reader = threading.Thread(target=read)
    reader.start()
    mailbox.put("first")
    reader.join(SECONDS_MAX)

    assert heard == ["first", 0, "own"]
