"""A host that forks while its runtime runs, as a pre-forking server does.

forking.py STORE: obeys orders; lines of the child begin with `child`.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback

from common import install_oracle, orders, say
from lamplighter import Job, NotStarted, Runtime

store = sys.argv[1]
runtime = Runtime(store, interruptions_max=1000)
go_on = threading.Event()


@runtime.jobs.handler("held")
def held(job: Job) -> str:
    """Runs until told."""
    say("held", job.id, os.getpid())
    go_on.wait()
    return f"by {os.getpid()}"


@runtime.jobs.handler("light", concurrency=4)
def light(job: Job) -> str:
    """Runs at once."""
    return f"by {os.getpid()}"


def child_asks() -> None:
    """What a child may and may not do."""
    try:
        runtime.jobs.queue("light")
        say("child-refused", "nothing")
    except NotStarted as error:
        say("child-refused", "NotStarted", error)
    runtime.start()
    job = runtime.jobs.join(runtime.jobs.queue("light", id=f"of-{os.getpid()}"), timeout=30)
    say("child-done", os.getpid(), runtime.health().boot, job.result)
    parent = os.getppid()
    while os.getppid() == parent:
        threading.Event().wait(0.05)
    # The parent has ended, cleanly or not; what the child accepts now must be in the file for all to see.
    say("orphan-accepted", runtime.jobs.queue("later", id=f"orphan-{os.getpid()}").id)
    threading.Event().wait()


def child_works(number: int) -> None:
    """A child with work of its own, while the parent works on."""
    runtime.start()
    jobs = [runtime.jobs.queue("light", id=f"child-{number}-{n}") for n in range(20)]
    for job in jobs:
        runtime.jobs.join(job, timeout=30)
    runtime.stop()
    say("child-worked", number)


def fork(run: object, *arguments: object) -> int:
    """Fork, and run a function in the child, which never returns from here."""
    pid = os.fork()
    if pid == 0:
        try:
            run(*arguments)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


with runtime:
    install_oracle(store)
    say("started", os.getpid(), runtime.health().boot)
    for word, *rest in orders():
        if word == "queue":
            runtime.jobs.queue(rest[0], id=rest[1])
            say("queued", rest[1])
        elif word == "fork":
            say("forked", fork(child_asks))
        elif word == "kill-child":
            os.kill(int(rest[0]), 9)
            os.waitpid(int(rest[0]), 0)
            say("child-killed")
        elif word == "go":
            go_on.set()
        elif word == "join":
            say("joined", runtime.jobs.join(rest[0], timeout=30).result)
        elif word == "storm":
            stop = threading.Event()

            def busy(thread: int, stop: threading.Event = stop) -> None:
                """Keep the parent's store in use at every instant."""
                number = 0
                while not stop.is_set():
                    runtime.jobs.queue("light", id=f"parent-{thread}-{number}")
                    runtime.jobs.counts()
                    number += 1

            threads = [threading.Thread(target=busy, args=[number]) for number in range(3)]
            for thread in threads:
                thread.start()
            codes = []
            for number in range(int(rest[0])):
                pid = fork(child_works, number)
                codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            stop.set()
            for thread in threads:
                thread.join()
            for state in ("running", "queued"):
                # A job that is claimed in advance runs, and a stop would give it back.
                for job in runtime.jobs.list(state=state, limit=10_000):
                    runtime.jobs.join(job, timeout=60)
            say("storm-over", *codes)
