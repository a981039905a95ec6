"""Handler objects: what `jobs.handler` leaves in the place of a function."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
import uuid
import warnings
from dataclasses import dataclass

import pydantic
import pytest
from lamplighter import Job, JobSpec, Runtime, UnknownHandler, UsageError
from lamplighter.testing import Inline


@dataclass
class Resize:
    of: uuid.UUID
    width: int


@dataclass
class Thumbnail:
    width: int


class Mail(pydantic.BaseModel):
    to: str = pydantic.Field(alias="recipient", min_length=3)


PAYLOAD = Resize(uuid.UUID(int=1), 300)

MODULE = """
from lamplighter import Job, Runtime

runtime = Runtime({store!r})


@runtime.jobs.handler("halve", isolation="process")
def halve(job: Job[int]) -> int:
    return job.data // 2


@runtime.jobs.handler
def named(job):
    return halve(job)
"""


@pytest.fixture
def module(tmp_path, importable):
    handled_module = importable("handled_module", MODULE.format(store=str(tmp_path / "jobs.db")))
    yield handled_module
    handled_module.runtime.stop(drain=0)


def test_a_handler_object_queues_what_its_function_takes_and_knows_what_it_returns(runtime):
    rt = runtime()

    @rt.jobs.handler("resize")
    def resize(job: Job[Resize]) -> Thumbnail:
        return Thumbnail(job.data.width // 2)

    job = resize.queue(PAYLOAD, priority=3)
    done = rt.jobs.join(job, timeout=10)

    assert (resize.name, job.name, job.priority) == ("resize", "resize", 3)
    assert job.data == done.data == rt.jobs.get(job).data == PAYLOAD
    assert done.result == Thumbnail(150)
    assert rt.jobs.join(job.id, timeout=10).result == {"width": 150}
    assert [one.data for one in resize.many([PAYLOAD, PAYLOAD], delay=60)] == [PAYLOAD, PAYLOAD]


def test_a_spec_of_a_handler_object_is_a_job_with_types_whoever_queues_it(runtime):
    rt = runtime()
    added = []

    @rt.jobs.handler("resize")
    def resize(job: Job[Resize]) -> Thumbnail:
        return Thumbnail(job.data.width // 2)

    @rt.jobs.handler("merge")
    def merge(job: Job[str]) -> int:
        parents = job.parents(resize)
        assert (len(parents), parents[1].data, [one.id for one in parents[:1]]) == (2, PAYLOAD, ["first"])
        added.append([job.name for job in job.parents()])
        return sum(one.result.width for one in parents)

    parts = [resize.spec(PAYLOAD, id="first"), resize.spec(PAYLOAD)]
    pause = JobSpec(name="pause", after=parts)
    *sizes, paused, merged = rt.jobs.queue_many([*parts, pause, merge.spec("album", after=[*parts, pause])])
    rt.jobs.join_many(sizes, timeout=10)
    rt.jobs.mark_done(paused)

    assert rt.jobs.join(merged, timeout=10).result == 300
    assert added == [["resize", "resize", "pause"]]
    assert [rt.jobs.join(job, timeout=10).result for job in sizes] == [Thumbnail(150)] * 2
    assert (paused.types, parts[0] == JobSpec(name="resize", data=PAYLOAD, id="first")) == (None, True)
    with pytest.raises(UsageError, match="the handler of 'resize': "):
        resize.spec({"width": "wide"})
    with pytest.raises(UsageError, match="unknown option dealy"):
        resize.spec(PAYLOAD, dealy=5)


def test_models_of_pydantic_come_back_as_themselves(runtime):
    rt = runtime()

    @rt.jobs.handler
    def send(job: Job[Mail]) -> Mail:
        return job.data

    done = rt.jobs.join(send.queue(Mail(recipient="ada")), timeout=10)

    assert done.data == done.result == Mail(recipient="ada")
    with pytest.raises(
        UsageError, match=r"expected data that fits Mail: String should have at least 3 characters - at `\$.recipient`"
    ):
        send.queue({"recipient": "a"})


def test_a_coroutine_function_has_the_same_object(runtime):
    rt = runtime()

    @rt.jobs.handler
    async def fetch(job: Job[str]) -> int:
        return len(job.data)

    async def use():
        one, *more = await fetch.aqueue("abc"), *await fetch.amany(["a", "ab"])
        return [(await rt.jobs.ajoin(job, timeout=10)).result for job in (one, *more)], (await rt.jobs.aget(one)).data

    assert asyncio.run(use()) == ([3, 1, 2], "abc")


def test_data_that_does_not_fit_is_refused_before_it_is_stored(runtime):
    rt = runtime()

    @rt.jobs.handler
    def resize(job: Job[Resize]) -> None: ...

    for call in (lambda: resize.queue({"width": 1}), lambda: resize.many([PAYLOAD, {"of": "x"}]), resize.queue):
        with pytest.raises(UsageError, match=r"^the handler of '.*': expected data that fits Resize: "):
            call()

    with pytest.raises(UsageError, match="options that many jobs can have, got: id"):
        resize.many([PAYLOAD], id="x")
    with pytest.raises(UsageError, match=r"unknown option dely; did you mean delay.*options of resize.many"):
        resize.many([PAYLOAD], dely=1)
    assert rt.jobs.counts()["queued"] == 0
    assert resize.queue({"of": str(PAYLOAD.of), "width": 300}, delay=60).data == PAYLOAD


made = []


@dataclass
class Noted:
    """Notes how often one is made."""

    width: int

    def __post_init__(self):
        made.append(self.width)


@pytest.mark.parametrize("queue", ["queue", "aqueue", "many", "amany", "by name"])
def test_data_is_looked_at_once_where_it_is_queued(runtime, queue):
    rt = runtime()

    @rt.jobs.handler("noted")
    def noted(job: Job[Noted]) -> None: ...

    rt.jobs.pause("noted")
    payload = Noted(7)
    calls = {
        "queue": lambda: noted.queue(payload),
        "aqueue": lambda: asyncio.run(noted.aqueue(payload)),
        "many": lambda: noted.many([payload]),
        "amany": lambda: asyncio.run(noted.amany([payload])),
        "by name": lambda: rt.jobs.queue("noted", payload),
    }
    made.clear()

    calls[queue]()

    assert made == [7]
    assert [job.data for job in rt.jobs.list("noted")] == [{"width": 7}]


def test_a_function_stays_callable_as_it_was(runtime):
    rt = runtime(start=False)

    def work(job, scale=2):
        """Works."""
        return scale

    handled = rt.jobs.handler("work")(work)

    assert handled(None) == handled(job=None) == 2
    assert handled(None, scale=3) == 3
    assert (handled.__name__, handled.__doc__, handled.__module__) == ("work", "Works.", __name__)
    assert inspect.signature(handled) == inspect.signature(work)
    assert functools.wraps(handled)(lambda job: None).__name__ == "work"


@pytest.mark.parametrize("decorate", [lambda jobs: jobs.handler, lambda jobs: jobs.handler()], ids=["bare", "called"])
def test_without_a_name_jobs_are_called_as_their_function(runtime, decorate):
    rt = runtime()

    @decorate(rt.jobs)
    def send_mail(job):
        return job.data

    assert send_mail.name == "send_mail"
    assert rt.jobs.join(send_mail.queue(1), timeout=10).result == 1
    rt.jobs.remove_handler(send_mail.id)


@pytest.mark.parametrize("fn", [lambda job: None, functools.partial(print, 1)], ids=["lambda", "partial"])
def test_what_has_no_name_of_its_own_must_be_given_one(runtime, fn):
    rt = runtime(start=False)

    with pytest.raises(UsageError, match=r"expected a name for the jobs of .* handler\('name'\)"):
        rt.jobs.handler(fn)

    assert rt.jobs.handler("named")(fn).name == "named"


def nothing(): ...


def pair(job, other): ...


def named_only(job, *, other): ...


class Sends:
    def send(self, job): ...


@pytest.mark.parametrize("fn", [nothing, pair, named_only, Sends.send], ids=lambda fn: fn.__name__)
def test_a_function_that_cannot_be_called_with_a_job_is_refused_at_once(runtime, fn):
    rt = runtime(start=False)

    for register in (lambda: rt.jobs.handler(fn), lambda: rt.jobs.add_handler("work", fn)):
        with pytest.raises(UsageError, match=r"can be called with one argument, its Job, got: .*write def \w+\(job\)"):
            register()

    assert rt.current_boot.declared.names() == []


def injected(fn):
    @functools.wraps(fn)
    def call(*args):
        return fn(*args, 5)

    return call


@pytest.mark.parametrize(
    "fn",
    [injected(pair), Sends().send, print, functools.partial(pair, 1)],
    ids=["injected", "method", "builtin", "partial"],
)
def test_what_can_be_called_with_a_job_is_taken_however_it_is_made(runtime, fn):
    runtime(start=False).jobs.add_handler("work", fn)


def test_one_function_may_have_two_names(runtime):
    rt = runtime()

    @rt.jobs.handler("b")
    @rt.jobs.handler("a")
    async def work(job):
        return job.name

    rt.jobs.add_handler("c", work)

    assert [rt.jobs.join(rt.jobs.queue(name), timeout=10).result for name in "abc"] == ["a", "b", "c"]


def test_a_handler_object_is_pickled_by_the_name_that_it_has_in_its_module(module):
    assert pickle.loads(pickle.dumps(module.halve)) is module.halve
    assert copy.deepcopy([module.halve]) == [module.halve]


def test_a_function_that_no_child_process_can_import_is_refused_by_start(runtime):
    rt = runtime(start=False)

    @rt.jobs.handler("work", isolation="process")
    def work(job): ...

    with pytest.raises(UsageError, match=r"that a child process can import .*<locals>.work, the handler for work"):
        rt.start()
    with pytest.raises(UsageError, match="got the coroutine function"):

        @rt.jobs.handler(isolation="process")
        async def never(job): ...

    rt.jobs.remove_handler(work.id)
    rt.start()
    with pytest.raises(UsageError, match="that a child process can import"):
        rt.jobs.add_handler("more", work, isolation="process")


def test_whoever_blocks_a_loop_is_told_what_to_await_instead(runtime):
    rt = runtime()
    work = rt.jobs.handler("work")(print)

    async def blocks():
        return work.queue(1)

    with pytest.warns(RuntimeWarning, match=r"work.queue blocks .* await work.aqueue instead") as warned:
        asyncio.run(blocks())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(blocks())
    assert warned[0].filename == __file__


def test_a_handler_object_of_an_inline_runtime_runs_its_job_at_once():
    handlers = []

    def register(runtime: Runtime) -> None:
        handlers.append(runtime.jobs.handler("work")(lambda job: job.data))

    with Inline(register) as app:
        assert handlers[0].queue(7).result == 7
        assert [job.result for job in handlers[0].many([1, 2])] == [1, 2]
        assert app.jobs.queue_many([JobSpec(name="work", data=3)])[0].result == 3


def test_two_functions_of_one_name_are_refused_and_one_that_comes_again_is_not(runtime):
    rt = runtime(":memory:")
    jobs = rt.jobs

    @jobs.handler("send")
    def of_letters(job: Job[None]) -> str:
        return "a letter"

    with pytest.raises(UsageError, match=r"expected one function for jobs of 'send', got .*of_letters and .*of_mails"):

        @jobs.handler("send")
        def of_mails(job: Job[None]) -> str:
            return "a mail"

    again = jobs.handler("send")(of_letters.__wrapped__)
    assert rt.jobs.join(again.queue(), timeout=10).result == "a letter"


def test_a_function_that_is_defined_again_replaces_the_one_before_and_says_so(runtime):
    rt = runtime(":memory:")
    handlers = []
    for says in ("old", "new"):

        def send(job: Job[None], says: str = says) -> str:
            return f"{says}, {job.deadline is not None}"

        if says == "new":
            with pytest.warns(RuntimeWarning, match="the handler of 'send' is defined again") as told:
                handlers.append(rt.jobs.handler("send", timeout=60)(send))
            assert told[0].filename == __file__
        else:
            handlers.append(rt.jobs.handler("send")(send))

    results = [rt.jobs.join(one.queue(), timeout=10).result for one in handlers * 3]
    (known,) = rt.boot.share.handlers("send")

    assert (set(results), known.id) == ({"new, True"}, handlers[1].id)
    with pytest.raises(UnknownHandler):
        rt.jobs.remove_handler(handlers[0].id)


def test_a_decorator_refuses_what_no_child_could_import(runtime):
    rt = runtime(":memory:")

    with pytest.raises(UsageError, match="expected a function that a child process can import"):

        @rt.jobs.handler("cpu", isolation="process")
        def cpu(job: Job[None]) -> int:
            return 7

    assert rt.boot.share.handlers("cpu") == ()


def test_who_passes_what_the_function_takes_is_told_of_options_and_not_of_data(runtime):
    rt = runtime(":memory:")

    @rt.jobs.handler("send")
    def send(job: Job[int]) -> None: ...

    with pytest.raises(UsageError, match=r"unknown option to\. The options of send\.queue, whose data is one argument"):
        send.queue(to="a")


def test_who_passes_the_functions_own_arguments_is_told_how_to_pass_them_as_data(runtime):
    handler = runtime(":memory:").jobs.handler("double")(lambda job: job.data)

    with pytest.raises(UsageError, match=r"unknown option a\. .* one argument, as in queue\(\{'a': \.\.\.\}\), are id"):
        handler.queue(a=1)


@pytest.mark.parametrize(
    "call",
    [
        lambda jobs, handler: jobs.queue(handler, 1),
        lambda jobs, handler: jobs.queue_many([(handler, 1)]),
        lambda jobs, handler: jobs.pause(handler),
        lambda jobs, handler: jobs.counts(handler),
    ],
)
def test_whoever_passes_a_handler_or_a_function_for_a_name_is_told_to_write_the_name(runtime, call):
    rt = runtime(":memory:")

    with pytest.raises(UsageError, match=r"; write 'big', or scale\.name$"):
        call(rt.jobs, rt.jobs.handler("big")(scale))
    with pytest.raises(UsageError, match=r"<function scale.*; write the name of its handler$"):
        call(rt.jobs, scale)


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_generator_function_is_refused_because_a_call_runs_nothing_of_it(runtime, kind):
    def plain(job):
        yield 1

    async def coroutine(job):
        yield 1

    with pytest.raises(UsageError, match="expected a function that returns, got the generator function"):
        runtime(":memory:").jobs.handler("x")(plain if kind == "plain" else coroutine)


@pytest.mark.parametrize("payload", [str, dict, Resize])
def test_a_payload_in_the_place_of_the_job_is_refused(runtime, payload):
    def send(job):
        return job

    send.__annotations__ = {"job": payload}

    with pytest.raises(UsageError, match=rf"to be annotated Job\[{payload.__name__}\], got: {payload.__name__}"):
        runtime(":memory:").jobs.handler("x")(send)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("delay", r"\.queue\(data\)"),
        ("apply_async", r"\.queue\(data, delay="),
        ("send", r"\.queue\(data\)"),
        ("kiq", r"\.aqueue\(data\)"),
        (
            "s",
            r"\.spec\(data\), as job\.then\(\.\.\.\) in the handler of the job before it takes it, or \.queue\(",
        ),
        ("call_local", r"print\(job\), which calls the function\?"),
    ],
)
def test_a_method_of_another_job_queue_leads_to_what_it_is_here(runtime, name, instead):
    handler = runtime(":memory:", start=False).jobs.handler("mail")(print)

    with pytest.raises(
        AttributeError, match=rf"no attribute '{name}' \(the handler of 'mail'\); did you mean {instead}"
    ):
        getattr(handler, name)

    assert not hasattr(handler, name)
    assert getattr(handler, name, None) is None


def test_any_other_attribute_is_missing_as_of_any_object(runtime):
    handler = runtime(":memory:", start=False).jobs.handler("mail")(print)

    with pytest.raises(AttributeError, match=r"^'JobHandler' object has no attribute 'quue'$") as missing:
        _ = handler.quue

    assert (missing.value.name, missing.value.obj) == ("quue", handler)
    assert not hasattr(object.__new__(type(handler)), "delay")


def test_data_that_is_queued_by_name_and_cannot_be_taken_here_is_warned_of_once(runtime):
    rt = runtime(start=False)
    rt.jobs.handler("resize")(lambda job: None)
    rt.jobs.handler("scale")(scale)
    rt.start(work=False)

    async def in_coroutine():
        await rt.jobs.aqueue("scale", {"width": "secret"}, delay=9)

    calls = {
        "queue": lambda: rt.jobs.queue("scale", {"width": "secret"}),
        "queue_many": lambda: rt.jobs.queue_many([("scale", PAYLOAD), ("scale", {"width": "secret"})]),
        "aqueue": lambda: asyncio.run(in_coroutine()),
        "add": lambda: rt.scheduler.add("scale", "@daily", {"width": "secret"}),
    }

    for call in calls.values():
        rt.current_boot.declared.names_warned_of.clear()
        with pytest.warns(RuntimeWarning, match=r"handler of 'scale' .* that fits Resize: .*The job will be") as warned:
            call()
        assert [(one.filename, "secret" in str(one.message)) for one in warned] == [(__file__, False)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calls["queue"]()
        rt.jobs.queue("scale", PAYLOAD)
        rt.jobs.queue("resize", "anything")
        rt.jobs.queue("unknown", "anything")

    assert rt.jobs.counts("scale")["queued"] == 6


def scale(job: Job[Resize]) -> None: ...


def test_one_of_several_handlers_that_can_take_the_data_is_enough(runtime):
    rt = runtime(start=False)

    def of_text(job: Job[str]) -> None: ...

    def demanding(job: Job[Demanding]) -> None: ...

    rt.jobs.add_handler("scale", scale)
    rt.jobs.add_handler("scale", of_text)
    rt.jobs.add_handler("demand", demanding)
    rt.start(work=False)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rt.jobs.queue("scale", "a text")
    with pytest.warns(RuntimeWarning, match="handler of 'demand' .* whose own check raised ConnectionError"):
        rt.jobs.queue("demand", {"of": "x"})


class Demanding(pydantic.BaseModel):
    of: str

    @pydantic.field_validator("of")
    @classmethod
    def look_up(cls, value: str) -> str:
        raise ConnectionError("only a worker is connected")


def test_a_job_that_a_handler_queues_by_name_is_warned_of_too(runtime):
    rt = runtime(start=False)
    rt.jobs.add_handler("scale", scale)
    rt.jobs.add_handler("work", lambda job: job.queue("scale", "wide", delay=60).id)
    rt.start()

    with pytest.warns(RuntimeWarning, match="handler of 'scale' in this process cannot take this"):
        rt.jobs.join(rt.jobs.queue("work"), timeout=10)


def test_a_schedule_above_a_handler_object_is_refused_with_data_that_it_cannot_take(runtime):
    rt = runtime(":memory:", start=False)

    with pytest.raises(UsageError, match="expected data that fits Resize: "):
        rt.scheduler.cron("@daily", {"width": 3})(rt.jobs.handler(scale))

    assert rt.scheduler.list() == []
