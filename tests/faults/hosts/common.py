"""What the hosts of the fault tests share."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator

NOTES = """
create table if not exists seen_endings (id text, claim_no integer, settled_no integer, before text, after text)
"""
TRIGGER = """
create trigger if not exists seen_ending after update of state on lamplighter_jobs
when new.state in ('done', 'dead', 'cancelled') or old.state in ('done', 'dead', 'cancelled')
begin
  insert into seen_endings values (new.id, new.claim_no, new.settled_no, old.state, new.state);
end
"""
"""The database itself notes each ending, inside the transaction that makes it: no process can hide one by dying."""


def say(*words: object) -> None:
    """One line to the test, in one write, so that a SIGKILL never leaves half of one."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def orders() -> Iterator[list[str]]:
    """The lines that the test sends, as words."""
    for line in sys.stdin:
        yield line.rstrip("\n").split(" ")


def install_oracle(store: str) -> None:
    """Have the database note every ending. It is the host's file too, so a trigger of the host's is welcome there."""
    connection = sqlite3.connect(store, timeout=60, isolation_level=None)
    connection.execute("begin immediate")
    connection.execute(NOTES)
    connection.execute(TRIGGER)
    connection.execute("commit")
    connection.close()
