"""How jobs look on a page: as lines of a list, and one with all that is known of it."""

from __future__ import annotations

from collections.abc import Sequence

from ..admin.graphs import GraphView
from ..admin.views import Amount, JobPage, JobView, LoggedLine, Payload
from ..admin.why import Why
from ..errors import listed
from ..messages.jobs import Attempt, Instant, JobState
from ..rules.new_jobs import KEPT_OPTIONS
from ..rules.wording import Tone, brief, many, span
from .options import Times
from .page import Cell, Page, ago

HEADS = ("id", "name", "state", "what", "attempt", "queued", "due", "took")
NUMBERS = ("attempt", "took")

ATTEMPT_HEADS = ("claim", "attempt", "outcome", "ran", "ended", "boot", "error")

STEP_HEADS = ("step", "claim", "kept", "bytes")
OUTPUT_HEADS = ("claim", "at", "level", "line")
LEVEL_TONES: dict[str, Tone] = {"warning": "warning", "error": "bad", "critical": "bad"}

NAMES_TOLD_MAX = 3

SHOWN_OTHERWISE = ("max_attempts", "timeout")
TONES: dict[str, Tone] = {"running": "good", "done": "quiet", "dead": "bad", "cancelled": "quiet", "queued": "plain"}
HARMLESS = frozenset(
    {"waits_for", "not_due", "just_now", "behind", "lanes_full", "limit", "group", "rate", "solo", "running", "claimed"}
)
"""Reasons to wait, or to be held, for which nobody need do anything."""


def rows(jobs: Sequence[JobView], now: Instant) -> list[list[Cell]]:
    return [row(job, now) for job in jobs]


def row(job: JobView, now: Instant) -> list[Cell]:
    attempts = f"{job.attempt}" if job.max_attempts is None else f"{job.attempt}/{job.max_attempts}"
    waits = job.why is not None and job.why.code == "waits_for"
    due = ago(now, job.run_at) if job.state == "queued" and not waits else ""
    state: Cell = (job.state, TONES[job.state])
    return [job.id, job.name, state, _what(job), attempts, ago(now, job.queued_at), due, _took(job, now)]


def _what(job: JobView) -> Cell:
    if job.state == "dead":
        return brief(job.error or job.reason or ""), "bad"
    if job.why is not None and (job.state == "queued" or job.why.code != "running"):
        return job.why.code, "plain" if job.why.code in HARMLESS else "warning"
    if job.progress is not None and job.progress.is_shown:
        return _progress(job.progress)
    return brief(job.reason or "")


def _progress(progress: Payload) -> str:
    said = progress.value if isinstance(progress.value, dict) else {}
    total = "" if said.get("total") is None else f" of {said['total']:g}"
    note = "" if said.get("note") is None else f": {said['note']}"
    return f"{said.get('done', 0):g}{total}{note}"


def _took(job: JobView, now: Instant) -> str:
    # A job that ended in the queue, as by a cancel while it waited, has no boot: no attempt ended then.
    if job.claimed_at is None or job.boot is None:
        return ""
    return span(max(0.0, (job.ended_at if job.ended_at is not None else now) - job.claimed_at))


def show_job(page: Page, found: JobPage, times: Times) -> None:
    job, now = found.job, found.at

    def at(instant: Instant | None) -> str:
        return "" if instant is None else f"{times.of(instant)} ({ago(now, instant)})"

    attempts = f"{job.attempt}" if job.max_attempts is None else f"{job.attempt} of {job.max_attempts}"
    page.fields(
        [
            ("id", job.id),
            ("name", job.name),
            ("state", (job.state, TONES[job.state])),
            *_whys(found.reasons),
            ("attempt", attempts),
            ("claims", str(job.claim_no) if job.claim_no else ""),
            *((option, str(getattr(job, option) or "")) for option in KEPT_OPTIONS if option not in SHOWN_OTHERWISE),
            ("debounce", job.debounce or ""),
            ("queued", at(job.queued_at)),
            ("due", at(job.run_at)),
            ("claimed", at(job.claimed_at)),
            ("took", _took(job, now)),
            ("ended", at(job.ended_at)),
            ("expires", at(job.expires_at)),
            ("timeout", "" if job.timeout is None else span(job.timeout)),
            ("boot", job.boot or ""),
            ("schedule", _schedule(found, times)),
            ("descends from", job.corr if job.corr != job.id else ""),
            ("data", payload(job.data)),
            ("result", payload(job.result)),
            ("progress", payload(job.progress)),
            ("reason", job.reason or ""),
            ("error", (job.error or "", "bad")),
            ("traceback", (found.traceback or "", "quiet")),
        ]
    )
    if found.attempts:
        page.line("")
        page.table(ATTEMPT_HEADS, [_attempt(one, now) for one in found.attempts], right=["claim", "attempt"])
    if found.output:
        page.line("")
        page.line("what it has logged:")
        page.table(OUTPUT_HEADS, [_logged(one, times) for one in found.output], right=["claim"])
    if found.output_unheard:
        page.line("")
        page.line(f"what the attempt that runs has logged is not known: {found.output_unheard}", "warning")
    if found.steps:
        more = "" if len(found.steps) == found.steps_kept else f"; the last {len(found.steps)}"
        page.line("")
        page.line(f"{many(found.steps_kept, 'step')} kept{more}:")
        steps = [(one.name, str(one.claim_no), ago(now, one.at), f"{one.bytes:,}") for one in found.steps]
        page.table(STEP_HEADS, steps, right=["claim", "bytes"])
    gone = [
        f"job {one['id']} ({one['name']}), {one['state']}, which retention has removed" for one in found.gone_parents
    ]
    parents = [*gone, *["... and more"] * found.has_more_parents]
    waiting = ["... and more"] * found.has_more_waiting
    children = [f"... and more; `lamplighter jobs list corr:{job.id}` lists them"] * found.has_more_children
    for says, jobs, below in (
        ("jobs that it waits for, or has waited for:", found.parents, parents),
        ("jobs that wait for it, or have:", found.waiting, waiting),
        ("jobs that descend from it:", found.children, children),
    ):
        if jobs or below:
            page.line("")
            page.line(says)
            if jobs:
                page.table(HEADS, rows(jobs, now), right=NUMBERS)
            for line in below:
                page.line(line, "quiet")


def _whys(reasons: Sequence[Why]) -> list[tuple[str, Cell]]:
    """The condition that must go first, the act that would change it, and the next step."""
    first, *others = reasons
    tone: Tone = "plain" if first.code in HARMLESS else "warning"
    told: list[tuple[str, Cell]] = [("why", (first.sentence, tone)), ("would change it", first.changes)]
    return [*told, *(("and then", one.sentence) for one in others)]


def show_why(page: Page, reasons: Sequence[Why]) -> None:
    for place, one in enumerate(reasons):
        tone: Tone = "quiet" if place else "plain" if one.code in HARMLESS else "warning"
        page.line(f"{'and then: ' if place else ''}{one.sentence}", tone)
        if one.changes and not place:
            page.line(f"what would change it: {one.changes}", "quiet")


def show_graph(page: Page, found: GraphView) -> None:
    total = Amount(count=found.total, is_capped=found.is_capped)
    tone: Tone = "bad" if found.state == "failed" else "plain"
    page.line(f"{found.state}: {found.ended:,} of {total} jobs have ended", tone)
    page.line("")
    states = [state.value for state in JobState if found.of[state]]
    rows: list[list[Cell]] = []
    for node in found.nodes:
        counts: list[Cell] = [(f"{node.of[state]:,}", TONES[state]) if node.of.get(state) else "" for state in states]
        rows.append([f"{'  ' * node.level}{node.name}", f"{node.jobs:,}", *counts])
    page.table(("name", "jobs", *states), rows, right=("jobs", *states))
    for hold in found.held_up_by:
        job, reason = hold.first, hold.first.why
        assert reason is not None, "a job that holds others up has not ended"
        these = f"{job.state} job {job.id}" if hold.jobs == 1 else f"{hold.jobs:,} {job.state} jobs, as {job.id}"
        more = [f"{len(hold.names) - NAMES_TOLD_MAX} more"] if len(hold.names) > NAMES_TOLD_MAX else []
        said = f"held up by {these} ({listed([*hold.names[:NAMES_TOLD_MAX], *more])}): {reason.sentence}"
        page.line("")
        page.line(said, "plain" if reason.code in HARMLESS else "warning")
        if reason.changes:
            page.line(f"what would change it: {reason.changes}", "quiet")
    if found.of["dead"] or found.of["cancelled"]:
        where = f"{found.query} state:dead state:cancelled fate:no"
        page.line("")
        page.line(f"`lamplighter jobs requeue --where '{where}'` mends it", "quiet")


def _schedule(found: JobPage, times: Times) -> str:
    named, slot = found.schedule, found.job.slot
    if named is None:
        return ""
    called = named.id if named.key is None else f"{named.key} ({named.id})"
    words = "" if named.words is None else f", {named.words}"
    return f"{called}{words}" + ("" if slot is None else f", slot {times.of(slot)}")


def payload(one: Payload | None) -> str:
    if one is None:
        return ""
    if not one.is_shown:
        return f"{one.shape}, {many(one.bytes, 'byte')} (--show-data shows it)"
    return one.text


def _attempt(one: Attempt, now: Instant) -> list[Cell]:
    ran, ended = span(max(0.0, one.ended_at - one.claimed_at)), ago(now, one.ended_at)
    return [str(one.claim_no), str(one.attempt), (one.outcome, "bad"), ran, ended, one.boot, brief(one.error or "")]


def _logged(one: LoggedLine, times: Times) -> list[Cell]:
    return [str(one.claim_no), times.of(one.at), (one.level, LEVEL_TONES.get(one.level, "plain")), one.text]
