"""Runs one job that says its token and then waits for the test; a second life is asked about the first's token."""

from __future__ import annotations

import sys
import threading

from common import install_oracle, orders, say
from lamplighter import Job, LamplighterError, Runtime

runtime = Runtime(sys.argv[1])
go_on = threading.Event()


@runtime.jobs.handler("half")
def half(job: Job) -> str:
    """Says that it runs, and waits."""
    say("running", job.id, job.token, job.attempt)
    go_on.wait()
    return "whole"


with runtime:
    install_oracle(sys.argv[1])
    say("started")
    for word, *rest in orders():
        if word == "queue":
            say("accepted", runtime.jobs.queue("half", id=rest[0]).id)
        elif word == "mark":
            try:
                runtime.jobs.mark_done(rest[0])
                say("marked", "accepted")
            except LamplighterError as error:
                say("marked", type(error).__name__)
        elif word == "go":
            go_on.set()
        elif word == "join":
            job = runtime.jobs.join(rest[0])
            say("ended", job.state.value, job.result, job.attempt)
