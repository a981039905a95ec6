"""What a store may lack, and what its users do instead."""

from __future__ import annotations

from ..errors import NotSupported

CAPABILITIES = {
    "at_once": "a job that a turn has queued can be claimed in that very turn",
    "atomic": "a turn with several jobs is stored as a whole, or not at all",
    "burial": "a boot that others have removed notices it",
    "connection": "an application's own transaction can hold a job, or its completion",
    "counts": "every job can be counted, in every state",
    "durable": "what was stored is there after a reopening",
    "expiry": "queued jobs can be cancelled when they expire, not only when they are delivered",
    "forecast": "when a queued job will be due is known before it is",
    "get": "a job can be looked at by its id",
    "history": "attempts that failed are kept",
    "limit": "the running jobs of a name can be limited over the whole store",
    "list": "jobs can be listed",
    "overlap": "the jobs of a schedule can wait for one another",
    "place": "a job that is given back has its old place in the queue",
    "priority": "there are more than two priorities",
    "recall": "what the last turn of a boot did is kept, so that another can log it",
    "remove": "a queued job can be ended by its id",
    "requeue": "a job can be queued again, whatever its state and whoever runs it",
    "several": "several stores may be open on one place",
    "unique": "there are unique keys",
    "watch": "whatever another store has committed is noticed",
}
"""What a store may declare in `cannot`; each text says what a store does that has it."""

INSTEAD = {
    "connection": "a job cannot join a transaction of your own: queue it after the commit, with an id of its own, or "
    "keep an outbox table that a job on SQLite empties",
    "get": "a job cannot be looked at by its id: join it in the runtime that queued it, or read the log (lamplighter "
    "trace)",
    "history": "attempts that failed are not kept: read the log (lamplighter trace)",
    "limit": "concurrency_total cannot be kept over several machines: give the name's handler to one of them with "
    "concurrency, or let handlers take a lock of their own",
    "list": 'only dead jobs can be listed (state="dead"): for the others look at counts, or read the log',
    "overlap": 'overlap must be "allow": have the handler end at once when its predecessor still runs',
    "remove": "only a job that runs in this very runtime, or a dead one, can be found by its id: give the job "
    "expires=, or have its handler look whether it is still wanted",
    "requeue": "this attempt has lost its connection, so the job may be elsewhere already: let it end",
    "unique": "there are no unique keys: give the job an id that says what it is, and have its handler look whether "
    "that is done",
}
"""What a store that lacks a capability says to do instead."""


def not_supported(capability: str) -> NotSupported:
    """The error for what a store of messages cannot do."""
    return NotSupported(f"RabbitMQ keeps queues, no table of jobs: {INSTEAD[capability]}")
