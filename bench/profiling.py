"""Draws where a job's microseconds go: workloads under py-spy, a flame graph and a table of parts for each.

    python bench/profiling.py drain-1          one workload: bench/profile.svg, and tables of parts and functions
    python bench/profiling.py                  those of docs/performance.md: its table, and docs/plots/profile-*.svg

Only samples of threads that hold the interpreter's lock are taken: waits and the disk's syncs are left out, and what is
left adds up to the processor's time in Python. Imports and raw SQLite's turns are left out too.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

import lamplighter
import report
from catalog import WORKLOADS

HERE = Path(__file__).parent
PACKAGE = str(Path(lamplighter.__file__).parent)
SAMPLES_PER_SECOND = 500
LEFT_OUT = ("_find_and_load ", "RawSqlite.commits_per_second ")
LINES_TOLD = 30
PARTS_ON_PAGE = 12
LIBRARY = re.compile(r"\(/.*/(site-packages|python3\.\d+)/")
PAGE_WORKLOADS = ("enqueue-1", "bulk-500", "drain-1")

WIDTH, ROW, SMALLEST = 1200, 17, 1.5
STYLE = """
svg { background: #ffffff; font: 11px system-ui, sans-serif } text { fill: #1f2328 }
.ours { fill: #f3c390 } .other { fill: #d1d9e0 }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117 } text { fill: #e6edf3 } .ours { fill: #8a4b12 } .other { fill: #3d444d }
}
"""


class Sample(NamedTuple):
    """One stack, outermost first, and how often it was seen. A frame reads `function (file)`."""

    stack: tuple[str, ...]
    times: int


class Profile(NamedTuple):
    """Where one workload spent its time.

    Attributes:
        us_each: what one sample stands for, in microseconds of one job.
    """

    workload: str
    jobs: float
    us_each: float
    samples: list[Sample]

    def us_by(self, key: Callable[[tuple[str, ...]], str]) -> list[tuple[str, float]]:
        """Microseconds of a job, by what a key makes of a stack; the greatest first."""
        counted: Counter[str] = Counter()
        for one in self.samples:
            counted[key(one.stack)] += one.times
        return [(name, times * self.us_each) for name, times in counted.most_common()]

    @property
    def us(self) -> float:
        """Of a job, in all."""
        return sum(one.times for one in self.samples) * self.us_each


def main() -> None:
    """Run it, draw it, tell it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", nargs="?", choices=WORKLOADS, metavar="WORKLOAD")
    parser.add_argument("--system", default="lamplighter")
    parser.add_argument("--size", choices=("quick", "full"), default="full")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="on which disk")
    given = parser.parse_args()
    found = [
        profile(given.system, workload, given.size, given.folder)
        for workload in ([given.workload] if given.workload else PAGE_WORKLOADS)
    ]
    for one in found:
        picture = (
            HERE / "profile.svg" if given.workload else report.PAGE.parent / "plots" / f"profile-{one.workload}.svg"
        )
        picture.write_text(flame_graph(one), encoding="utf-8")
        print(f"\n{one.workload}: {one.us:.1f} us of Python for each of {one.jobs:,.0f} jobs; drew {picture}")
        for head, key in (("part", _part), ("function", _own_frame)):
            print(f"\n{head}")
            for name, us in one.us_by(key)[:LINES_TOLD]:
                print(f"{us:8.1f} us  {name}")
    if given.workload is None:
        page = report.Page(report.PAGE.read_text("utf-8"))
        page.put("profile", table(found))
        report.PAGE.write_text(page.text, encoding="utf-8")
        print(f"\nwrote {report.PAGE}")


def profile(system: str, workload: str, size: str, folder: str) -> Profile:
    """Run a workload under py-spy."""
    with tempfile.TemporaryDirectory() as place:
        result, samples = Path(place) / "result.json", Path(place) / "samples.txt"
        command = [
            _py_spy(),
            "record",
            "--gil",
            "--function",
            "--full-filenames",
            "--format",
            "raw",
            "--output",
            str(samples),
            "--rate",
            str(SAMPLES_PER_SECOND),
            "--",
            sys.executable,
            str(HERE / "one.py"),
            system,
            workload,
            size,
            str(result),
            folder,
        ]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if not result.exists():
            raise SystemExit(f"expected {workload} to run under py-spy, got:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
        jobs = json.loads(result.read_text("utf-8"))["figures"]["jobs"]
        found = list(read(samples.read_text("utf-8").splitlines()))
    return Profile(workload, jobs, 1e6 / SAMPLES_PER_SECOND / jobs, found)


def table(found: list[Profile]) -> str:
    """Parts down, workloads across; the greatest parts, and all the others together."""
    columns = [dict(one.us_by(_part)) for one in found]
    total: Counter[str] = Counter()
    for column in columns:
        total.update(column)
    named = [name for name, _ in total.most_common(PARTS_ON_PAGE)]
    rows = [(f"`{name}`", *(f"{column.get(name, 0.0):.1f}" for column in columns)) for name in named]
    others = [sum(us for name, us in column.items() if name not in named) for column in columns]
    rows.append(("others", *(f"{us:.1f}" for us in others)))
    rows.append(("all", *(f"{one.us:.1f}" for one in found)))
    return report.table(("us a job", *(WORKLOADS[one.workload].title for one in found)), rows)


def read(lines: Iterable[str]) -> Iterator[Sample]:
    """The samples of py-spy's raw format that belong to the jobs."""
    for line in lines:
        stack, _, times = line.rpartition(" ")
        if stack and not any(mark in stack for mark in LEFT_OUT):
            yield Sample(tuple(_short(frame) for frame in stack.split(";")), int(times))


def flame_graph(profile: Profile) -> str:
    """Outermost calls on top; as wide as the time that is spent in a call and in what it calls."""
    total = sum(one.times for one in profile.samples)
    boxes: Counter[tuple[str, ...]] = Counter()
    for one in profile.samples:
        for depth in range(1, len(one.stack) + 1):
            boxes[one.stack[:depth]] += one.times
    left: dict[tuple[str, ...], float] = {(): 0.0}
    filled: Counter[tuple[str, ...]] = Counter()
    parts, deepest = [], 0
    for path in sorted(boxes, key=lambda path: (len(path), -boxes[path])):
        parent, width = path[:-1], boxes[path] / total * WIDTH
        left[path] = left[parent] + filled[parent] / total * WIDTH
        filled[parent] += boxes[path]
        if width < SMALLEST:
            continue
        deepest = max(deepest, len(path))
        at, y = left[path], (len(path) - 1) * ROW
        kind = "ours" if " (lamplighter/" in path[-1] else "other"
        title = escape(f"{path[-1]}: {boxes[path] * profile.us_each:.1f} us a job")
        label = escape(path[-1][: int(width / 6.2)]) if width > 30 else ""
        parts.append(
            f'<g><title>{title}</title><rect class="{kind}" x="{at:.1f}" y="{y}" width="{width - 0.5:.1f}" '
            f'height="{ROW - 1}"/><text x="{at + 3:.1f}" y="{y + 12}">{label}</text></g>'
        )
    size = f'viewBox="0 0 {WIDTH} {deepest * ROW}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{STYLE}</style>\n{chr(10).join(parts)}\n</svg>\n'


def _own_frame(stack: tuple[str, ...]) -> str:
    """The innermost call of Lamplighter's: what it calls of others, SQLite too, is its own cost."""
    return next((frame for frame in reversed(stack) if " (lamplighter/" in frame), stack[-1])


def _part(stack: tuple[str, ...]) -> str:
    return _own_frame(stack).partition(" (")[2].partition(":")[0]


def _short(frame: str) -> str:
    """With the file as a reader on another machine knows it."""
    frame = frame.replace(f"{PACKAGE}/bench/", "bench/").replace(f"{PACKAGE}/", "lamplighter/")
    return LIBRARY.sub("(", frame)


def _py_spy() -> str:
    found = shutil.which("py-spy", path=sysconfig.get_path("scripts")) or shutil.which("py-spy")
    if found is None:
        raise SystemExit('expected py-spy to be installed; it comes with: pip install -e ".[bench]"')
    return found


if __name__ == "__main__":
    main()
