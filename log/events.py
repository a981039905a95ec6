"""The events that are logged: facts under stable names. Each kind declares its level and its fields. Also the ledger's
vocabulary: fields of its line, kinds of moves, and keys of each. docs/events.md is generated from these tables.

Levels: error, a person must act; warning, it recovered by itself; info, one line for a job's end and for a person's
acts; debug, the rest.
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
"""Fields that every line may carry besides its own. `job.done`, which besides the ledger is a successful job's only
line at info, has only those that no other line gives.
"""

LEDGER: dict[str, str] = {
    "v": "the format of the line, now 1: a reader that knows only lower ones counts it and judges what it can",
    "store_id": "the store",
    "boot_no": "the number of the boot among those of its store, from 1 without a gap (not on RabbitMQ)",
    "turn": "the number of the turn among those of the boot that have changed something, from 1 without a gap",
    "at": "the instant at which all of it happened",
    "crc": "a checksum of the line: of the turn, its moves, and which line of which actor tells it",
    "moves": "what it did, in order",
    "part": "which part of the turn this is, where one line could not hold all its moves",
    "parts": "how many parts it has",
    "of": "whose turn it was, where another than the speaker's boot did it",
    "told_by": "who tells it, because whoever did it may not have",
}
"""Fields of the ledger's line, `turn.committed`."""

JOB = ("job_id", "job_name", "claim_no", "attempt")
MOVE = (*JOB, "turn")
WHO = ("by", "via", "reason")
STORE = ("store", "redelivers", "overlaps", "store_id")


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
        "info",
        "A runtime has started. With `redelivers`, its store may hand out a job again that a runtime has claimed; with "
        "`overlaps`, write batches of several runtimes overlap there.",
        (*STORE, "boot_no", "beside", "pid", "durability", "host", "version", "work", "only"),
    ),
    "runtime.stopping": EventKind("info", "A runtime takes no new work and lets running jobs finish.", ("drain",)),
    "runtime.draining": EventKind(
        # Shown where nobody has configured logging: a person at the terminal has pressed Ctrl-C and waits.
        "warning",
        "A stop waits for `jobs` that still run, of which `waits_for` names the first, for `left` seconds at most.",
        ("jobs", "waits_for", "left"),
    ),
    "runtime.stopped": EventKind(
        "info",
        "A runtime has stopped; `interrupted` jobs did not finish in time, and `turn` was its last write batch.",
        ("interrupted", "turn", "store_id", "boot_no"),
    ),
    "runtime.quieted": EventKind("info", "A runtime claims no more jobs; those that run go on.", WHO),
    "runtime.resumed": EventKind("info", "A runtime that was quiet claims jobs again.", WHO),
    "runtime.failed": EventKind(
        "error", "The supervisor gave up; the application goes on without the runtime.", ("reason",)
    ),
    "runtime.renewed": EventKind(
        "warning",
        "The store does not know this runtime instance any more: the runtime goes on as another, with its jobs.",
        ("reason", "next_boot"),
    ),
    "turn.committed": EventKind("info", "What a turn did: the ledger, see below.", tuple(LEDGER)),
    "runtime.recovered": EventKind(
        "warning",
        "A dead runtime instance's jobs were taken back. `turn` was its last write batch; what it may not have logged "
        "is logged in its place. One that was `stopping` blames none of its jobs.",
        ("dead_boot", "dead_pid", "jobs", "turn", "stopping"),
    ),
    "operator.acted": EventKind(
        "info",
        "A command or a page has changed jobs. It runs no runtime and has no log, so this runtime logs its moves in "
        "its place: `told` is their number, `operator` the boot that it was, and `turn` its only write batch. On "
        "RabbitMQ it may have been killed on the way: then `turn` is 0, and `unknown` is the number of moves that may "
        "or may not have been made.",
        ("operator", "by", "via", "action", "reason", "told", "unknown", "turn"),
    ),
    "turn.recovered": EventKind(
        "warning",
        "A write batch was committed and perhaps not logged: it is logged in its place.",
        ("turn",),
    ),
    "job.queued": EventKind(
        "debug",
        "A job is stored.",
        (
            *MOVE,
            "then_of",
            "parents",
            "priority",
            "run_at",
            "bytes",
            "digest",
            "schedule",
            "slot",
            "unique_key",
            "group",
            "debounce",
            "until",
            *WHO,
        ),
    ),
    "job.replaced": EventKind(
        "debug",
        "A call with the same debounce key has given a queued job its data, and put it off: it is due at `run_at`, and "
        "no further call puts it off beyond `until`. `digest` is a hash of the data.",
        (*MOVE, "then_of", "run_at", "until", "bytes", "digest", "debounce", *WHO),
    ),
    "job.deduplicated": EventKind(
        "debug", "A job was already there; nothing was stored.", (*JOB, "asked_id", "unique_key")
    ),
    "job.linked": EventKind(
        "debug",
        "A job was queued that waits for others: these are a hundred of them, or all.",
        ("job_id", "job_name", "waits_for"),
    ),
    "job.freed": EventKind(
        "debug",
        "All jobs that a job has `waited` for have ended as they should: it is due, or when its delay is over.",
        (*MOVE, "parents", "waited"),
    ),
    "job.claimed": EventKind(
        "debug",
        "A job is claimed for a worker thread.",
        (*MOVE, "begun", "waited", "group", "of_group", "limit", "rate", "redeliveries"),
    ),
    "job.started": EventKind("debug", "A job's function is called.", (*JOB, "handler", "lane", "waited")),
    "job.done": EventKind(
        "info",
        "A job is done. So many jobs follow it by `job.then`: they are queued in the same turn, and are its `then_of`. "
        "So many kept `steps` were removed with its end.",
        (*MOVE, "then", "steps", "took", "schedule", "slot", *WHO),
    ),
    "job.result_lost": EventKind(
        "warning",
        "A job is done, and what its handler returned is not JSON-serializable, or too large: the result is lost.",
        (*JOB, "reason"),
    ),
    "job.failed": EventKind(
        "warning",
        "An attempt failed, timed out or was interrupted; from `run_at` on it is tried again. `reason` says which one "
        "of how many it was, if it is counted.",
        (*MOVE, "outcome", "reason", "run_at", "error", "traceback", "boot_was"),
    ),
    "job.snoozed": EventKind(
        "info",
        "A job runs later: its handler has raised `Snooze`, or its event loop could not be entered.",
        (*MOVE, "outcome", "reason", "run_at"),
    ),
    "job.released": EventKind("debug", "A job was claimed in advance, not started, and put back.", (*MOVE, "reason")),
    "job.dead": EventKind(
        "error",
        "A job is not tried again.",
        (*MOVE, "outcome", "reason", "error", "traceback", "boot_was", "schedule", "slot"),
    ),
    "job.doomed": EventKind(
        "warning",
        "A job that this one has waited for is dead, and so it is dead too: that one's line is the error.",
        (*MOVE, "reason", "fate_of", "parents"),
    ),
    "job.requeued": EventKind(
        "info",
        "Somebody put a job back into the queue; afresh, if so many of its `steps` were removed. Or a job whose fate "
        "it has shared, so that it waits for its `parents` again.",
        (*MOVE, "run_at", "parents", "steps", *WHO),
    ),
    "job.reprioritized": EventKind(
        "info", "Somebody has given a queued job another priority.", (*MOVE, "priority", *WHO)
    ),
    "job.stepped": EventKind(
        "debug",
        "A step of a running job is kept: its function is not called again until the job is done.",
        (*JOB, "turn", "step", "took", "bytes", "digest"),
    ),
    "job.signalled": EventKind(
        "info",
        "Somebody has sent a signal to a job that has not ended: `step` has its name. `digest` is a hash of its data.",
        ("job_id", "job_name", "turn", "step", "bytes", "digest", *WHO),
    ),
    "job.woken": EventKind(
        "debug", "The signal has come that a job waited for, which `step` names: the job is due.", (*MOVE, "step")
    ),
    "job.resumed": EventKind(
        "debug", "An attempt comes to its first step, and earlier ones have kept so many `steps`.", (*JOB, "steps")
    ),
    "job.cancelled": EventKind(
        "info",
        "A job was cancelled: by the application, by an operator, by its handler with `Cancel`, or as it had expired; "
        "or it has waited for a job, `fate_of`, that was cancelled.",
        (*MOVE, "outcome", "run_at", "fate_of", "parents", *WHO),
    ),
    "job.forgotten": EventKind(
        "info",
        "Somebody has had a job removed that had ended: nothing of it is in the store any more.",
        ("job_id", "job_name", "state", "turn", *WHO),
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
    "name.parked": EventKind(
        "warning",
        "Jobs wait that no living runtime has a handler for. This is said when one is queued, and of those that are "
        "due a second after a start and each minute; `jobs` is counted up to 10,000 then. If more than 10 names "
        "wait, one line has their number, `names`, and `examples`. Of an idle store in memory it may take 5 minutes.",
        ("job_name", "jobs", "meant", "names", "examples"),
    ),
    "job.parked": EventKind("debug", "No living runtime has a handler for a job; it waits.", (*JOB,)),
    "job.waiting": EventKind(
        "debug", "A job may not start yet because its old worker thread still runs.", (*JOB, "lane")
    ),
    "job.slow": EventKind(
        "warning",
        "An attempt has run for `seconds`, far beyond what is `usual` for its name, and goes on; `stack` says where.",
        (*JOB, "lane", "seconds", "usual", "stack"),
    ),
    "handler.added": EventKind(
        "debug",
        "A handler takes jobs from now on.",
        (
            "job_name",
            "handler",
            "concurrency",
            "concurrency_total",
            "concurrency_per_group",
            "rate",
            "rate_per_group",
            "isolation",
        ),
    ),
    "handler.removed": EventKind("debug", "A handler was removed.", ("job_name", "handler")),
    "handler.halted": EventKind(
        "error",
        "Too many hung threads: the jobs of this name wait until some have ended.",
        ("job_name", "abandoned", "abandoned_threads_max"),
    ),
    "name.paused": EventKind(
        "info",
        "No job of this name is started, on any runtime of the store, `until` an instant or until it is resumed.",
        ("job_name", "turn", "until", *WHO),
    ),
    "name.resumed": EventKind("info", "Jobs of this name are started again.", ("job_name", "turn", *WHO)),
    "name.limited": EventKind(
        "info", "So many jobs of this name run at once, over the whole store.", ("job_name", "turn", "limit", *WHO)
    ),
    "name.unlimited": EventKind(
        "info", "As many jobs of this name run as its handlers take.", ("job_name", "turn", *WHO)
    ),
    "slot.fired": EventKind(
        "debug",
        "A slot came and its job is queued.",
        ("schedule", "slot", "job_id", "job_name", "turn", "outcome", "reason", "late"),
    ),
    "slot.caught_up": EventKind(
        "info",
        "An old slot was fired under the catch-up policy.",
        ("schedule", "slot", "job_id", "job_name", "turn", "outcome", "reason", "late"),
    ),
    "slot.skipped": EventKind(
        "info",
        "Slots did not fire, and why.",
        ("schedule", "slot", "last", "count", "job_name", "turn", "reason", "by"),
    ),
    "slot.taken": EventKind(
        "debug",
        "The slot is accounted for already: by another runtime, or (with its job) before the clock was set back.",
        ("schedule", "slot", "job_name", "job_id", "turn"),
    ),
    "schedule.added": EventKind(
        "info",
        "A schedule counts from now on.",
        ("schedule", "key", "job_name", "turn", "when", "timezone", "dst_gap", "dst_fold", "durable", "change_no"),
    ),
    "schedule.changed": EventKind(
        "info",
        "A schedule has another rule or other options from now on.",
        ("schedule", "key", "job_name", "turn", "when", "timezone", "dst_gap", "dst_fold", "durable", "change_no"),
    ),
    "schedule.unusable": EventKind(
        "error", "Its rule or zone cannot be read here; its slots wait.", ("schedule", "job_name", "reason")
    ),
    "schedule.removed": EventKind("info", "A schedule is gone.", ("schedule", "job_name", "turn", *WHO)),
    "schedule.paused": EventKind("info", "Its slots pass without firing.", ("schedule", "job_name", "turn", *WHO)),
    "schedule.resumed": EventKind("info", "Its slots fire again.", ("schedule", "job_name", "turn", *WHO)),
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
    "lane.refused": EventKind(
        "warning",
        "The system gives no more threads or child processes. Jobs of this name wait, without an attempt being "
        "counted. Said once, until a lane could be started again.",
        ("job_name", "reason"),
    ),
    "lane.abandoned": EventKind(
        "error",
        "A hung thread: a job's function did not end when it was asked to; its thread is left behind.",
        (*JOB, "lane", "why", "stack", "abandoned"),
    ),
    "lane.lost": EventKind(
        "error", "The thread that ran a job has died without a completion; the job fails.", (*JOB, "lane")
    ),
    "loop.blocked": EventKind(
        "warning",
        "A call blocks a running event loop, and whatever runs there, until it is answered; await its async variant. "
        "Said once for each name of jobs.",
        ("call", "job_name"),
    ),
    "loop.failed": EventKind(
        "warning",
        "A carrier has raised where an event loop of coroutine handlers is `entered`, so that its jobs wait for a "
        "moment, or where it is `left`.",
        ("job_name", "where", "reason"),
    ),
    "lane.returned": EventKind("info", "A hung thread has ended after all.", (*JOB, "lane", "after")),
    "store.waiting": EventKind(
        "warning",
        "A write batch or a message waits: another transaction holds what it needs, such as the file's write lock.",
        ("store", "waited", "reason", "likely"),
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
        ("store", "turn_was"),
    ),
    "store.on_network": EventKind(
        "error", "The file lies on a network file system, whose locks cannot be trusted.", ("store", "filesystem")
    ),
    "presence.lost": EventKind(
        "error",
        "The lock of this runtime instance, on a file or of a session, is gone and cannot be had again now: the others "
        "will take it for dead.",
        ("reason",),
    ),
    "control.lost": EventKind(
        "warning",
        "Other processes cannot ask this runtime instance for its state, or could not for a moment; it works on.",
        ("reason",),
    ),
    "message.refused": EventKind(
        "error", "A message made its write batch fail and was refused alone.", ("message", "reason", "traceback")
    ),
    "retention.pruned": EventKind("debug", "Ended jobs and old slots were removed.", ("rows", "turn")),
    "clock.jumped": EventKind(
        "warning",
        "The wall clock was set. The waits of so many `jobs` were corrected; so many `schedules` had counted to an "
        "instant that is in the future now, and count from now.",
        ("delta", "jobs", "schedules"),
    ),
    "subscriber.failed": EventKind(
        "warning", "A subscriber raised; the event was not given to it again.", ("subscriber", "reason", "failures")
    ),
    "carrier.failed": EventKind(
        "warning", "A carrier raised while a job was queued; the job carries nothing of it.", ("carrier", "reason")
    ),
    "log.dropped": EventKind("error", "Lines could not be written, as on a full disk.", ("count", "reason")),
}

MOVE_KINDS: dict[str, str] = {
    "queued": "a job was born",
    "linked": "more of the jobs that it has waited for, which its next move has no room for",
    "replaced": "a call with its debounce key has given it other data, and put it off",
    "woken": "the signal has come that it waited for",
    "freed": "all jobs that it has waited for have ended as they should",
    "claimed": "a lane has it",
    "deferred": "its handler has returned, and its claim lives on until somebody marks it done (`auto_done=False`)",
    "done": "it is done",
    "failed": "an attempt failed, and it is queued again",
    "snoozed": "its handler asked to run it later",
    "released": "it was claimed in advance, and put back",
    "dead": "it is not tried again",
    "doomed": "a job that it has waited for is dead, and so is it",
    "cancelled": "it was cancelled, or expired",
    "requeued": "somebody put it back into the queue",
    "reprioritized": "somebody has given it another priority",
    "skipped": "slots did not fire",
    "taken": "a slot came that had fired already, before the clock was set back",
    "schedule.added": "a schedule counts from now on",
    "schedule.changed": "it is another one from now on",
    "schedule.removed": "it is gone",
    "schedule.paused": "its slots pass",
    "schedule.resumed": "they fire again",
    "name.paused": "no job of a name is started",
    "name.resumed": "they are started again",
    "name.limited": "so many of a name run at once",
    "name.unlimited": "as many as its handlers take",
    "recounted": "the clock was set back, and schedules count from now",
    "pruned": "retention has removed jobs",
    "forgotten": "somebody has had an ended job removed",
    "stepped": "the result of a step of a running job is kept, or that the time to wait for a signal is over",
    "signalled": "a signal to a job is kept",
    "buried": "a boot was found dead, or taken for dead",
    "acted": "somebody has acted from outside of any runtime, as a boot whose turns are told",
}
"""The values of `k` in a move. Those of jobs are the names of events after `job.`."""

MOVE_KEYS: dict[str, str] = {
    "k": "its kind",
    "j": "the job's id",
    "n": "its name, or the name of the jobs that it is about",
    "r": "how many moves the job has made, this one included: from 1 without a gap; a step and a "
    "signal are none, nor is that it is deferred, and these say how many were made before them",
    "f": "the state that it came from; not of a birth",
    "c": "its claim number after it",
    "a": "its attempts after it",
    "b": "the boot whose claim it ended, or has kept a step, where that was another; the boot that was buried, or that "
    "has acted",
    "o": "how its attempt ended",
    "u": "from when on it is due, where that is not at once; when a pause ends by itself",
    "p": "how often the server had delivered it before: so many claims and moves nobody may know of",
    "d": "a hash of its data, at its birth and where they are replaced; of a step's result; of a signal's data",
    "s": "the schedule's id",
    "t": "the slot; of several, the first",
    "l": "the last slot of several",
    "x": "how many: slots, schedules, jobs, of these at once; jobs that follow one that is done, in the same turn; "
    "turns of a boot that was buried, or that has acted",
    "w": "when it was queued, if a second or more before the turn",
    "q": "the job that it follows, whose end is in the same turn",
    "m": "how many jobs it waits for, or has waited for",
    "y": "of these, each as its id and the `r` of its end, with a 1 behind where any end would do; of one that shares "
    "the fate of another, that one",
    "g": "the group that it is of",
    "z": "how many of its group run, itself included, where that is limited",
    "e": "how many of its group may run at once",
    "rate": "how many jobs of its name may start in a time, where that is limited: `100/60s`",
    "priority": "its new priority, where that is not 0",
    "step": "the name of a step that is kept; `signal:` and the name of a signal",
    "steps": "how many kept steps went with the end of a job as done, or with a requeue that begins it afresh",
    "until": "when it is due at the latest, however many calls with its debounce key put it off",
    "no": "the `boot_no` of a boot that was buried, or that has acted; the number of a change of a schedule",
    "when": "the rule of a schedule",
    "tz": "its time zone",
    "gap": "what it does with a local time that is missing",
    "fold": "what it does with one that comes twice",
    "key": "the application's own name for it, if it has one",
    "since": "when an application said so in a transaction of its own, from when on the schedule counts",
    "by": "who had it done, if that was said",
    "via": "what they have used",
    "why": "the reason that they gave",
}
"""The keys of a move, in their order in the line, which the checksum depends on. Inapplicable keys are left out."""
