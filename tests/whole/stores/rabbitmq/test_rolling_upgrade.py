"""A rolling upgrade: this version and one with more fields and kinds, side by side, and whichever leads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ....campaign.mutants import Mutant, plant
from ....faults.kit import Host, count, eventually
from .kit import HOSTS, Effects

ORDERS = [("this", "next"), ("next", "this")]
"""Which version is first, and makes what both find."""

NEXT_VERSION = Mutant(
    "versions",
    "the next version",
    "messages/schedules.py",
    "    change_no: int = 0\n",
    "    change_no: int = 0\n    tenant: str = 'next'\n",
    (
        # What is one more field of a schedule, of a slot, of a boot, of a record and of a job.
        ("messages/schedules.py", "    job_id: str | None\n", "    job_id: str | None\n    tenant: str = 'next'\n"),
        ("stores/rabbitmq/ledger_records.py", '"changed_at": 0.0,', '"changed_at": 0.0, "tenant": "none",'),
        ("messages/boots.py", "control: str | None = None", "control: str | None = None\n    tenant: str = 'next'"),
        ("stores/rabbitmq/ledger_records.py", '"python": "", "control"', '"python": "", "tenant": "none", "control"'),
        (
            "stores/rabbitmq/ledger_records.py",
            '"reason": None, "job_id": None}',
            '"reason": None, "job_id": None, "tenant": "none"}',
        ),
        (
            "stores/rabbitmq/ledger_records.py",
            "    return json.dumps(record,",
            "    return json.dumps({**record, 'tenant': 'next'},",
        ),
        (
            "stores/rabbitmq/job_message.py",
            '{**(beside or {}), "format": FORMAT}',
            '{**(beside or {}), "format": FORMAT, "tenant": "next"}',
        ),
        # And a kind of record that this version does not know, which the next writes all the time.
        (
            "stores/rabbitmq/turn_schedules.py",
            "        self._turn.ops.records.append(schedule_record(schedule))\n",
            "        self._turn.ops.records.append(schedule_record(schedule))\n"
            "        self._turn.ops.records.append({'is': 'weather', 'sun': True})\n",
        ),
        (
            "stores/rabbitmq/turn_schedules.py",
            '            self._turn.ops.records.append({"is": "account"',
            "            self._turn.ops.records.append({'is': 'weather', 'sun': True})\n"
            '            self._turn.ops.records.append({"is": "account"',
        ),
    ),
)


class Versions:
    """Hosts of this version (`this`) and of the next one (`next`)."""

    def __init__(self, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._url = url
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._homes = {"next": plant(NEXT_VERSION, folder / "next")}
        self._rounds = 0
        self.effects = Effects(folder / "effects")
        self.hosts: dict[str, Host] = {}

    def start(self, version: str) -> None:
        """Start a host of a version."""
        folder = self._folder / f"{version}-host"
        folder.mkdir(exist_ok=True)
        with self._monkeypatch.context() as patch:
            if version in self._homes:
                patch.setenv("PYTHONPATH", str(self._homes[version]))
            script = str(HOSTS / "versions.py")
            self.hosts[version] = Host(script, self._url, self.effects.path, version, folder=folder)
        self.hosts[version].expect("started")

    def stop(self, version: str) -> None:
        """Let a host end by itself."""
        host = self.hosts.pop(version)
        assert host.end() == 0, host.errors()[-3000:]
        host.__exit__()

    def check(self) -> None:
        """Each runs the jobs that each has queued, and the schedule of each fires."""
        self._rounds += 1
        word = f"round-{self._rounds}"
        wanted = {(word, by, of) for by in self.hosts for of in self.hosts}
        ticks = {version: len(self.effects.lines(f"tick-{version}")) for version in self.hosts}
        for host in self.hosts.values():
            host.say(f"{word} {' '.join(self.hosts)}")

        def done() -> bool:
            fire = all(len(self.effects.lines(f"tick-{one}")) > before for one, before in ticks.items())
            return fire and wanted <= {tuple(words) for words in self.effects.lines("ran")}

        eventually(done, what=f"{word} of {sorted(self.hosts)}")


@pytest.fixture
def versions(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Versions]:
    with ExitStack() as stack:
        found = Versions(url, tmp_path, monkeypatch)
        stack.callback(lambda: [host.__exit__() for host in found.hosts.values()])
        yield found


@pytest.mark.parametrize(("first", "second"), ORDERS[: count(1, 2)])
def test_two_versions_work_side_by_side_and_either_restarts(versions: Versions, first: str, second: str) -> None:
    versions.start(first)
    versions.start(second)
    versions.check()

    # Now the other leads; the first comes back beside it, and the other beside that one.
    for version in (first, second):
        versions.stop(version)
        versions.check()
        versions.start(version)
        versions.check()

    for version in (first, second):
        said = versions.hosts[version].lines_until(0.0)
        assert not [line for line in said if line.startswith(("message-unreadable", "actor-crashed"))]
        versions.stop(version)
    ticks = [float(slot) for (slot,) in versions.effects.lines(f"tick-{first}")]
    assert max(ticks) - min(ticks) + 1 == len(set(ticks)), "a slot was forgotten"
