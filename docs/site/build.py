"""Builds the site of the documentation: stages the pages, with those that lie outside of docs/, and runs Sphinx."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STAGE, SITE = ROOT / "build" / "pages", ROOT / "build" / "site"

AT_THE_ROOT = {"README": "index", "CHANGELOG": "changelog", "CONTRIBUTING": "contributing"}
"""Pages at the root, and what the site calls them."""

CONTENTS = {
    "Use": [
        "quickstart",
        "tutorial",
        "once",
        "flow",
        "graphs",
        "limits",
        "scheduling",
        "testing",
        "changing-payloads",
        "embedding",
        "transactions",
        "fastapi",
        "flask",
        "django",
        "notebooks",
        "recipes",
        "examples",
        "coming-from",
        "reference",
        "glossary",
    ],
    "Operate": [
        "production",
        "page",
        "command-line",
        "doctor",
        "mcp",
        "troubleshooting",
        "debugging",
        "events",
        "metrics",
        "opentelemetry",
        "sentry",
        "configuration",
        "guarantees",
        "performance",
        "scaling-out",
        "postgresql",
        "changelog",
    ],
    "Inside": ["inside"],
}
"""The three tiers of the navigation."""

BELOW = {
    "coming-from": [
        f"coming-from/{name}"
        for name in ("celery", "huey", "apscheduler", "rq", "dramatiq", "procrastinate", "django-q")
    ],
    "reference": [
        *(f"reference/{name}" for name in ("runtime", "jobs", "scheduler", "operator", "errors")),
        *(f"reference/{name}" for name in ("django", "flask", "opentelemetry", "prometheus", "sentry", "testing")),
    ],
    "inside": ["architecture", "lifecycle", "decisions", "reliability", "mutants", "contributing"],
}
"""Entries of the navigation that have pages of their own below them."""

LISTS = {
    "coming-from": "# Coming from another queue\n\nCode of the queue that you know, beside that of Lamplighter.\n",
    "reference": "# Reference of the API\n\nEach public name, from its docstring.\n",
    "examples": "# Example applications\n\nEach runs in its folder of the repository.\n",
}
"""Pages that only the site has: each lists others."""

TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\((?P<path>[\w./-]+)(?P<anchor>#[\w-]+)?\)")
PICTURE = re.compile(r'(?P<name>src|srcset)="(?P<path>[\w./-]+\.(?:svg|png))"')
PICTURES = ("pictures", "plots")


def main() -> int:
    """Build; the exit code. A warning is an error."""
    shutil.rmtree(STAGE, ignore_errors=True)
    pages = {path: Path(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    pages |= {ROOT / f"{name}.md": Path(f"{there}.md") for name, there in AT_THE_ROOT.items()}
    pages |= {path: Path("examples", f"{path.parent.name}.md") for path in ROOT.glob("examples/*/README.md")}
    decisions = ROOT / "docs" / "decisions" / "README.md"
    pages[decisions] = Path("decisions.md")
    for source, there in pages.items():
        _stage(there, _relinked(source, there, pages))
    for name, head in LISTS.items():
        _stage(Path(f"{name}.md"), f"{head}{_toctree(BELOW.get(name) or _names(pages, name))}")
    for name in ("inside", "decisions"):
        with (STAGE / f"{name}.md").open("a", encoding="utf-8") as page:
            page.write(_toctree(BELOW.get(name) or _names(pages, name), ":hidden:\n"))
    with (STAGE / "index.md").open("a", encoding="utf-8") as index:
        for caption, names in CONTENTS.items():
            index.write(_toctree(names, f":caption: {caption}\n:hidden:\n"))
    shutil.copy(ROOT / "docs" / "site" / "conf.py", STAGE)
    for folder in PICTURES:
        # Pages show them by HTML, which Sphinx does not look into.
        shutil.copytree(ROOT / "docs" / folder, SITE / folder, dirs_exist_ok=True)
    command = [sys.executable, "-P", "-m", "sphinx", "-q", "-W", "--keep-going", "-E", str(STAGE), str(SITE)]
    return subprocess.run(command, check=False).returncode


def _stage(there: Path, text: str) -> None:
    (STAGE / there).parent.mkdir(parents=True, exist_ok=True)
    (STAGE / there).write_text(text, encoding="utf-8")


def _relinked(source: Path, there: Path, pages: dict[Path, Path]) -> str:
    """The page with links that lead to where the site has the others; what it does not have is no link."""

    def link(found: re.Match[str]) -> str:
        wanted = (source.parent / found["path"]).resolve()
        if wanted in pages:
            up = "../" * (len(there.parts) - 1)
            return f"]({up}{pages[wanted].as_posix()}{found['anchor'] or ''})"
        return "](#)" if wanted.exists() and wanted.suffix not in (".svg", ".png") else found[0]

    def picture(found: re.Match[str]) -> str:
        wanted = (source.parent / found["path"]).resolve().relative_to(ROOT / "docs")
        return f'{found["name"]}="{"../" * (len(there.parts) - 1)}{wanted.as_posix()}"'

    text = PICTURE.sub(picture, LINK.sub(link, source.read_text("utf-8")))
    return re.sub(r"\[([^]]*)\]\(#\)", r"\1", text)


def _names(pages: dict[Path, Path], folder: str) -> list[str]:
    return sorted(str(there.with_suffix("")) for there in pages.values() if there.parts[0] == folder)


def _toctree(names: list[str], options: str = "") -> str:
    return f"\n```{{toctree}}\n{options}\n" + "\n".join(names) + "\n```\n"


if __name__ == "__main__":
    sys.exit(main())
