"""What is logged: facts under stable names, and nothing else.

Each kind of event declares its level and its fields. docs/events.md is generated from this table.
Levels: error, a person must act; warning, it recovered by itself; info, one line for a job's end and for what a person
did; debug, the rest.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["debug", "info", "warning", "error"]

ENVELOPE: dict[str, str] = {
    "event": "the name of the event",
    "ts": "wall time, seconds since the Unix epoch",
    "boot": "the runtime instance",
    "seq": "rises by one with every line of a boot",
    "actor": "who says it, where an actor does",
    "incarnation": "the restart count of that actor, from 1 on",
    "msg": "the message that the actor was handling",
    "cause": "the message that caused that one",
    "corr": "the root: the application's call, or the slot",
    "mail_seconds": "how long that message had waited in the mailbox",
}
"""Fields that every line may carry besides its own."""

JOB = ("job_id", "job_name", "claim_no", "attempt")
MOVE = (*JOB, "from", "to", "rev")
SUMS = ("revs", "times")


class EventKind(NamedTuple):
    """One kind of event.

    Attributes:
        level: a property of the kind, never of the occasion.
        says: what it means, one sentence.
        fields: what it may carry besides the envelope.
    """

    level: Level
    says: str
    fields: tuple[str, ...]


EVENTS: dict[str, EventKind] = {
    "runtime.started": EventKind(
        "info", "A runtime runs.", ("store", "store_id", "pid", "durability", "host", "version")
    ),
    "runtime.stopping": EventKind("info", "A runtime takes no new work and lets running jobs finish.", ("drain",)),
    "runtime.stopped": EventKind(
        "info", "A runtime has stopped; `interrupted` jobs did not finish in time.", ("interrupted",)
    ),
    "runtime.failed": EventKind(
        "error", "The supervisor gave up; the application goes on without the runtime.", ("reason",)
    ),
    "runtime.renewed": EventKind(
        "warning",
        "The store does not know this runtime instance any more: the runtime goes on as another, with its jobs.",
        ("reason", "next_boot"),
    ),
    "runtime.recovered": EventKind(
        "warning",
        "A dead runtime instance's jobs were taken back. `told` is what it had stored last and may not have logged.",
        ("dead_boot", "dead_pid", "jobs", "told"),
    ),
    "turn.recovered": EventKind(
        "warning",
        "A write batch was committed and not logged: `told` is what it did.",
        ("told",),
    ),
    "job.queued": EventKind(
        "debug", "A job is stored.", (*MOVE, "priority", "run_at", "bytes", "digest", "schedule", "slot", "unique_key")
    ),
    "job.deduplicated": EventKind(
        "debug", "A job was already there; nothing was stored.", (*JOB, "asked_id", "unique_key")
    ),
    "job.claimed": EventKind(
        "debug", "A job is claimed for a worker thread.", (*MOVE, "begun", "waited", "redeliveries")
    ),
    "job.started": EventKind("debug", "A job's function is called.", (*JOB, "handler", "lane", "waited")),
    "job.done": EventKind(
        "info", "A job is done.", (*MOVE, *SUMS, "outcome", "reason", "run_at", "took", "schedule", "slot")
    ),
    "job.failed": EventKind(
        "warning",
        "An attempt failed, timed out or was interrupted.",
        (*JOB, "outcome", "reason", "error", "traceback", "boot_was"),
    ),
    "job.retried": EventKind("warning", "A job is queued again.", (*MOVE, *SUMS, "outcome", "reason", "run_at")),
    "job.snoozed": EventKind(
        "info", "A job's handler has raised `Snooze`: it runs later.", (*MOVE, *SUMS, "outcome", "reason", "run_at")
    ),
    "job.released": EventKind("debug", "A job was claimed in advance, not started, and put back.", (*MOVE, "reason")),
    "job.dead": EventKind(
        "error", "A job is not tried again.", (*MOVE, *SUMS, "outcome", "reason", "run_at", "schedule", "slot")
    ),
    "job.requeued": EventKind("info", "The application put a job back into the queue.", (*MOVE, *SUMS, "run_at")),
    "job.cancelled": EventKind(
        "info", "A job was cancelled, or expired.", (*MOVE, *SUMS, "outcome", "reason", "run_at")
    ),
    "job.duplicate": EventKind(
        "info", "Another copy of a job that this runtime knows was delivered, and dropped.", (*JOB, "reason")
    ),
    "claim.kept": EventKind(
        "info",
        "A completion was kept while its delivery was lost; the job has been delivered again, and is ended by it.",
        (*JOB,),
    ),
    "message.unreadable": EventKind(
        "error",
        "No runtime can read a message in RabbitMQ; it is put aside, into `lamplighter.unreadable`.",
        ("queue", "message_id", "reason"),
    ),
    "message.newer": EventKind(
        "info",
        "A newer version wrote a message; it is given back for a runtime that can read it.",
        ("queue", "message_id", "reason"),
    ),
    "scheduler.leads": EventKind("info", "From now on this runtime fires the slots of all runtimes.", ()),
    "job.fenced": EventKind(
        "warning",
        "An attempt that had lost its claim tried to end the job; nothing changed.",
        (*JOB, "outcome", "claim_no_now", "state", "why"),
    ),
    "job.parked": EventKind("info", "No living runtime has a handler for a job; it waits.", (*JOB,)),
    "job.waiting": EventKind(
        "debug", "A job may not start yet because its old worker thread still runs.", (*JOB, "lane")
    ),
    "handler.added": EventKind(
        "debug",
        "A handler takes jobs from now on.",
        ("job_name", "handler", "concurrency", "concurrency_total", "isolation"),
    ),
    "handler.removed": EventKind("debug", "A handler was removed.", ("job_name", "handler")),
    "handler.halted": EventKind(
        "error",
        "Too many hung threads: the jobs of this name wait until some have ended.",
        ("job_name", "abandoned", "abandoned_threads_max"),
    ),
    "name.paused": EventKind("info", "No job of this name is started, on any runtime of the store.", ("job_name",)),
    "name.resumed": EventKind("info", "Jobs of this name are started again.", ("job_name",)),
    "slot.fired": EventKind(
        "debug",
        "A slot came and its job is queued.",
        ("schedule", "slot", "job_id", "job_name", "outcome", "reason", "late"),
    ),
    "slot.caught_up": EventKind(
        "info",
        "An old slot was fired under the catch-up policy.",
        ("schedule", "slot", "job_id", "job_name", "outcome", "reason", "late"),
    ),
    "slot.skipped": EventKind(
        "info", "Slots did not fire, and why.", ("schedule", "slot", "last", "count", "job_name", "reason", "by")
    ),
    "slot.taken": EventKind(
        "debug",
        "The slot is accounted for already: by another runtime, or (with its job) before the clock was set back.",
        ("schedule", "slot", "job_name", "job_id"),
    ),
    "schedule.added": EventKind(
        "info",
        "A schedule counts from now on.",
        ("schedule", "job_name", "when", "timezone", "dst_gap", "dst_fold", "durable", "change_no"),
    ),
    "schedule.changed": EventKind(
        "info",
        "A schedule has another rule or other options from now on.",
        ("schedule", "job_name", "when", "timezone", "dst_gap", "dst_fold", "durable", "change_no"),
    ),
    "schedule.unusable": EventKind(
        "error", "Its rule or zone cannot be read here; its slots wait.", ("schedule", "job_name", "reason")
    ),
    "schedule.removed": EventKind("info", "A schedule is gone.", ("schedule", "job_name")),
    "schedule.paused": EventKind("info", "Its slots pass without firing.", ("schedule", "job_name")),
    "schedule.resumed": EventKind("info", "Its slots fire again.", ("schedule", "job_name")),
    "actor.started": EventKind("debug", "An actor runs.", ("child", "child_incarnation")),
    "actor.stopped": EventKind("debug", "An actor has stopped, as it was asked to.", ("child", "child_incarnation")),
    "actor.crashed": EventKind(
        "warning",
        "An actor died, over the message that it was handling if there was one.",
        ("child", "child_incarnation", "reason", "traceback", "mailbox", "message", "message_id", "message_corr"),
    ),
    "actor.restarted": EventKind(
        "warning", "An actor runs again after its death.", ("child", "child_incarnation", "restarts_in_window")
    ),
    "actor.quarantined": EventKind(
        "error",
        "An actor kept dying: it is not restarted, and the jobs of its name wait.",
        ("child", "child_incarnation", "restarts_in_window", "reason"),
    ),
    "supervisor.gave_up": EventKind(
        "error", "An actor that nothing works without kept dying.", ("child", "reason", "restarts_in_window")
    ),
    "supervisor.restarted": EventKind(
        "warning", "The supervisor died; the next one adopted its children.", ("child_incarnation",)
    ),
    "lane.abandoned": EventKind(
        "error",
        "A hung thread: a job's function did not end when it was asked to; its thread is left behind.",
        (*JOB, "lane", "why", "stack", "abandoned"),
    ),
    "lane.lost": EventKind(
        "error", "The thread that ran a job has died without a completion; the job fails.", (*JOB, "lane")
    ),
    "lane.returned": EventKind("info", "A hung thread has ended after all.", (*JOB, "lane", "after")),
    "store.waiting": EventKind(
        "warning",
        "A write batch waits: somebody holds a write transaction open on the file.",
        ("store", "waited", "reason"),
    ),
    "store.unavailable": EventKind(
        "error",
        "The store cannot be written; what was accepted is kept and tried again.",
        ("store", "reason", "waited"),
    ),
    "store.available": EventKind("info", "The store can be written again.", ("store", "waited")),
    "failpoints.unheeded": EventKind(
        "warning",
        "The environment variable arms failpoints, and the application has not asked for it: nothing is armed.",
        ("variable", "value"),
    ),
    "store.went_back": EventKind(
        "error",
        "An older copy was put in the place of the store: what was stored since is gone.",
        ("store", "rev_was"),
    ),
    "store.on_network": EventKind(
        "error", "The file lies on a network file system, whose locks cannot be trusted.", ("store", "filesystem")
    ),
    "presence.lost": EventKind(
        "error",
        "The lock file of this runtime instance is gone and cannot be made anew: the others will take it for dead.",
        ("reason",),
    ),
    "message.refused": EventKind(
        "error", "A message made its write batch fail and was refused alone.", ("message", "reason", "traceback")
    ),
    "retention.pruned": EventKind("debug", "Ended jobs and old slots were removed.", ("rows",)),
    "clock.jumped": EventKind(
        "warning",
        "The wall clock was set. The waits of so many `jobs` were corrected; so many `schedules` had counted to an "
        "instant that is in the future now, and count from now.",
        ("delta", "jobs", "schedules"),
    ),
    "subscriber.failed": EventKind(
        "warning", "A subscriber raised; the event was not given to it again.", ("subscriber", "reason", "failures")
    ),
    "log.dropped": EventKind("error", "Lines could not be written, or a subscriber was too slow.", ("count", "reason")),
}
"""Every kind of event that there is."""
