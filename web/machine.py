"""The five states of a job as a picture, with the way that one has come."""

from __future__ import annotations

from collections.abc import Collection
from html import escape
from itertools import chain

from ..messages.jobs import JobState

PLACES = {
    JobState.QUEUED: (10, 45),
    JobState.RUNNING: (210, 45),
    JobState.DONE: (410, 5),
    JobState.DEAD: (410, 45),
    JobState.CANCELLED: (410, 85),
}
"""Where the upper left corner of each is."""

WIDTH, HEIGHT = 120, 30

WAYS = (
    (JobState.QUEUED, JobState.RUNNING, "M130 54 H210"),
    (JobState.RUNNING, JobState.QUEUED, "M210 66 H130"),
    (JobState.RUNNING, JobState.DONE, "M330 60 L410 20"),
    (JobState.RUNNING, JobState.DEAD, "M330 60 H410"),
    (JobState.RUNNING, JobState.CANCELLED, "M330 60 L410 100"),
    (JobState.QUEUED, JobState.CANCELLED, "M70 75 V110 L410 110"),
)


def machine(now: JobState, gone: Collection[tuple[JobState, JobState]]) -> str:
    """The picture of the state `now`; `gone` are the transitions that the job has made."""
    known = {JobState.QUEUED, now, *chain.from_iterable(gone)}
    said = f"The job is {now.value}; it has been {', '.join(state.value for state in PLACES if state in known)}"
    parts = [f'<svg class="machine" viewBox="0 0 540 125" role="img" aria-label="{escape(said)}" width="540">']
    for start, end, path in WAYS:
        parts.append(f'<g class="{"been" if (start, end) in gone else "way"}"><path d="{path}"/></g>')
    for state, (x, y) in PLACES.items():
        kind = "now" if state == now else "been" if state in known else "state-box"
        parts.append(
            f'<g class="{kind}"><rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
            f'<text x="{x + WIDTH / 2:g}" y="{y + 20}" text-anchor="middle">{state.value}</text></g>'
        )
    return "".join((*parts, "</svg>"))
