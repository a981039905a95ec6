"""Features that a store may lack, and their replacements. No other module names them."""

from __future__ import annotations

from typing import TypeVar

from ..errors import NotSupported

INSTEAD = {
    "after": "a queue cannot wait for another: end the first with job.then",
    "cancel_many": "jobs that have not ended cannot be looked for: give them expires=, or have their handler look "
    "whether they are still wanted",
    "connection": "a job cannot join a transaction of your own: queue it after the commit, with an id of its own, or "
    "keep an outbox table that a job on another store empties",
    "connection of schedules": "a schedule cannot join a transaction of your own: add or remove it after the "
    "commit, or keep an outbox table that a job on another store empties",
    "debounce": "a message in a queue cannot be given other data: queue with a delay, and have the handler look up "
    "what is newest, and end at once where that is done",
    "export": "there is nothing to write out but dead jobs (lamplighter jobs list --state dead --json): "
    "of all that was, the log tells",
    "forget": "what has ended is not kept, but for dead jobs: requeue one, and have its handler return",
    "get": "a job cannot be looked at by its id: join it in the runtime that queued it, or read the log (lamplighter "
    "trace)",
    "graph": "which jobs hang together is not kept: read the log (lamplighter trace --corr)",
    "groups": "the jobs of a name cannot take turns in groups: give each group a name, and so a queue, of its own",
    "history": "attempts that failed are not kept: read the log (lamplighter trace)",
    "limit": "how many jobs of a name run cannot be limited over several machines: give the name's handler to one of "
    "them with concurrency, or let handlers take a lock of their own",
    "list": 'only dead jobs can be listed (state="dead"): for the others look at counts, or read the log',
    "mcp": "a model cannot look at one: give it what lamplighter names, runtimes, errors and jobs print with --json",
    "overlap": 'overlap must be "allow": have the handler end at once when its predecessor still runs',
    "rate": "how many jobs of a name start in a time cannot be limited over several machines: give the name's handler "
    "to one of them with concurrency=1, and have it sleep",
    "page": "there is no page of one: look with lamplighter top, names, runtimes, errors and jobs, and by the server's "
    "own management page",
    "remove": "only a job that runs in this very runtime, or a dead one, can be found by its id: give the job "
    "expires=, have its handler look whether it is still wanted, or ask whoever runs it (lamplighter jobs cancel)",
    "reprioritize": "a queue gives its jobs in their order: give what is urgent a name, and so a queue, of its own",
    "requeue": "this attempt has lost its connection, so the job may be elsewhere already: let it end",
    "signals": "no job can be found to tell it something: give what is to be told to a job of its own, which somebody "
    "queues when it is known",
    "steps": "make each step a job: job.then",
    "sweep": "jobs cannot be looked for by a query: requeue dead ones by their ids, or with lamplighter errors "
    "requeue, and cancel by its id what runs",
    "tallies": "no sums of what became of jobs are kept: look at the server's own, or read the log",
    "unique": "there are no unique keys: give the job an id that says what it is, and have its handler look whether "
    "that is done",
}
"""By feature, the advice for a store without a table of jobs."""

Part = TypeVar("Part")


def not_supported(wanted: str) -> NotSupported:
    return NotSupported(f"this store keeps queues, no table of jobs: {INSTEAD[wanted]}")


def needed(part: Part | None, wanted: str) -> Part:
    if part is None:
        raise not_supported(wanted)
    return part
