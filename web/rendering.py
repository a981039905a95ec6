"""Pages as HTML, and the files that they need. Text from jobs is escaped, all of it, always."""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib.resources import files
from itertools import chain
from typing import Any

from ..errors import missing_extra
from ..messages.jobs import Instant, JobState
from .faces.http import Request, Response
from .pages.page import NotThere, PageContent, Visitor

WIDTH, HEIGHT = 720, 120


def columns(
    series: Mapping[str, Sequence[float]], labels: Sequence[str], *, title: str, line: Sequence[float] = ()
) -> str:
    """Stacked columns, one for each label, from the bottom up, and a line above them. The name of a series is also the
    class of its bars."""
    stacks = list(zip(*series.values(), strict=True))
    most = nice(max([*map(sum, stacks), *line], default=0.0))
    step = WIDTH / max(1, len(labels))
    parts = []
    for at, values in enumerate(stacks):
        bottom = 0.0
        for name, value in zip(series, values, strict=True):
            height = value / most * HEIGHT
            if height:
                parts.append(
                    f'<rect class="{name}" x="{at * step:.1f}" y="{HEIGHT - bottom - height:.1f}" '
                    f'width="{step * 0.8:.1f}" height="{height:.1f}"/>'
                )
            bottom += height
    if any(line):
        parts.append(_line("line", [HEIGHT - value / most * HEIGHT for value in line], step))
    return _chart(parts, labels, step, title, {**series, **({"started": line} if line else {})})


def curves(series: Mapping[str, Sequence[float | None]], labels: Sequence[str], decades: range, *, title: str) -> str:
    """Lines over a logarithmic scale; a line is broken where nothing is known."""
    step = WIDTH / max(1, len(labels))
    height = HEIGHT / max(1, len(decades) - 1)
    parts = []
    for name, values in series.items():
        heights = [
            None if value is None else HEIGHT - (math.log10(max(value, 10.0 ** decades[0])) - decades[0]) * height
            for value in values
        ]
        parts.append(_line(name, heights, step))
    return _chart(parts, labels, step, title, series)


def nice(most: float) -> float:
    """The upper end of a scale: an even number or one, times a power of ten; at least 1."""
    power = 10.0 ** math.floor(math.log10(max(most, 1.0)))
    return next(size * power for size in (1, 2, 4, 6, 8, 10) if size * power >= most)


def decades_of(series: Iterable[Sequence[float | None]]) -> range:
    """The powers of ten up to the highest value, an even number of steps from a millisecond: sums know no less."""
    high = max(-1, math.ceil(math.log10(max((value for one in series for value in one if value), default=1e-3))))
    return range(-3, high + 1 + (high + 3) % 2)


def ticks_of(decades: range) -> Sequence[str]:
    """The labels of a logarithmic scale from its upper end down, at most five steps apart evenly."""
    step = 1 if len(decades) <= 4 else (len(decades) - 1) // 2
    return [_span(10.0**power) for power in reversed(decades[::step])]


def most_of(counts: Mapping[str, Sequence[float]]) -> float:
    """The upper end of the scale of the chart with these counts."""
    started, *stacked = counts.values()
    return nice(max([*map(sum, zip(*stacked, strict=True)), *started], default=0.0))


def _line(name: str, heights: Sequence[float | None], step: float) -> str:
    runs: list[list[str]] = [[]]
    for at, height in enumerate(heights):
        if height is None:
            runs.append([])
        else:
            runs[-1] += [f"{at * step:.1f},{height:.1f}", f"{(at + 0.8) * step:.1f},{height:.1f}"]
    return "".join(f'<polyline class="{name}" points="{" ".join(run)}"/>' for run in runs if run)


def _chart(
    parts: Iterable[str],
    labels: Sequence[str],
    step: float,
    title: str,
    series: Mapping[str, Sequence[float | None]],
) -> str:
    """A picture with a column to point at for each label with something in it."""
    wholes = []
    for at, (label, values) in enumerate(zip(labels, zip(*series.values(), strict=True), strict=True)):
        if any(values):
            said = ", ".join([f"{value:.3g} {name}" for name, value in zip(series, values, strict=True) if value])
            wholes.append(
                f"<g><title>{escape(label)}: {said}</title>"
                f'<rect class="whole" x="{at * step:.1f}" y="0" width="{step:.1f}" height="{HEIGHT}"/></g>'
            )
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title)}">{"".join([*parts, *wholes])}</svg>'
    )


def sparkline(values: Sequence[float], *, title: str) -> str:
    if not values:
        return ""
    most = max(values) or 1.0
    step = 100 / max(1, len(values) - 1)
    points = " ".join(f"{at * step:.1f},{20 - value / most * 18:.1f}" for at, value in enumerate(values))
    return (
        f'<svg class="spark" viewBox="0 0 100 20" preserveAspectRatio="none" role="img" aria-label="{escape(title)}">'
        f'<title>{escape(title)}</title><polyline points="{points}"/></svg>'
    )


def number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


PLACES = {
    JobState.QUEUED: (10, 45),
    JobState.RUNNING: (210, 45),
    JobState.DONE: (410, 5),
    JobState.DEAD: (410, 45),
    JobState.CANCELLED: (410, 85),
}
"""Where the upper left corner of each is."""

BOX_WIDTH, BOX_HEIGHT = 120, 30

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
            f'<g class="{kind}"><rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>'
            f'<text x="{x + BOX_WIDTH / 2:g}" y="{y + 20}" text-anchor="middle">{state.value}</text></g>'
        )
    return "".join((*parts, "</svg>"))


HERE = __package__

ID_CHARACTERS_MAX = 18

KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


def rendered(request: Request, visitor: Visitor | None, page: PageContent, at: Instant, *, live: str = "") -> str:
    """A page as HTML, as of an instant. `live` is the address of its stream, if it has one."""
    template = _environment().get_template(page.template)
    text: str = template.render(
        page=page,
        model=page.model,
        at=at,
        visitor=visitor,
        may=frozenset(() if visitor is None else visitor.may),
        request=request,
        live="" if request.method == "POST" else live,
        link=request.link,
        path_of=request.path_of,
        static=lambda name: request.link(f"/static/{name}", v=_version(name)),
        **page.more,
    )
    return TABLE.sub(_labelled, text)


TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
HEAD = re.compile(r"<th [^>]*>(?:<(?!/th)[^>]*>)*([^<]*)<")


def _labelled(table: re.Match[str]) -> str:
    """A table whose cells know the heads of their columns: on a phone each row is a card without the heads."""
    head, row, rest = table[0].partition("</thead>")
    names, rows = HEAD.findall(head), rest.split("<tr")
    for at, text in enumerate(rows):
        first, *cells = text.split("<td")
        # A cell over all columns says by itself what is not there.
        if len(cells) == len(names):
            cells = [f' data-head="{name}"{cell}' for name, cell in zip(names, cells, strict=True)]
        rows[at] = "<td".join([first, *cells])
    return f"{head}{row}{'<tr'.join(rows)}"


def check_renders() -> None:
    _environment()


def static_file(name: str, known: str | None) -> Response:
    """A stylesheet or script. A browser keeps it for a year: its address changes when it does."""
    kind = KINDS.get(name.rpartition(".")[2])
    if kind is None or "/" in name or (content := _content(name)) is None:
        raise NotThere(f"no file {name!r}")
    tag = f'"{_version(name)}"'
    headers = {"ETag": tag, "Cache-Control": "public, max-age=31536000, immutable"}
    if known == tag:
        return Response(status=304, headers=headers)
    return Response(kind=kind, body=content, headers=headers)


@cache
def _content(name: str) -> bytes | None:
    found = files(HERE).joinpath("static", name)
    return found.read_bytes() if found.is_file() else None


@cache
def _version(name: str) -> str:
    return hashlib.blake2b(_content(name) or b"", digest_size=6).hexdigest()


@cache
def _environment() -> Any:
    try:
        jinja2 = importlib.import_module("jinja2")
    except ImportError as error:
        raise missing_extra("Jinja2", "the page", "web") from error
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number, instant=_instant, span=_span, plural=_plural, pretty=_pretty, progress=_progress, short=_short
    )
    markup = importlib.import_module("markupsafe").Markup
    # These functions return SVG, and escape their arguments themselves.
    environment.globals.update(
        columns=lambda *given, **named: markup(columns(*given, **named)),
        curves=lambda *given, **named: markup(curves(*given, **named)),
        decades_of=decades_of,
        ticks_of=ticks_of,
        most_of=most_of,
        sparkline=lambda *given, **named: markup(sparkline(*given, **named)),
        machine=lambda *given: markup(machine(*given)),
    )
    return environment


def _instant(instant: float | None) -> str:
    """An instant in UTC, as a browser's script then shows it in local time."""
    return "" if instant is None else datetime.fromtimestamp(instant, UTC).isoformat(timespec="seconds")


def _span(seconds: float | None) -> str:
    """How long something takes, to two places."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, size, above in (("s", 1.0, 120.0), ("min", 60.0, 7200.0), ("h", 3600.0, 172800.0)):
        if seconds < above:
            return f"{seconds / size:.1f} {unit}".replace(".0 ", " ")
    return f"{seconds / 86400:.1f} d".replace(".0 ", " ")


def _short(id: str) -> str:
    """An id as a list shows it: cut in the middle, since ids of one process begin alike."""
    return id if len(id) <= ID_CHARACTERS_MAX else f"{id[:4]}…{id[5 - ID_CHARACTERS_MAX :]}"


def _plural(count: int, one: str) -> str:
    return f"{number(count)} {one}{'' if count == 1 else 's'}"


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _progress(report: Any) -> str:
    total = "" if report.get("total") is None else f" of {report['total']:g}"
    return f"{report['done']:g}{total} {report.get('note') or ''}".strip()
