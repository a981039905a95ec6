"""The page of a graph: a picture with a box for each level and name, and the same as a table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ...admin.graphs import FAILED, UNFINISHED, GraphView
from ...messages.jobs import JobState
from ...messages.queries import JobQuery
from .page import PageContent, PageVisit

BOX_WIDTH, BOX_HEIGHT = 190, 66

ACROSS, DOWN, LINE_DOWN = 14, 44, 14
"""The gaps between boxes: in a line, between levels, and between the lines of one level."""

IN_A_LINE_MAX = 5

BOXES_MAX = 120
"""The most boxes that are drawn: the first levels. The table has all of them."""

TIES_MAX = 400

NAME_CHARACTERS_MAX, COUNTS_CHARACTERS_MAX = 21, 25

BAR_WIDTH_MIN = 3
"""One dead job of ten thousand is seen."""

BAR_STATES = (JobState.DONE, JobState.DEAD, JobState.CANCELLED, JobState.RUNNING, JobState.QUEUED)


TOLD_STATES = (JobState.DEAD, JobState.CANCELLED, JobState.RUNNING, JobState.QUEUED, JobState.DONE)
"""What calls for an act comes first, where there is no room for all."""


class Bar(NamedTuple):
    state: str
    x: float
    width: float


class Box(NamedTuple):
    """The jobs of one name on one level.

    Attributes:
        x, y: the upper left corner.
        said: for those who hear the picture.
    """

    x: float
    y: float
    name: str
    counts: str
    said: str
    link: str
    bars: list[Bar]


class Picture(NamedTuple):
    width: float
    height: float
    boxes: list[Box]
    ties: list[tuple[str, float]]
    left_out: int


class NodeRow(NamedTuple):
    """A row of the table: each cell is a state, its count and a link to these jobs."""

    level: int
    name: str
    jobs: int
    link: str
    cells: list[tuple[str, int, str]]


def graph(visit: PageVisit) -> PageContent:
    with visit.searching():
        found = visit.inspector.graph(visit.rest)
    states = [state.value for state in JobState if found.of[state]]
    more = {
        "picture": drawn(found, visit),
        "states": states,
        "rows": [
            NodeRow(
                node.level,
                node.name,
                node.jobs,
                _link(visit, found, name=node.name),
                [(state, node.of.get(state, 0), _link(visit, found, state, node.name)) for state in states],
            )
            for node in found.nodes
        ],
        "all_link": _link(visit, found),
        "box_width": BOX_WIDTH,
        "box_height": BOX_HEIGHT,
        "has_failed": any(found.of[state] for state in FAILED),
        "has_unfinished": any(found.of[state] for state in UNFINISHED),
    }
    return PageContent("graph.html", f"Graph of {found.id}", found, more)


def _link(visit: PageVisit, found: GraphView, state: str | None = None, name: str | None = None) -> str:
    states, names = () if state is None else (JobState(state),), () if name is None else (name,)
    return visit.jobs_of(str(JobQuery(graph=found.id, names=names, states=states)))


def drawn(found: GraphView, visit: PageVisit) -> Picture:
    """The boxes, level under level, and the ties between them."""
    lines = list(_lines(found))
    wide = max(len(line) for _, line in lines)
    width = wide * (BOX_WIDTH + ACROSS) - ACROSS + 4
    boxes: dict[int, Box] = {}
    y, before = 2.0, 0
    for level, line in lines:
        if boxes:
            y += BOX_HEIGHT + (LINE_DOWN if level == before else DOWN)
        before = level
        x = (width - len(line) * (BOX_WIDTH + ACROSS) + ACROSS) / 2
        for place in line:
            node = found.nodes[place]
            counts = ", ".join(f"{node.of[state]:,} {state}" for state in TOLD_STATES if node.of.get(state))
            said = f"level {level}, {node.name}: {counts}"
            link = _link(visit, found, name=node.name)
            name, short = _cut(node.name, NAME_CHARACTERS_MAX), _cut(counts, COUNTS_CHARACTERS_MAX)
            boxes[place] = Box(x, y, name, short, said, link, list(_bars(node.of)))
            x += BOX_WIDTH + ACROSS
    ties = [(_way(boxes[a], boxes[b]), _thickness(n)) for a, b, n in found.edges if a in boxes and b in boxes]
    return Picture(width, y + BOX_HEIGHT + 2, list(boxes.values()), ties[:TIES_MAX], len(found.nodes) - len(boxes))


def _lines(found: GraphView) -> Iterator[tuple[int, list[int]]]:
    """The lines of boxes, by their places in `nodes`, each with its level."""
    line: list[int] = []
    for place, node in enumerate(found.nodes[:BOXES_MAX]):
        if line and (len(line) == IN_A_LINE_MAX or found.nodes[line[0]].level != node.level):
            yield found.nodes[line[0]].level, line
            line = []
        line.append(place)
    yield found.nodes[line[0]].level, line


def _bars(of: Mapping[str, int]) -> Iterator[Bar]:
    x, room, jobs = 10.0, BOX_WIDTH - 20 - BAR_WIDTH_MIN * len(of), sum(of.values())
    for state in BAR_STATES:
        if of.get(state):
            width = BAR_WIDTH_MIN + room * of[state] / jobs
            yield Bar(state.value, x, width)
            x += width


def _way(above: Box, below: Box) -> str:
    x, y, to_x, to_y = above.x + BOX_WIDTH / 2, above.y + BOX_HEIGHT, below.x + BOX_WIDTH / 2, below.y
    bend = DOWN * 0.6
    return f"M{x:.1f} {y:.1f} C{x:.1f} {y + bend:.1f} {to_x:.1f} {to_y - bend:.1f} {to_x:.1f} {to_y:.1f}"


def _thickness(jobs: int) -> float:
    return 1.5 + min(4.0, math.log10(jobs))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
