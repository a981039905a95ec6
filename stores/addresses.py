"""Where a store may be, as people say it."""

from __future__ import annotations

import os
from typing import Any

from ..errors import UsageError, shown
from .ports import SERVER_SCHEMES

STORES = 'a path, "sqlite:///path", ":memory:" or "amqp://user:password@host/vhost"'


def address_of(store: Any) -> str:
    """The address of a store, as people give it.

    Raises:
        UsageError: it cannot be one.
    """
    text = os.fspath(store) if isinstance(store, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text or not _is_path(text):
        raise UsageError(f"expected a store: {STORES}, got: {shown(store)}")
    scheme, found, rest = text.partition("://")
    if not found:
        return text
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return rest[1:]
    if scheme in SERVER_SCHEMES:
        return text
    # The rest of a URL is not shown: it may hold a password.
    raise UsageError(f"expected a store: {STORES}, got: {scheme}://...")


def _is_path(text: str) -> bool:
    """Whether the operating system could take it, and logs and answers could say it: it is UTF-8."""
    try:
        return b"\0" not in os.path.abspath(text).encode() + os.fsencode(text)
    except UnicodeEncodeError:
        return False
    except FileNotFoundError:
        raise UsageError(f"expected a whole path, as the current folder was removed, got: {shown(text)}") from None
