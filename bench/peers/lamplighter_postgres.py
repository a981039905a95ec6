"""Lamplighter on PostgreSQL, with its events at info in a file."""

from __future__ import annotations

from pathlib import Path

from lamplighter import Runtime

from .lamplighter import Lamplighter


class LamplighterOnPostgres(Lamplighter):
    title = "Lamplighter (PostgreSQL)"
    durability = "PostgreSQL, synchronous_commit on: survives a power cut; a job is claimed, run, and recorded as done"

    def __init__(self, folder: Path, url: str = "") -> None:
        self.url = url
        self.runtime = Runtime(url, logger=self._logger(folder)).start()
        self.jobs = self.runtime.jobs
