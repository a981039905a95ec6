"""A store on PostgreSQL without the library that reaches it."""

from __future__ import annotations

import sys

import pytest
from lamplighter import Runtime
from lamplighter.errors import MissingExtra


def test_a_missing_psycopg_is_said_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("psycopg", *(name for name in sys.modules if name.startswith("psycopg."))):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(
        MissingExtra, match=r"psycopg for a store on PostgreSQL.*pip install 'lamplighter\[postgresql\]'"
    ):
        Runtime("postgresql://db.example/jobs")
