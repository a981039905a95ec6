"""How the demo looks in a terminal."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from rich.box import ROUNDED
from rich.console import Console, Group
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from .audit import Check, Step
from .fates import Fate
from .life import Line

WIDTH = 112
PACE_SECONDS = 0.05
"""Between two lines on a terminal, so that an eye can follow. Nothing waits for it anywhere else."""

COLOURS = {
    "job.queued": "white",
    "job.started": "blue",
    "job.done": "green",
    "job.failed": "yellow",
    "job.dead": "red",
    "job.fenced": "magenta",
    "job.waiting": "yellow",
    "actor.crashed": "bold red",
    "actor.restarted": "bold green",
    "lane.returned": "magenta",
    "runtime.started": "bold cyan",
    "runtime.recovered": "bold green",
    "runtime.stopped": "cyan",
    "demo.held": "bold yellow",
    "job.claimed": "white",
}
"""The events that are shown, and how; the log has more."""

STATES = {"done": "green", "dead": "red", "deleted": "yellow", "kept": "green", "profile verified": "green"}

_MODULES = re.compile(r"^(\w+\.)+(?=\w+:)")

STREAMED = COLOURS.keys() - {"job.claimed", "job.queued"}


class View:
    """Draws on one console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._began: float | None = None

    def title(self, plan: str) -> None:
        """Draws the head."""
        self.console.print(
            Panel(Text(plan), title="[bold]Lamplighter[/] · Hashbase's jobs", border_style="cyan", padding=(1, 2))
        )

    def scene(self, title: str, text: str = "") -> None:
        """Begins a scene."""
        self.console.print()
        self.console.print(Rule(Text(title, style="bold"), style="cyan", align="left"))
        if text:
            self.say(text)

    def say(self, text: str) -> None:
        """Says something in between."""
        self.console.print(Padding(Text.from_markup(text), (0, 0, 0, 1)))

    def line(self, line: Line) -> None:
        """Draws a log line as it comes, if its kind is shown."""
        if self._began is None:
            self._began = line["ts"]
        if line["event"] not in STREAMED:
            return
        subject = str(line.get("job_id") or line.get("child") or "").removeprefix("handler:")
        at, gap = f"{line['ts'] - self._began:7.3f} s", " " if self._is_narrow else "  "
        life = Text(f"{line['life']}", style=_life(line).style) if self._is_narrow else _life(line)
        text = Text.assemble(
            (at[:-2] if self._is_narrow else at, "dim"),
            gap,
            life,
            gap,
            _event(line),
            (f"{subject:19} ", "bold"),
            details(line),
        )
        self.console.print(text, no_wrap=True, overflow="ellipsis")
        if self.console.is_terminal:
            time.sleep(PACE_SECONDS)

    def fates(self, title: str, columns: Sequence[str], fates: Sequence[Fate]) -> None:
        """Draws a table of what became of things."""
        table = Table(
            title=title, title_justify="left", title_style="bold", width=self._width(), border_style="dim", box=ROUNDED
        )
        for number, name in enumerate(columns):
            # What says most gets the room that is left.
            room = 1 if number == (4 if len(columns) > 4 else 1) else None
            table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=room)
        table.add_column("", width=1)
        for fate in fates:
            cells = [
                Text(fate.name, style="bold"),
                Text(fate.about, style="dim"),
                Text(fate.expected, style="dim"),
                Text(fate.found, style=STATES.get(fate.found, "") if fate.ok else "bold red"),
                Text(fate.why),
            ]
            table.add_row(*cells[: len(columns)], _mark(fate.ok))
        self.console.print()
        self.console.print(table)

    def biography(self, job_id: str, steps: Sequence[Step]) -> None:
        """Draws a job's life."""
        rows = []
        for step in steps:
            line = step.line
            after = f"+{step.after * 1000:.1f} ms" if step.after < 1 else f"+{step.after:.2f} s"
            turn = f"turn {line['turn']}" if "turn" in line else ""
            rows.append(
                Text.assemble(
                    f"{step.at:7.3f} s  ",
                    (f"{after:>11}  ", "dim"),
                    _life(line),
                    (f"  {turn:8}", "dim"),
                    _event(line),
                    details(line),
                    no_wrap=True,
                    overflow="ellipsis",
                )
            )
        body = Group(*rows)
        title = Text(job_id, style="bold")
        self.console.print(Panel(body, title=title, title_align="left", border_style="dim", width=self._width()))

    def checks(self, checks: Sequence[Check]) -> None:
        """Draws what must hold, and whether it does."""
        for check in checks:
            found = (check.found, "dim" if check.holds else "red")
            text = Text.assemble(" ", _mark(check.holds), f"  {check.what:60}", found)
            self.console.print(text, no_wrap=check.holds, overflow="ellipsis")

    def verdict(self, well: bool, text: str) -> None:
        """Draws the end."""
        self.console.print()
        self.console.print(
            Panel(Text(text, justify="center"), border_style="bold green" if well else "bold red", width=self._width())
        )

    @property
    def _is_narrow(self) -> bool:
        return self.console.width < 100

    def _width(self) -> int:
        return min(WIDTH, self.console.width)


def details(line: Line) -> str:
    """What a line says beyond its name, in words."""
    match line["event"]:
        case "job.queued":
            return "accepted and durable"
        case "job.claimed":
            return f"claim {line['claim_no']}"
        case "job.started":
            return f"attempt {line['attempt']}, claim {line['claim_no']}"
        case "job.done":
            return f"claim {line['claim_no']}, took {line['took'] * 1000:.1f} ms"
        case "job.failed":
            why = _MODULES.sub("", line.get("error") or line.get("reason") or "")
            return f"{line['outcome']}: {why}; again in {max(0.0, line['run_at'] - line['ts']):.1f} s"
        case "job.dead":
            return f"{line.get('reason')}"
        case "job.waiting":
            return f"claim {line['claim_no']} waits: the old lane still runs"
        case "lane.returned":
            return f"the old lane ended, {line['after']:.1f} s after it began"
        case "job.fenced":
            return f"claim {line['claim_no']} is over, {line['claim_no_now']} holds the job: nothing changed"
        case "actor.crashed":
            return f"{line['reason']}"
        case "actor.restarted":
            return f"incarnation {line['child_incarnation']} runs"
        case "runtime.started":
            return f"boot {line['boot']}, pid {line['pid']}"
        case "runtime.recovered":
            return f"pid {line['dead_pid']} is dead; running jobs taken back: {line['jobs']}"
        case "runtime.stopped":
            return f"{line.get('interrupted', 0)} jobs interrupted"
        case "turn.committed":
            return f"said for boot {line['of']}, which died before it could have"
        case "profile.verified":
            return "the host's own line; it carries the job's id too"
        case "demo.held":
            return "held still in the middle of its work"
    return ""


def _life(line: Line) -> Text:
    return Text(f"life {line['life']}", style="cyan" if line["life"] == 1 else "bright_magenta")


def _event(line: Line) -> Text:
    return Text(f"{line['event']:19}", style=COLOURS.get(line["event"], "white"))


def _mark(ok: bool) -> Text:
    return Text("✓", style="bold green") if ok else Text("✗", style="bold red")
