"""The words of the ledger: fields of its line, kinds of the moves that it tells, and keys of each. docs/events.md is
generated from these tables too.
"""

from __future__ import annotations

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

MOVE_KINDS: dict[str, str] = {
    "queued": "a job was born",
    "linked": "more of the jobs that it has waited for, which its next move has no room for",
    "replaced": "a call with its debounce key has given it other data, and put it off",
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
    "stepped": "the result of a step of a running job is kept",
    "buried": "a boot was found dead, or taken for dead",
    "acted": "somebody has acted from outside of any runtime, as a boot whose turns are told",
}
"""The values of `k` in a move. Those of jobs are the names of events after `job.`."""

MOVE_KEYS: dict[str, str] = {
    "k": "its kind",
    "j": "the job's id",
    "n": "its name, or the name of the jobs that it is about",
    "r": "how many moves the job has made, this one included: from 1 without a gap; a step is none, nor "
    "is that it is deferred, and these say how many were made before them",
    "f": "the state that it came from; not of a birth",
    "c": "its claim number after it",
    "a": "its attempts after it",
    "b": "the boot whose claim it ended, where that was another; the boot that was buried, or that has acted",
    "o": "how its attempt ended",
    "u": "from when on it is due, where that is not at once; when a pause ends by itself",
    "p": "how often the server had delivered it before: so many claims and moves nobody may know of",
    "d": "a hash of its data, at its birth and where they are replaced; of a step's result",
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
    "step": "the name of a step that is kept",
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
"""The meaning of each key of a move, in the order in which they stand: the checksum goes by it. A key that does not
apply is left out.
"""
