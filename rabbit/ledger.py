"""The ledger: a queue of records with a single active consumer, who leads. One reads, and tells all others the order.

Whoever wants something written publishes it into the ledger. The leader reads it, adds it to its chronicle and
broadcasts it, numbered. It acknowledges nothing that is not in a sum: when it dies, the server gives the next leader
the last sum and everything after. A sum names the records that it includes, because others may have been published
before it and read after it was made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import chronicle as records
from .chronicle import Chronicle, Record
from .link import Arrival, Link, Message
from .topology import LEDGER, NEWS

SUMMED_RECORDS = 500
"""After so many records the leader writes their sum."""

PREFETCH = 5_000
"""Of the ledger: a leader must be able to hold all that is in no sum yet."""

STATELESS = frozenset({"hello", "barrier"})


@dataclass(slots=True)
class Entry:
    """A record that is in the ledger."""

    tag: int
    record: Record


class Ledger:
    """The leader's side. In a runtime that does not lead it holds nothing.

    Args:
        told: called with each record once the leader has read it.
        now: wall time.
    """

    def __init__(
        self, link: Link, chronicle: Chronicle, own_id: str, told: Callable[[Record], None], now: Callable[[], float]
    ) -> None:
        self._link = link
        self._chronicle = chronicle
        self._id = own_id
        self._told = told
        self._now = now
        self._session = 0
        self._entries: list[Entry] = []
        self._barrier = ""
        self._seq = 0
        self._is_summing = False
        self.is_read = False
        self.epoch = ""

    def begin(self, session: int) -> None:
        """A new session, or none (0): whoever led does so no more."""
        self._session = session
        self._entries.clear()
        self._barrier = ""
        self._is_summing = False
        self.is_read = False

    def arrived(self, arrival: Arrival, record: Record) -> None:
        """The server gives this runtime the ledger to read, so it leads once it has read to the end."""
        self._entries.append(Entry(arrival.tag, record))
        if not self._barrier:
            self.epoch = f"{self._id}-{self._session}"
            self._barrier = f"{self.epoch}-barrier"
            self._publish({"is": "barrier", "by": self._barrier})
        if self.is_read:
            self._read(self._entries[-1])
        elif record["is"] == "barrier" and record.get("by") == self._barrier:
            self._read_all()

    def _read_all(self) -> None:
        """The end of what others have left: from now on this runtime leads."""
        self.is_read = True
        sums = [entry.record for entry in self._entries if entry.record["is"] == "sum"]
        included: set[str] = set()
        if sums:
            included = set(sums[-1]["included"])
        # What this runtime was told before is in there too.
        self._chronicle.load(sums[-1] if sums else Chronicle().sum(self._now()))
        for entry in self._entries:
            if entry.record["is"] not in ("sum", *STATELESS) and entry.record.get("by") not in included:
                self._chronicle.add(entry.record)
        self._seq = 0
        self._broadcast(self._sum())
        for entry in list(self._entries):
            self._told(entry.record)
            if entry.record["is"] == "hello":
                self._answer(entry.record)
        self._write_sum()

    def _read(self, entry: Entry) -> None:
        kind = entry.record["is"]
        if kind == "hello":
            self._answer(entry.record)
            self._acknowledge([entry])
        elif kind == "sum":
            self._cut(entry)
        elif kind not in STATELESS:
            self._chronicle.add(entry.record)
            self._broadcast(entry.record)
        self._told(entry.record)
        if len(self._entries) > SUMMED_RECORDS and not self._is_summing:
            self._write_sum()

    def _answer(self, hello: Record) -> None:
        """Somebody is new: tell them everything, before the next record."""
        if hello.get("to"):
            body = self._numbered({**self._sum(), "by": hello["by"]})
            self._link.send([Message("", hello["to"], body, mandatory=False)])

    def _sum(self) -> Record:
        return self._chronicle.sum(self._now())

    def _write_sum(self) -> None:
        """Have all that was read so far in one record; what it includes is acknowledged once it is in the ledger."""
        self._is_summing = True
        included = [entry.record.get("by", "") for entry in self._entries]
        self._publish({**self._sum(), "included": included, "by": f"{self.epoch}-{self._seq}-sum"})

    def _cut(self, entry: Entry) -> None:
        """A sum is in the ledger: what it includes need not be."""
        if not str(entry.record.get("by", "")).startswith(self.epoch):
            return
        self._is_summing = False
        included = set(entry.record["included"])
        self._acknowledge([one for one in self._entries if one is not entry and one.record.get("by", "") in included])

    def _acknowledge(self, entries: list[Entry]) -> None:
        gone = [entry for entry in entries if len(self._entries) > 1]
        for entry in gone:
            self._entries.remove(entry)
        self._link.settle(self._session, [entry.tag for entry in gone])

    def _broadcast(self, record: Record) -> None:
        self._seq += 1
        self._link.send([Message(NEWS, "all", self._numbered(record), mandatory=False)])

    def _numbered(self, record: Record) -> bytes:
        return records.write({"is": "told", "epoch": self.epoch, "seq": self._seq, "record": record})

    def _publish(self, record: Record) -> None:
        self._link.send([Message("", LEDGER, records.write(record))])


class Listener:
    """The side of those who do not lead: they add what they are told, in the leader's order."""

    def __init__(self, chronicle: Chronicle, told: Callable[[Record], None]) -> None:
        self._chronicle = chronicle
        self._told = told
        self._epoch = ""
        self._seq = 0

    def begin(self) -> None:
        """A new session: what is missed in between is told in a sum."""
        self._epoch = ""

    def hear(self, told: Record) -> bool:
        """Add what the leader tells. False when something before it was missed."""
        record: Record = told["record"]
        epoch, seq = told["epoch"], told["seq"]
        if record["is"] == "sum":
            self._chronicle.load(record)
            self._epoch, self._seq = epoch, seq
        elif not self._epoch or (epoch == self._epoch and seq <= self._seq):
            # It is in the sum that this runtime has, or has asked for.
            return True
        elif epoch != self._epoch or seq != self._seq + 1:
            return False
        else:
            self._chronicle.add(record)
            self._seq = seq
        self._told(record)
        return True


def message(record: Record) -> Message:
    """A record on its way into the ledger."""
    return Message("", LEDGER, records.write(record))
