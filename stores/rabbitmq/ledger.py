"""The ledger: a queue of records with a single active consumer, the leader, who broadcasts their order.

A runtime publishes a record into the ledger. The leader reads it, adds it to the shared state and broadcasts it,
numbered. The leader acknowledges only records that are in a sum: when it dies, the next leader gets the last sum and
everything after.

A sum is written in parts, only those that have changed. Its end, the record `summed`, names the records that it
includes, because others may have been published before it and read after it was made. A new leader writes all parts
anew. A sum without its end, or from an earlier leader, does not count.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from . import ledger_records as records
from .ledger_records import Record, UnreadableRecord
from .ledger_sums import all_parts, has_store_id, load, parts
from .link import Arrival, Link, Message, StoreEnvironment
from .shared_state import SharedState
from .state import RabbitState
from .topology import LEADER, LEDGER, NEWS

SUMMED_RECORDS = 500
"""The leader sums after so many records, or an eighth of the number of schedules if greater: large sums are dear."""
SUMMED_RECORDS_MAX = 20_000

PREFETCH = 65_535
"""AMQP's maximum: a leader must be able to hold all records that are in no sum yet."""

SILENT_LOOKS_MAX = 12
"""The leader looks every five seconds. A runtime that was silent for so many looks counts as ended."""

PASSING = frozenset({"hello", "barrier", "part", "summed"})


@dataclass(slots=True, eq=False)
class LedgerEntry:
    arrival: Arrival
    record: Record

    @property
    def tag(self) -> int:
        return self.arrival.tag


@dataclass(slots=True)
class Written:
    """The content of the ledger, as far as the leader has read it.

    Attributes:
        records: not in any sum.
        summing: in the sum that is being written.
        awaited: labels of its parts and its end that were not read back yet.
        parts: of the last sum, by bucket; and of an unfinished one.
        rest: obsolete once this leader's first sum is complete.
        end: of this leader's last sum.
    """

    records: list[LedgerEntry] = field(default_factory=list)
    summing: list[LedgerEntry] | None = None
    awaited: set[str] = field(default_factory=set)
    parts: dict[int, LedgerEntry] = field(default_factory=dict)
    coming: dict[int, LedgerEntry] = field(default_factory=dict)
    rest: list[LedgerEntry] = field(default_factory=list)
    end: LedgerEntry | None = None


class Ledger:
    """The leader's side; empty in other runtimes.

    Args:
        told: called with each record that the leader has read.
        unreadable: called with why something in the ledger is skipped, and with its delivery if all of it is unreadable
          and is to be acknowledged.
    """

    def __init__(
        self,
        state: RabbitState,
        environment: StoreEnvironment,
        *,
        told: Callable[[Record], None],
        unreadable: Callable[[str, Arrival | None], None],
    ) -> None:
        self._link: Link | None = None
        self._shared = state.shared
        self._id = state.runtime_id
        self._told = told
        self._unreadable = unreadable
        self._now = environment.clock.now
        self._shared_now = state.time.now
        self._new_id = environment.new_id
        self.session = 0
        self._written = Written()
        self._silent: dict[str, int] = {}
        self.marker = ""
        self._seq = self._sums = self._term = 0
        self._begun = 0
        self.is_read = False
        self.epoch = ""

    def begin(self, session: int, link: Link | None) -> None:
        """Begin a session by which the ledger may come; 0 if there is none: this runtime leads no more."""
        self.session, self._link = session, link
        self._written = Written()
        self._silent.clear()
        self.marker = ""
        self.is_read = False

    def arrived(self, arrival: Arrival) -> None:
        """The ledger arrives, so this runtime leads once it has read to the end."""
        if not self.marker:
            self._begun += 1
            self.epoch = f"{self._id}-{self._begun}"
            self._mark({"is": "barrier"})
        try:
            record = records.parse(arrival.body)
        except UnreadableRecord as error:
            self._unreadable(str(error), arrival)
            return
        entry = LedgerEntry(arrival, record)
        if self.is_read:
            self._read(entry)
            return
        self._written.records.append(entry)
        if record.get("by") == self.marker:
            self._come_to_the_end()

    def _mark(self, record: Record) -> None:
        self.marker = f"{self.epoch}-{record['is']}"
        self._publish({**record, "by": self.marker})

    def _come_to_the_end(self) -> None:
        """Everything that others have left is read. The first leader gives the store its id, before any log has it."""
        found = self._written.records
        if any(has_store_id(one.record) for one in found):
            self._read_all()
        else:
            self._mark({"is": "store", "id": self._shared.store_id or self._new_id()})

    def _read_all(self) -> None:
        self.is_read = True
        found = self._written.records
        base, included = _last_sum([entry.record for entry in found])
        self._term = 1 + max(_whole(entry.record, "term") for entry in found)
        if base is None:
            # The ledger is new or was deleted. The state known here holds, except the id, which another leader may have
            # renewed.
            self._shared.store_id = None
        else:
            for trouble in load(self._shared, base):
                self._unreadable(trouble, None)
            for entry in found:
                self._shared.see(entry.record)
        # The server may return the previous leader's deliveries in any order. A writer had seen all records with lower
        # numbers.
        found = sorted(found, key=lambda entry: records.number_of(entry.record))
        found = [entry for entry in found if _is_passing(entry.record, included) or self._add(entry)]
        self._seq = 0
        self._tell_all(NEWS, "all", [entry.record["by"] for entry in found if _asks(entry.record)])
        for entry in found:
            self._told(entry.record)
        self._written.rest, self._written.records = found, []
        self._write_sum(all_parts(self._shared, self._now()))
        self._present_itself()

    def _read(self, entry: LedgerEntry) -> None:
        record = entry.record
        self._silent.pop(str(record.get("from")), None)
        match record["is"]:
            case "part" | "summed" if str(record.get("by")) in self._written.awaited:
                self._read_sum(entry)
            case kind if kind in PASSING:
                if self._written.end is None:
                    # The marker stays in the ledger until the first sum is there: it shows the next leader that this
                    # one led.
                    self._written.rest.append(entry)
                else:
                    self._acknowledge([entry.tag])
                if _asks(record):
                    self._tell_all("", record["to"], [record["by"]])
            case _:
                if not self._add(entry):
                    return
                self._written.records.append(entry)
                self._broadcast(record)
                if record["is"] == "boot" and record.get("runtime") == self._id:
                    self._present_itself()
        self._told(record)
        shared = self._shared
        most = max(SUMMED_RECORDS, min(len(shared.schedules) // 8, SUMMED_RECORDS_MAX))
        if len(self._written.records) > most and self._written.summing is None:
            self._write_sum(parts(shared, shared.touched, self._now()))

    def _add(self, entry: LedgerEntry) -> bool:
        try:
            records.field(entry.record, "by", records.TEXT)
            self._shared.add(entry.record)
        except UnreadableRecord as error:
            self._unreadable(str(error), entry.arrival)
            return False
        return True

    def look_who_lives(self) -> None:
        """Treat runtimes that have been silent for long as ended. Call this every five seconds."""
        if not self.is_read:
            return
        # The number of this record shows a runtime that it has missed the one before.
        self._broadcast({"is": "beat"})
        self._present_itself()
        for runtime in sorted(self._shared.living()):
            if runtime == self._id:
                continue
            looks = self._silent[runtime] = self._silent.get(runtime, 0) + 1
            if looks > SILENT_LOOKS_MAX:
                del self._silent[runtime]
                self._shared.number += 1
                gone = {"is": "runtime gone", "runtime": runtime, "no": self._shared.number}
                self._publish({**gone, "by": f"{self.epoch}-gone-{self._shared.number}"})

    def _present_itself(self) -> None:
        """Leave the leader's name where others find it when this runtime hangs and cannot be asked."""
        who = {"is": "leads", "boot": self._shared.boots.get(self._id, {}), "at": self._now()}
        self._send([Message("", LEADER, records.write(who), mandatory=False)])

    def _broadcast(self, record: Record) -> None:
        self._seq += 1
        self._send([self._numbered(NEWS, "all", record)])

    def _tell_all(self, exchange: str, key: str, asked_by: Sequence[str]) -> None:
        parts = all_parts(self._shared, self._now())
        end = {"is": "summed", "parts": len(parts), "answers": list(asked_by), "no": self._shared.number}
        self._send([self._numbered(exchange, key, one) for one in (*parts, end)])

    def _numbered(self, exchange: str, key: str, record: Record) -> Message:
        told = {"is": "told", "epoch": self.epoch, "seq": self._seq, "at": self._shared_now(), "record": record}
        return Message(exchange, key, records.write(told), mandatory=False)

    def _write_sum(self, parts: Sequence[Record]) -> None:
        """Write parts of the sum. The records in them are acknowledged once all parts are in the ledger."""
        written = self._written
        self._shared.touched.clear()
        self._sums += 1
        written.summing, written.records = written.records, []
        included = [one.record.get("by", "") for one in (*written.rest, *written.summing)]
        end = {"is": "summed", "parts": len(parts), "included": included, "no": self._shared.number}
        of = {"epoch": self.epoch, "term": self._term, "sum": self._sums}
        labels = [f"{self.epoch}-{self._sums}-{index}" for index in range(len(parts) + 1)]
        written.awaited = set(labels)
        made = zip((*parts, end), labels, strict=True)
        self._send([message({**one, **of, "by": label}) for one, label in made])

    def _read_sum(self, entry: LedgerEntry) -> None:
        """Read back a part of the sum, or its end: acknowledge what it includes or replaces."""
        written = self._written
        written.awaited.discard(entry.record["by"])
        if entry.record["is"] == "part":
            written.coming[entry.record["bucket"]] = entry
            return
        over = [written.parts[bucket] for bucket in written.coming if bucket in written.parts]
        over += chain(written.summing or (), written.rest, () if written.end is None else (written.end,))
        written.parts.update(written.coming)
        written.coming, written.summing, written.rest, written.end = {}, None, [], entry
        self._acknowledge([one.tag for one in over])

    def _publish(self, record: Record) -> None:
        self._send([message(record)])

    def _send(self, messages: Sequence[Message]) -> None:
        if self._link is not None:
            self._link.send(messages)

    def _acknowledge(self, tags: Sequence[int]) -> None:
        if self._link is not None:
            self._link.acknowledge(self.session, tags)


class Follower:
    """The side of other runtimes: they add the leader's records in its order.

    Args:
        told_time: called with the leader's epoch and time.
    """

    def __init__(
        self,
        shared: SharedState,
        told: Callable[[Record], None],
        unreadable: Callable[[str, None], None],
        told_time: Callable[[str, float], None] = lambda epoch, at: None,
    ) -> None:
        self._shared = shared
        self._told = told
        self._unreadable = unreadable
        self._told_time = told_time
        self._epoch = ""
        self._seq = 0
        self._parts: list[Record] = []

    def begin(self) -> None:
        """Begin a session: a sum will bring the records that were missed in between."""
        self._epoch = ""
        self._parts = []

    def hear(self, told: Record) -> bool:
        """Add the leader's record. False if one before it was missed.

        Raises:
            UnreadableRecord: it makes no sense.
        """
        record: Record = records.field(told, "record", records.MAPS)
        epoch, seq = records.field(told, "epoch", records.TEXT), records.field(told, "seq", (int,))
        if "at" in told:
            self._told_time(epoch, records.field(told, "at", records.NUMBER))
        match records.field(record, "is", records.TEXT):
            case "part":
                self._parts.append(record)
                return True
            case "summed":
                return self._hear_all(record, epoch, seq)
        self._parts = []
        if not self._epoch or (epoch == self._epoch and seq <= self._seq):
            # The sum that this runtime has, or has asked for, includes it.
            return True
        if epoch != self._epoch or seq != self._seq + 1:
            return False
        self._seq = seq
        try:
            self._shared.add(record)
        except UnreadableRecord as error:
            self._unreadable(str(error), None)
        self._told(record)
        return True

    def _hear_all(self, end: Record, epoch: str, seq: int) -> bool:
        parts, self._parts = self._parts, []
        if len(parts) != records.field(end, "parts", (int,)):
            return False
        for trouble in load(self._shared, parts):
            self._unreadable(trouble, None)
        self._shared.see(end)
        self._epoch, self._seq = epoch, seq
        for label in records.texts(end, "answers"):
            self._told({"is": "hello", "by": label})
        return True


def sum_of(found: Sequence[Record]) -> SharedState:
    """The state after all records of a ledger. Unreadable ones are skipped."""
    shared = SharedState()
    base, included = _last_sum(found)
    if base is not None:
        load(shared, base)
    for record in sorted(found, key=records.number_of):
        if not _is_passing(record, included):
            with contextlib.suppress(UnreadableRecord):
                shared.add(record)
    return shared


def message(record: Record) -> Message:
    return Message("", LEDGER, records.write(record))


def _asks(record: Record) -> bool:
    """Whether a runtime is new, and asks for a sum."""
    return record["is"] == "hello" and isinstance(record.get("to"), str) and isinstance(record.get("by"), str)


def _is_passing(record: Record, included: frozenset[str]) -> bool:
    label = record.get("by")
    return record["is"] in PASSING or (isinstance(label, str) and label in included)


def _whole(record: Record, name: str) -> int:
    number = record.get(name)
    return number if isinstance(number, int) else 0


def _last_sum(found: Sequence[Record]) -> tuple[Sequence[Record] | None, frozenset[str]]:
    """The parts of the last sum, None if there is none; and the records that they include."""
    ends = [record for record in found if record["is"] == "summed"]
    if not ends:
        return None, frozenset()
    end = max(ends, key=lambda record: (_whole(record, "term"), _whole(record, "sum")))
    of = [part for part in found if part["is"] == "part" and part.get("epoch") == end.get("epoch")]
    of.sort(key=lambda part: _whole(part, "sum"))
    parts = {str(part.get("bucket")): part for part in of if _whole(part, "sum") <= _whole(end, "sum")}
    included = end.get("included")
    labels = included if isinstance(included, list) else ()
    return list(parts.values()), frozenset(one for one in labels if isinstance(one, str))
