"""Dat URLs, and the folders that archives lie in."""

from __future__ import annotations

import re
from pathlib import Path

from .errors import BadAddress

# Exactly 64 hex digits and nothing after them but one slash: a key becomes a folder name, so nothing else may pass.
_DAT_URL = re.compile(r"dat://([0-9a-f]{64})/?", re.IGNORECASE | re.ASCII)
_KEY = re.compile(r"[0-9a-f]{64}", re.ASCII)


def dat_key(url: object) -> str:
    """Says which dat a URL names: `dat://<key>` and `dat://<key>/` are the same dat.

    Args:
        url: `dat://` and 64 hex digits in any case, with or without one slash at the end.

    Returns:
        The archive's key, 64 hex digits in lower case.

    Raises:
        BadAddress: anything else, also host names, which only a network could resolve.
    """
    match = _DAT_URL.fullmatch(url) if isinstance(url, str) else None
    if match is None:
        raise BadAddress(f"expected a dat URL, dat:// and 64 hex digits, got: {url!r:.120}")
    return match.group(1).lower()


def folder_of(archives_dir: Path, key: str) -> Path:
    """Says where an archive lies: `<archives_dir>/<first 2 hex digits>/<other 62>`.

    Args:
        archives_dir: the folder that holds all archives.
        key: 64 hex digits in lower case.

    Raises:
        BadAddress: for any other key. It guards the deletion of files, so it does not correct what it is given.
    """
    if _KEY.fullmatch(key) is None:
        raise BadAddress(f"expected a key of 64 lower-case hex digits, got: {key!r:.120}")
    return archives_dir / key[:2] / key[2:]
