"""What lines are called where people read them: each says all that its line has, and nothing that it lacks."""

from __future__ import annotations

import pytest
from lamplighter.history.trace.sentences import sentence, tone_of, who_says

from ..kit import Said

JOB = {"seq": 1, "boot": "boot-1", "job_id": "j", "job_name": "n", "claim_no": 2, "attempt": 1, "ts": 100.0}
BY = {"by": "ada", "via": "cli"}

SAYS: list[tuple[Said, str]] = [
    ({"event": "job.queued"}, "queued"),
    ({"event": "job.queued", "run_at": 100.0005}, "queued"),
    (
        {"event": "job.queued", **BY, "slot": 0.0, "bytes": 2, "run_at": 102.5, "parents": 2, "reason": "again"},
        "queued by ada via cli for slot 1970-01-01T00:00:00Z, 2 bytes of data, due in 2.5 s, waits for 2 jobs: again",
    ),
    ({"event": "job.queued", "then_of": "p"}, "queued to follow job p"),
    (
        {"event": "job.replaced", "then_of": "p", "bytes": 1, "until": 0.0},
        "called for again to follow job p, with new data, 1 byte, and at the latest at 1970-01-01T00:00:00Z",
    ),
    ({"event": "job.freed", "waited": 2.0, "parents": 1}, "freed after 2 s: 1 job that it has waited for ended"),
    ({"event": "job.doomed", "fate_of": "p"}, "dead as job p, which it has waited for, is"),
    ({"event": "job.doomed", "fate_of": "p", "reason": "shares a fate"}, "dead: shares a fate"),
    ({"event": "job.claimed"}, "claim 2 taken"),
    (
        {"event": "job.claimed", "begun": False, "waited": 2.0},
        "claim 2 taken after 2 s in the queue, in advance of a free lane",
    ),
    (
        {"event": "job.started", "lane": 3, "handler": "n#1", "waited": 2.0},
        "attempt 1 starts on lane 3 of n#1, 2 s after its claim",
    ),
    ({"event": "job.done", "outcome": "succeeded"}, "done"),
    (
        {"event": "job.done", "took": 2.0, **BY, "steps": 1, "then": 2, "reason": "lost"},
        "done after 2 s, marked by ada via cli, with 1 step, and followed by 2 jobs (lost)",
    ),
    ({"event": "job.failed", "outcome": "timed_out"}, "attempt 1 timed out, queued again, due at once"),
    (
        {
            "event": "job.failed",
            "outcome": "failed",
            "reason": "failed in attempt 1 of 3",
            "error": "E: x",
            "run_at": 102.5,
        },
        "failed in attempt 1 of 3, queued again, due in 2.5 s: E: x",
    ),
    (
        {"event": "job.failed", "outcome": "interrupted", "reason": "interrupted in attempt 1"},
        "claim 2 interrupted, queued again, due at once: interrupted in attempt 1",
    ),
    ({"event": "job.dead", "reason": "poison", "error": "E: x"}, "dead: poison: E: x"),
    ({"event": "job.dead", "error": "E: x"}, "dead: E: x"),
    (
        {"event": "job.requeued", **BY, "steps": 1, "run_at": 102.5, "parents": 1, "reason": "mended"},
        "requeued by ada via cli, queued again afresh, without its 1 step, due in 2.5 s, waits for 1 job again: mended",
    ),
    (
        {"event": "job.reprioritized", **BY, "priority": 7, "reason": "it is urgent"},
        "given priority 7 by ada via cli: it is urgent",
    ),
    ({"event": "job.snoozed"}, "snoozed, queued again"),
    ({"event": "job.linked", "waits_for": ["a", "b"]}, "waits for a, b"),
    (
        {"event": "job.signalled", **BY, "step": "signal:approval", "bytes": 1, "reason": "it is fine"},
        "signal approval sent by ada via cli, with 1 byte of data: it is fine",
    ),
    ({"event": "job.woken", "step": "signal:approval"}, "woken by signal approval"),
    ({"event": "job.stepped", "step": "wait:approval"}, "waits for signal approval"),
    ({"event": "job.stepped", "step": "signal:approval"}, "signal approval did not come in time"),
    ({"event": "job.result_lost", "reason": "it is no JSON"}, "it is no JSON"),
    ({"event": "job.deduplicated", "asked_id": "k"}, "asked for again (as k); nothing was stored"),
    ({"event": "job.parked"}, "parked: no living runtime has a handler for its name"),
    (
        {"event": "job.fenced", "outcome": "failed", "claim_no_now": 3, "state": "dead"},
        "REFUSED: claim 2 wanted to end it (failed), but had lost it: claim 3 is the last one, and the job is dead",
    ),
    (
        {"event": "lane.abandoned", "lane": 1, "why": "timed out"},
        "lane 1 ABANDONED: timed out; the function still runs, and counts no longer",
    ),
    ({"event": "name.resumed", **BY, "reason": "mended"}, "n resumed by ada via cli: mended"),
    ({"event": "name.unlimited", "by": "ada"}, "n unlimited by ada"),
    ({"event": "runtime.draining", "waits_for": ["j", "k"]}, "the stop waits for j, k"),
    (
        {"event": "runtime.renewed", "next_boot": "c", "reason": "it was found dead"},
        "boot boot-1 is none any more and goes on as c: it was found dead",
    ),
    (
        {"event": "runtime.recovered", "dead_boot": "b", "dead_pid": 2, "jobs": 1},
        "boot b (pid 2) is dead; 1 job that it held is taken back",
    ),
    ({"event": "turn.recovered", "turn": 7}, "the broker had died over turn 7, and perhaps not said it"),
    ({"event": "job.stepped", "step": "one", "took": 2.0, "bytes": 1}, "step one is kept after 2 s, 1 byte"),
    ({"event": "job.deferred"}, "the handler of attempt 1 has returned, and the job waits to be marked done"),
    ({"event": "job.resumed", "steps": 2}, "attempt 1 goes on after 2 steps that earlier ones have kept"),
    ({"event": "job.slow", "seconds": 90.0, "usual": 2.0}, "attempt 1 has run for 90 s, and 2 s is usual; it goes on"),
    ({"event": "job.waiting", "lane": 1}, "claim 2 waits: lane 1 still runs an earlier attempt"),
    ({"event": "job.cancelled", **BY, "reason": "no need"}, "cancelled by ada via cli: no need"),
    (
        {"event": "job.started", "lane": 3, "handler": "n", "mail_seconds": 0.001},
        "attempt 1 starts on lane 3 of n; its message had waited 1 ms in the mailbox",
    ),
    ({"event": "lane.returned", "lane": 1, "after": 2.0}, "abandoned lane 1 has ended after 2 s"),
    (
        {"event": "slot.skipped", "slot": 0.0, "reason": "paused", "by": "ada"},
        "slot 1970-01-01T00:00:00Z did not fire: paused (ada)",
    ),
    (
        {"event": "slot.skipped", "slot": 0.0, "last": 60.0, "count": 2, "reason": "paused"},
        "2 slots from 1970-01-01T00:00:00Z to 1970-01-01T00:01:00Z did not fire: paused",
    ),
    ({"event": "slot.taken", "slot": 0.0}, "slot 1970-01-01T00:00:00Z: another runtime had accounted for it"),
    ({"event": "slot.fired", "slot": 0.0, "late": 0.9}, "slot 1970-01-01T00:00:00Z fired as job j"),
    (
        {"event": "slot.caught_up", "slot": 0.0, "late": 1.0, "reason": "down"},
        "slot 1970-01-01T00:00:00Z fired, 1 s late as job j: down",
    ),
    ({"event": "name.limited", **BY, "limit": 3, "reason": "slow"}, "n limited to 3 at once by ada via cli: slow"),
    ({"event": "name.paused", "until": 0.0}, "n paused until 1970-01-01T00:00:00Z"),
    ({"event": "operator.acted", "told": 1, "action": "queue"}, "somebody has acted from outside: 1 move (queue)"),
    (
        {"event": "operator.acted", **BY, "unknown": 2, "told": 1, "action": "queue", "reason": "tried"},
        "ada via cli was lost while acting from outside: 2 moves may have been made (queue): tried",
    ),
    ({"event": "schedule.paused", "via": "cli", "reason": "noise"}, "schedule paused via cli, for n: noise"),
    ({"event": "schedule.paused", "by": "ada"}, "schedule paused by ada, for n"),
    ({"event": "schedule.paused", "reason": "noise"}, "schedule paused, for n: noise"),
    ({"event": "schedule.paused", "via": "cli"}, "schedule paused via cli, for n"),
    ({"event": "schedule.added", "when": "@every 10s", "timezone": "UTC"}, "schedule added: @every 10s (UTC), for n"),
    (
        {
            "event": "actor.crashed",
            "child": "broker",
            "child_incarnation": 2,
            "message": "Run",
            "message_id": 7,
            "message_corr": "r",
            "reason": "died",
            "mailbox": 1,
        },
        "broker/2 DIED over Run 7 of r: died; 1 message waited",
    ),
    ({"event": "actor.crashed", "child": "broker", "message": "Run", "reason": "died"}, "broker/? DIED over Run: died"),
    (
        {"event": "supervisor.gave_up", "restarts_in_window": 5, "reason": "died"},
        "supervisor/? is not restarted any more after 5 restarts: died",
    ),
    (
        {"event": "actor.restarted", "child": "broker", "child_incarnation": 2, "restarts_in_window": 1},
        "broker/2 restarted, restart 1 in its window",
    ),
    (
        {"event": "runtime.started", "work": False, "pid": 1, "host": "h", "store": "s"},
        "boot boot-1 only queues (pid 1 on h, store s)",
    ),
    ({"event": "runtime.started", "pid": 1, "host": "h", "store": "s"}, "boot boot-1 runs (pid 1 on h, store s)"),
    ({"event": "runtime.stopping", "drain": 2.0}, "boot boot-1 stops; its jobs may finish for 2 s"),
    ({"event": "runtime.quieted", **BY, "reason": "deploy"}, "boot boot-1 takes no more jobs by ada via cli: deploy"),
    ({"event": "runtime.resumed"}, "boot boot-1 takes jobs again"),
    (
        {"event": "runtime.recovered", "dead_boot": "b", "dead_pid": 2, "jobs": 2, "stopping": True},
        "boot b (pid 2) was killed while it stopped; 2 jobs that it held are taken back",
    ),
    ({"event": "runtime.stopped", "interrupted": 1}, "boot boot-1 has stopped; 1 job was interrupted"),
    ({"event": "runtime.stopped"}, "boot boot-1 has stopped; 0 jobs were interrupted"),
    ({"event": "runtime.failed", "reason": "no store"}, "runtime.failed: no store"),
    (
        {"event": "turn.committed", "turn": 3, "moves": [{"k": "queued"}, {"k": "queued"}, {"k": "done"}]},
        "turn 3: 2 queued, 1 done",
    ),
    ({"event": "handler.removed", "handler": "n#1", "odd": 1}, "handler.removed: job_name n; handler n#1"),
]


@pytest.mark.parametrize(("fields", "says"), SAYS, ids=[says[:40] for _, says in SAYS])
def test_a_line_says_what_it_has(fields, says):
    assert sentence({**JOB, **fields}) == says


def test_a_line_of_the_application_is_said_to_be_its_own():
    own = {"event": "an event", "job_id": "j"}

    assert (sentence(own), who_says(own), tone_of({**own, "event": "log.dropped"})) == (
        "says: an event",
        "the application",
        "plain",
    )
    assert sentence({**own, "message": "a message"}) == "says: a message"


def test_who_says_a_line_is_its_actor_or_the_runtime():
    assert who_says({"seq": 1, "boot": "boot-1234", "actor": "broker", "incarnation": 2}) == "broker/2 · boot-1"
    assert who_says({"seq": 1, "boot": "boot-1234", "actor": "broker"}) == "broker/? · boot-1"
    assert who_says({"seq": 1, "boot": "boot-1234"}) == "runtime · boot-1"


@pytest.mark.parametrize(
    ("event", "tone"),
    [
        ("job.done", "good"),
        ("slot.fired", "good"),
        ("job.dead", "bad"),
        ("actor.crashed", "warning"),
        ("job.queued", "quiet"),
        ("odd", "plain"),
    ],
)
def test_what_went_well_and_badly_has_a_tone(event, tone):
    assert tone_of({**JOB, "event": event}) == tone
