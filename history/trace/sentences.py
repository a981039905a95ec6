"""Sentences for people, from events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...log.events import EVENTS
from ...messages.steps import SIGNAL, WAIT
from ...rules.wording import Tone, brief, clock, many, moves_in_words, span


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened, as it is shown.

    Attributes:
        at: seconds since the Unix epoch; None if it is unknown.
        who: the actor and its incarnation, and the boot; or the application.
        said: the fields of the line behind it.
        begins: whether another life begins here, which does not follow the previous entries.
    """

    at: float | None
    who: str
    says: str
    tone: Tone = "plain"
    said: dict[str, Any] = field(default_factory=dict)
    begins: bool = False


def entry_of(said: dict[str, Any]) -> Entry:
    ts = said.get("ts")
    at = float(ts) if isinstance(ts, int | float) else None
    return Entry(at=at, who=who_says(said), says=sentence(said), tone=tone_of(said), said=said)


def who_says(said: dict[str, Any]) -> str:
    if "seq" not in said:
        return "the application"
    actor = said.get("actor")
    who = f"{actor}/{said.get('incarnation', '?')}" if actor else "runtime"
    return f"{who} · {str(said['boot'])[:6]}"


def tone_of(said: dict[str, Any]) -> Tone:
    event = said.get("event", "")
    if event in ("job.done", "slot.fired", "slot.caught_up"):
        return "good"
    kind = EVENTS.get(event)
    level = kind.level if kind is not None and "seq" in said else "info"
    tones: dict[str, Tone] = {"error": "bad", "warning": "warning", "info": "plain", "debug": "quiet"}
    return tones[level]


def sentence(said: dict[str, Any]) -> str:
    event = said.get("event")
    if "seq" not in said:
        message = said.get("message", event)
        return f"says: {message}"
    parts = [_about(str(event), said)]
    mail = said.get("mail_seconds")
    if isinstance(mail, int | float) and mail >= 0.001:
        parts.append(f"its message had waited {span(mail)} in the mailbox")
    return "; ".join(part for part in parts if part)


def _about(event: str, said: dict[str, Any]) -> str:
    noun = event.partition(".")[0]
    match noun:
        case "job":
            return _about_job(event, said)
        case "lane":
            return _about_lane(event, said)
        case "slot":
            return _about_slot(event, said)
        case "name" if event in NAMES_EVENTS:
            return _about_name(event, said)
        case "operator":
            return _about_operator(said)
        case "schedule" if "by" in said or "via" in said or "reason" in said:
            why = f": {reason}" if (reason := brief(said.get("reason") or "")) else ""
            return f"schedule {event.partition('.')[2]}{_by(said)}, for {said.get('job_name')}{why}"
        case "schedule" if "when" in said:
            what = event.partition(".")[2]
            return f"schedule {what}: {said['when']} ({said.get('timezone')}), for {said.get('job_name')}"
        case "actor" | "supervisor":
            return _about_actor(event, said)
        case "runtime" | "turn" if "moves" not in said:
            return _about_runtime(event, said)
    if isinstance(said.get("moves"), list):
        return f"turn {said.get('turn')}: {moves_in_words(said['moves'])}"
    kind = EVENTS.get(event)
    own = {name: said[name] for name in (kind.fields if kind else ()) if name in said and name != "traceback"}
    return f"{event}: {'; '.join(f'{name} {value}' for name, value in own.items())}"


def _about_job(event: str, said: dict[str, Any]) -> str:
    claim, attempt = said.get("claim_no"), said.get("attempt")
    reason = brief(said.get("reason") or said.get("error") or said.get("outcome") or "")
    match event:
        case "job.queued":
            due = _due(said)
            slot = f" for slot {clock(said['slot'])}" if "slot" in said else ""
            size = f", {many(said['bytes'], 'byte')} of data" if "bytes" in said else ""
            after = f" to follow job {said['then_of']}" if "then_of" in said else ""
            waits = f", waits for {many(said['parents'], 'job')}" if said.get("parents") else ""
            put_off = _put_off(said)
            return f"queued{_by(said)}{after}{slot}{size}{due}{put_off}{waits}" + (f": {reason}" if reason else "")
        case "job.replaced":
            size = f", {many(said['bytes'], 'byte')}" if "bytes" in said else ""
            after = f" to follow job {said['then_of']}" if "then_of" in said else ""
            return f"called for again{_by(said)}{after}, with new data{size}{_due(said)}{_put_off(said)}"
        case "job.linked":
            return f"waits for {', '.join(map(str, said.get('waits_for', ())))}"
        case "job.freed":
            since = f" after {span(said['waited'])}" if "waited" in said else ""
            return f"freed{since}: {many(said.get('parents', 0), 'job')} that it has waited for ended"
        case "job.doomed":
            return "dead" + (f": {reason}" if reason else f" as job {said.get('fate_of')}, which it has waited for, is")
        case "job.claimed":
            early = "" if said.get("begun", True) else ", in advance of a free lane"
            waited = said.get("waited")
            since = "" if waited is None else f" after {span(waited)} in the queue"
            return f"claim {claim} taken{since}{early}"
        case "job.started":
            waited = f", {span(said['waited'])} after its claim" if "waited" in said else ""
            return f"attempt {attempt} starts on lane {said.get('lane')} of {said.get('handler')}{waited}"
        case "job.done":
            took = f" after {span(said['took'])}" if "took" in said else ""
            by = f", marked{_by(said)}" if "by" in said else ""
            then = f", and followed by {many(said['then'], 'job')}" if "then" in said else ""
            steps = f", with {many(said['steps'], 'step')}" if "steps" in said else ""
            return f"done{took}{by}{steps}{then}" + (f" ({reason})" if reason and reason != "succeeded" else "")
        case "job.result_lost":
            return reason
        case "job.failed":
            why = f": {error}" if (error := brief(said.get("error") or said.get("reason") or "")) else ""
            again = _due(said) or ", due at once"
            return f"{_ended_attempt(said)}, queued again{again}{why}"
        case "job.dead":
            error = brief(said.get("error") or "")
            return "dead" + (f": {reason}" if reason else "") + (f": {error}" if error and error != reason else "")
        case "job.snoozed" | "job.requeued":
            how = f"{event.partition('.')[2]}{_by(said)}"
            waits = f", waits for {many(said['parents'], 'job')} again" if said.get("parents") else ""
            afresh = f" afresh, without its {many(said['steps'], 'step')}" if "steps" in said else ""
            return f"{how}, queued again{afresh}{_due(said)}{waits}" + (f": {reason}" if reason else "")
        case "job.reprioritized":
            return f"given priority {said.get('priority')}{_by(said)}" + (f": {reason}" if reason else "")
        case "job.signalled":
            size = f", with {many(said['bytes'], 'byte')} of data" if "bytes" in said else ""
            return f"{_step_in_words(said)} sent{_by(said)}{size}" + (f": {reason}" if reason else "")
        case "job.woken":
            return f"woken by {_step_in_words(said)}"
        case "job.stepped" if str(said.get("step")).startswith(WAIT):
            return f"waits for {_step_in_words(said)}"
        case "job.stepped" if str(said.get("step")).startswith(SIGNAL):
            return f"{_step_in_words(said)} did not come in time"
        case "job.stepped":
            took = f" after {span(said['took'])}" if "took" in said else ""
            size = f", {many(said['bytes'], 'byte')}" if "bytes" in said else ""
            return f"step {said.get('step')} is kept{took}{size}"
        case "job.deferred":
            return f"the handler of attempt {attempt} has returned, and the job waits to be marked done"
        case "job.resumed":
            return f"attempt {attempt} goes on after {many(said.get('steps', 0), 'step')} that earlier ones have kept"
        case "job.fenced":
            return (
                f"REFUSED: claim {claim} wanted to end it ({said.get('outcome')}), but had lost it: "
                f"claim {said.get('claim_no_now')} is the last one, and the job is {said.get('state')}"
            )
        case "job.slow":
            usual = f", and {span(said['usual'])} is usual" if "usual" in said else ""
            return f"attempt {attempt} has run for {span(said.get('seconds', 0.0))}{usual}; it goes on"
        case "job.waiting":
            return f"claim {claim} waits: lane {said.get('lane')} still runs an earlier attempt"
        case "job.deduplicated":
            return f"asked for again (as {said.get('asked_id')}); nothing was stored"
        case "job.parked":
            return "parked: no living runtime has a handler for its name"
    return f"{event.partition('.')[2]}{_by(said)}" + (f": {reason}" if reason else "")


def _by(said: dict[str, Any]) -> str:
    """The person and the way of an act, as far as the line has them."""
    by = f" by {said['by']}" if "by" in said else ""
    return by + (f" via {said['via']}" if "via" in said else "")


def _ended_attempt(said: dict[str, Any]) -> str:
    """The end of an attempt, and its number, where the line has them."""
    reason = str(said.get("reason") or "")
    if said.get("outcome") == "interrupted":
        # The attempt is not counted, so the line has the number of the one before.
        return f"claim {said.get('claim_no')} interrupted"
    if " in attempt " in reason:
        return brief(reason)
    return f"attempt {said.get('attempt')} {str(said.get('outcome', 'failed')).replace('_', ' ')}"


def _due(said: dict[str, Any]) -> str:
    run_at, at = said.get("run_at"), said.get("ts")
    if isinstance(run_at, int | float) and isinstance(at, int | float) and run_at - at > 0.001:
        return f", due in {span(run_at - at)}"
    return ""


def _put_off(said: dict[str, Any]) -> str:
    """The latest due time of a debounced job."""
    return f", and at the latest at {clock(said['until'])}" if "until" in said else ""


def _about_lane(event: str, said: dict[str, Any]) -> str:
    if event == "lane.abandoned":
        return f"lane {said.get('lane')} ABANDONED: {said.get('why')}; the function still runs, and counts no longer"
    return f"abandoned lane {said.get('lane')} has ended after {span(said.get('after', 0.0))}"


def _about_slot(event: str, said: dict[str, Any]) -> str:
    slot, reason = clock(said.get("slot")), brief(said.get("reason") or "")
    match event:
        case "slot.skipped":
            count = said.get("count", 1)
            which = f"slot {slot}" if count == 1 else f"{count} slots from {slot} to {clock(said.get('last'))}"
            by = f" ({said['by']})" if "by" in said else ""
            return f"{which} did not fire: {reason}{by}"
        case "slot.taken":
            return f"slot {slot}: another runtime had accounted for it"
    late = said.get("late", 0.0)
    how = f", {span(late)} late" if isinstance(late, int | float) and late >= 1.0 else ""
    return f"slot {slot} fired{how} as job {said.get('job_id')}" + (f": {reason}" if reason else "")


NAMES_EVENTS = frozenset({"name.paused", "name.resumed", "name.limited", "name.unlimited"})


def _about_name(event: str, said: dict[str, Any]) -> str:
    until = f" until {clock(said['until'])}" if "until" in said else ""
    most = f" to {said['limit']} at once" if "limit" in said else ""
    why = f": {reason}" if (reason := brief(said.get("reason") or "")) else ""
    return f"{said.get('job_name')} {event.partition('.')[2]}{most}{_by(said)}{until}{why}"


def _about_operator(said: dict[str, Any]) -> str:
    why = f": {reason}" if (reason := brief(said.get("reason") or "")) else ""
    who = f"{said.get('by', 'somebody')}" + (f" via {said['via']}" if "via" in said else "")
    if said.get("unknown"):
        lost = f"was lost while acting from outside: {many(said['unknown'], 'move')} may have been made"
        return f"{who} {lost} ({said.get('action')}){why}"
    return f"{who} has acted from outside: {many(said.get('told'), 'move')} ({said.get('action')}){why}"


def _about_actor(event: str, said: dict[str, Any]) -> str:
    child = f"{said.get('child', 'supervisor')}/{said.get('child_incarnation', '?')}"
    match event:
        case "actor.crashed":
            over = ""
            if "message" in said:
                over = f" over {said['message']} {said.get('message_id', '')}".rstrip()
                over += f" of {said['message_corr']}" if "message_corr" in said else ""
            mail = f"; {many(said['mailbox'], 'message')} waited" if said.get("mailbox") else ""
            return f"{child} DIED{over}: {brief(said.get('reason', ''))}{mail}"
        case "actor.quarantined" | "supervisor.gave_up":
            return (
                f"{child} is not restarted any more after {many(said.get('restarts_in_window'), 'restart')}: "
                + brief(said.get("reason", ""))
            )
    window = f", restart {said['restarts_in_window']} in its window" if "restarts_in_window" in said else ""
    return f"{child} {event.partition('.')[2]}{window}"


def _about_runtime(event: str, said: dict[str, Any]) -> str:
    match event:
        case "runtime.started":
            runs = "only queues" if said.get("work") is False else "runs"
            return (
                f"boot {said['boot']} {runs} (pid {said.get('pid')} on {said.get('host')}, store {said.get('store')})"
            )
        case "runtime.stopping":
            return f"boot {said['boot']} stops; its jobs may finish for {span(said.get('drain', 0.0))}"
        case "runtime.quieted" | "runtime.resumed":
            does = "takes no more jobs" if event == "runtime.quieted" else "takes jobs again"
            reason = brief(said.get("reason") or "")
            return f"boot {said['boot']} {does}{_by(said)}" + (f": {reason}" if reason else "")
        case "runtime.draining":
            return f"the stop waits for {', '.join(said.get('waits_for', ()))}"
        case "runtime.recovered":
            jobs, died = said.get("jobs"), "was killed while it stopped" if said.get("stopping") else "is dead"
            held = f"{many(jobs, 'job')} that it held {'is' if jobs == 1 else 'are'}"
            return f"boot {said.get('dead_boot')} (pid {said.get('dead_pid')}) {died}; {held} taken back"
        case "runtime.renewed":
            return f"boot {said['boot']} is none any more and goes on as {said.get('next_boot')}: {said.get('reason')}"
        case "turn.recovered":
            return f"the broker had died over turn {said.get('turn')}, and perhaps not said it"
        case "runtime.stopped":
            jobs = said.get("interrupted", 0)
            were = f"{many(jobs, 'job')} {'was' if jobs == 1 else 'were'}"
            return f"boot {said['boot']} has stopped; {were} interrupted"
    reason = brief(said.get("reason") or "")
    return f"{event}" + (f": {reason}" if reason else "")


def _step_in_words(said: dict[str, Any]) -> str:
    return f"signal {str(said.get('step')).partition(':')[2]}"
