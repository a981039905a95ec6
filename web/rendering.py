"""Pages as HTML, and the files that they need. Text from jobs is escaped, all of it, always."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib.resources import files
from itertools import chain
from typing import Any

from ..errors import missing_extra
from ..messages.jobs import JobState
from .faces.http import Request, Response
from .pages.page import NotThere, PageContent, Visitor

WIDTH, HEIGHT = 720, 120


def columns(series: Mapping[str, Sequence[float]], labels: Sequence[str], *, title: str) -> str:
    """Stacked columns, one for each label, from the bottom up. The name of a series is also the class of its bars."""
    stacks = list(zip(*series.values(), strict=True))
    most = max(map(sum, stacks), default=0.0) or 1.0
    step = WIDTH / max(1, len(labels))
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title)}">'
    ]
    for at, (label, values) in enumerate(zip(labels, stacks, strict=True)):
        named = list(zip(series, values, strict=True))
        said = ", ".join([f"{number(value) if value else 0} {name}" for name, value in named])
        parts.append(f"<g><title>{escape(f'{label}: {said}')}</title>")
        # A column to point at, even if nothing happened.
        parts.append(_bar("whole", at * step, 0.0, step, HEIGHT))
        bottom = 0.0
        for name, value in named:
            height = value / most * HEIGHT
            if height:
                parts.append(_bar(name, at * step, HEIGHT - bottom - height, step * 0.8, height))
            bottom += height
        parts.append("</g>")
    return "".join((*parts, "</svg>"))


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


def _bar(name: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{escape(name)}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


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

KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


def rendered(request: Request, visitor: Visitor | None, page: PageContent, *, live: str = "") -> str:
    """A page as HTML. `live` is the address of its stream, if it has one."""
    template = _environment().get_template(page.template)
    text: str = template.render(
        page=page,
        model=page.model,
        visitor=visitor,
        may=frozenset(() if visitor is None else visitor.may),
        request=request,
        live="" if request.method == "POST" else live,
        link=request.link,
        path_of=request.path_of,
        static=lambda name: request.link(f"/static/{name}", v=_version(name)),
        **page.more,
    )
    return text


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
        number=number, instant=_instant, span=_span, plural=_plural, pretty=_pretty, progress=_progress
    )
    markup = importlib.import_module("markupsafe").Markup
    # These functions return SVG, and escape their arguments themselves.
    environment.globals.update(
        columns=lambda *given, **named: markup(columns(*given, **named)),
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


def _plural(count: int, one: str) -> str:
    return f"{number(count)} {one}{'' if count == 1 else 's'}"


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _progress(report: Any) -> str:
    total = "" if report.get("total") is None else f" of {report['total']:g}"
    return f"{report['done']:g}{total} {report.get('note') or ''}".strip()
