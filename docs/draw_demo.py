"""Draws the picture in the README: what `make demo` has just said of a kill, the start after it, and the audit.

    python docs/draw_demo.py

It runs the demo, as `make demo` does, and writes docs/pictures/demo-light.svg and demo-dark.svg.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI, TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = 108

PARTS = ("4", "5", "8")
"""The numbers of the demo's parts that are drawn. All of it would be a hundred and seventy lines."""

LIGHT = TerminalTheme(
    (255, 255, 255),
    (36, 41, 47),
    [
        (36, 41, 47),
        (207, 34, 46),
        (17, 99, 41),
        (130, 80, 0),
        (9, 105, 218),
        (130, 80, 223),
        (27, 124, 131),
        (87, 96, 106),
    ],
    [
        (87, 96, 106),
        (164, 14, 38),
        (26, 127, 55),
        (154, 103, 0),
        (33, 139, 255),
        (164, 117, 249),
        (49, 146, 170),
        (36, 41, 47),
    ],
)
THEMES = {"light": LIGHT, "dark": DIMMED_MONOKAI}

STYLE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""Fonts that a page would fetch from elsewhere."""


def demo() -> str:
    """What the demo says on a terminal with colours."""
    terminal = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)}
    environment = {**os.environ, **terminal, "PYTHONPATH": str(ROOT / "examples")}
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            [sys.executable, "-P", "-m", "hashbase.demo"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return ran.stdout


def parts(said: str) -> list[Text]:
    """The lines of the parts that are drawn."""
    kept, is_kept = [], False
    for line in Text.from_ansi(said).split("\n"):
        if heading := re.match(r"(\d)  \S", line.plain):
            is_kept = heading[1] in PARTS
        if is_kept:
            kept.append(line)
    return kept


def draw(lines: list[Text], theme: TerminalTheme) -> str:
    """The lines as a picture of a terminal."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for line in lines:
        console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
    svg = STYLE.sub("", console.export_svg(title="make demo", theme=theme, unique_id="demo"))
    # Its edge is white, which nobody would see around the light one.
    return svg.replace("rgba(255,255,255,0.35)", "rgba(128,128,128,0.35)")


def main() -> None:
    """Run the demo, and draw it twice."""
    lines = parts(demo())
    folder = ROOT / "docs" / "pictures"
    folder.mkdir(exist_ok=True)
    for name, theme in THEMES.items():
        (folder / f"demo-{name}.svg").write_text(draw(lines, theme), encoding="utf-8")


if __name__ == "__main__":
    main()
