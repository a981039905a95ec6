"""The archives that the tests read: the five given ones and those of fixtures/generate.mjs."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashbase.world import DATS

MADE = Path(__file__).parent / "fixtures"
GIVEN_MANIFEST: dict[str, Any] = json.loads((DATS / "MANIFEST.json").read_text())
MADE_MANIFEST: dict[str, Any] = json.loads((MADE / "MANIFEST.json").read_text())
USER_ID: str = GIVEN_MANIFEST["user_id"]
SECRET: str = GIVEN_MANIFEST["proofs"]["secret"]
PROOF: str = GIVEN_MANIFEST["proof_path"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An archive, the path to read, and what must come of it (sha256 where there are bytes)."""

    name: str
    key: str
    root: Path
    path: str
    read: str
    outcome: str
    sha256: str | None

    @property
    def url(self) -> str:
        return f"dat://{self.key}"

    @property
    def folder(self) -> Path:
        return self.root / self.path

    def copy_to(self, archives_dir: Path) -> Path:
        """Puts a copy into another folder of archives; gives the archive's own folder."""
        return Path(shutil.copytree(self.folder, archives_dir / self.key[:2] / self.key[2:]))


def _given(case: dict[str, Any]) -> Case:
    proof = case["archive"]["files"].get(PROOF)
    digest = proof["sha256"] if proof and proof["local"] else None
    outcome = case["expected"]["outcome"]
    return Case(
        name=case["name"], key=case["key"], root=DATS, path=case["path"], read=PROOF, outcome=outcome, sha256=digest
    )


def _made(case: dict[str, Any]) -> Case:
    return Case(root=MADE, **{name: value for name, value in case.items() if name != "why"})


CASES = [*map(_given, GIVEN_MANIFEST["cases"]), *map(_made, MADE_MANIFEST["cases"])]
BY_NAME = {case.name: case for case in CASES}
