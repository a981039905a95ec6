"""The files of the package itself: what lies in the checkout beside it (tests, a virtual environment) is left out."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BESIDE = {"bench", "build", "dist", "docs", "examples", "tests"}


def package_files() -> list[Path]:
    """Every module of it, by path. Folders beside it are not walked through: one may be a whole environment."""
    rooms = [path for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "." and path.name not in BESIDE]
    return sorted([*ROOT.glob("*.py"), *(path for room in rooms for path in room.rglob("*.py"))])
