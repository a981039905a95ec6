"""Builds what is published: an sdist and a wheel whose README leads to the repository from wherever it is shown.

    python docs/build_dist.py https://github.com/OWNER/NAME

In the repository the links are relative, so that they lead to the pages of the same commit. A package index shows the
README alone, so there they lead to the version's tag.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

LINK = re.compile(r"\]\((?P<path>[\w./-]+)(?P<anchor>#[\w-]+)?\)")
PICTURE = re.compile(r'(?P<name>src|srcset)="(?P<path>[\w./-]+)"')


def absolute(text: str, url: str, version: str) -> str:
    """A page at the root with links that lead to the tag of a version.

    Args:
        url: of the repository, as GitHub has it.
    """
    text = LINK.sub(rf"]({url}/blob/v{version}/\g<path>\g<anchor>)", text)
    return PICTURE.sub(rf'\g<name>="{url}/raw/v{version}/\g<path>"', text)


def main(url: str, out: Path = ROOT / "dist") -> None:
    """Build what the last commit has, into a folder."""
    if not re.fullmatch(r"https://[\w.-]+/[\w.-]+/[\w.-]+", url):
        sys.exit(f"expected the address of the repository, such as https://github.com/OWNER/NAME, got: {url!r}")
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        readme, metadata = Path(folder, "README.md"), Path(folder, "pyproject.toml")
        version = tomllib.loads(metadata.read_text("utf-8"))["project"]["version"]
        readme.write_text(absolute(readme.read_text("utf-8"), url, version), encoding="utf-8")
        with metadata.open("a", encoding="utf-8") as file:
            file.write(
                f'\n[project.urls]\nSource = "{url}"\nDocumentation = "{url}/tree/v{version}/docs"\n'
                f'Changelog = "{url}/blob/v{version}/CHANGELOG.md"\nIssues = "{url}/issues"\n'
            )
        subprocess.run([sys.executable, "-m", "build", "--outdir", str(out), folder], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:] or [""])
