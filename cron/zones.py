"""Time zones as spans of constant offset from UTC.

A zone is a sequence of spans; within one, local time and UTC run side by side. Where a span ends, local time jumps:
forwards over a *gap* (times that do not exist on that day) or back over a *fold* (times that happen twice). That is all
that a schedule needs to know of a zone, and it is as true for thirty minutes, two hours or a whole day as for one hour.
"""

from __future__ import annotations

import io
import struct
import zoneinfo
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from ..errors import UsageError, alike, shown

DAY_SECONDS = 86_400

# A zone's offset is looked up once a day. No zone of the tz database has changed its offset twice within three days
# (a test holds every installed zone to that), so between two neighbouring look-ups there is at most one change to find.
PROBE_SECONDS = DAY_SECONDS

BLOCK_SECONDS = 64 * DAY_SECONDS
"""A zone is read in blocks of so many seconds, from the epoch on: whatever spans are asked for, the days in them are
looked up once."""

BLOCKS_KEPT = 4_096
"""So many blocks are remembered: 30 years of some two dozen zones."""

_ZERO = timedelta(0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

UTC_ZONE = zoneinfo.ZoneInfo.from_file(
    io.BytesIO(b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", 0, 0, 0) + b"UTC\0"),
    key="UTC",
)
"""The zone of schedules that name none: it needs no tz database. One type of local time, in the format of RFC 8536."""

# These name whatever this machine is set to, or count leap seconds, so that two processes would not agree on a slot.
_UNFIT_KEYS = ("localtime", "posixrules", "posix/", "right/")


class Span(NamedTuple):
    """A stretch of time during which a zone's offset stays the same.

    Attributes:
        start: its first second, since the Unix epoch (UTC).
        stop: the first second after it.
        offset: local time minus UTC, in seconds.
    """

    start: int
    stop: int
    offset: int

    @property
    def local_start(self) -> int:
        """Its first local second, counted as if local time were UTC."""
        return self.start + self.offset

    @property
    def local_stop(self) -> int:
        """The first local second after it, counted the same way."""
        return self.stop + self.offset


def load_zone(timezone: object) -> zoneinfo.ZoneInfo:
    """The zone of this name.

    Args:
        timezone: a name of the IANA tz database, such as `"Europe/Berlin"`.

    Raises:
        UsageError: it is not a string, or no such zone is known here.
    """
    if not isinstance(timezone, str):
        raise UsageError(f'expected timezone to be a name such as "Europe/Berlin", got: {shown(timezone)}')
    if timezone.startswith(_UNFIT_KEYS):
        raise UsageError(
            f'expected timezone to be the name of a place such as "Europe/Berlin", got: {shown(timezone)}, which other '
            "machines may understand differently"
        )
    if timezone == "UTC":
        return UTC_ZONE
    try:
        return zoneinfo.ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):  # unknown, not a relative path, or a folder such as "Europe"
        raise UsageError(
            f"expected timezone to be a name of the IANA tz database, got: {shown(timezone)}{_suggestion(timezone)}"
        ) from None


def _suggestion(timezone: str) -> str:
    known = sorted(key for key in zoneinfo.available_timezones() if not key.startswith(_UNFIT_KEYS))
    if not known:
        return "; this machine has no tz database: pip install lamplighter[tzdata]"
    close = alike(timezone[:100], known)
    return f"; did you mean {close[0]!r}?" if close else ' (for example "Europe/Berlin" or "UTC")'


def spans(zone: tzinfo, start: int, stop: int) -> Iterator[Span]:
    """The zone's spans from `start` up to `stop`, in order and without a hole; the outer two are cut off there.

    Args:
        zone: the zone.
        start: the first second to cover, since the Unix epoch.
        stop: the first second not to cover.
    """
    begin, offset = start, 0
    for block in range(start // BLOCK_SECONDS, -(-stop // BLOCK_SECONDS)):
        for span in _spans_of_block(zone, block):
            if span.start <= start:
                offset = span.offset
            elif span.start < stop and span.offset != offset:
                yield Span(begin, span.start, offset)
                begin, offset = span.start, span.offset
    if begin < stop:
        yield Span(begin, stop, offset)


@lru_cache(maxsize=BLOCKS_KEPT)
def _spans_of_block(zone: tzinfo, block: int) -> Sequence[Span]:
    """The spans of one block; the outer two are cut off at its ends."""
    begin, stop = block * BLOCK_SECONDS, (block + 1) * BLOCK_SECONDS
    found, offset = [], _offset_at(zone, begin)
    for ahead in range(begin + PROBE_SECONDS, stop + 1, PROBE_SECONDS):
        known = ahead - PROBE_SECONDS
        while (changed := _offset_at(zone, ahead)) != offset:
            known = _first_change(zone, known, ahead, offset)
            found.append(Span(begin, known, offset))
            begin, offset = known, changed if known == ahead else _offset_at(zone, known)
    if begin < stop:
        found.append(Span(begin, stop, offset))
    return found


def _first_change(zone: tzinfo, known: int, ahead: int, offset: int) -> int:
    """The second at which the offset stops being `offset`; it is that at `known`, and no longer at `ahead`."""
    while ahead - known > 1:
        middle = (known + ahead) // 2
        if _offset_at(zone, middle) == offset:
            known = middle
        else:
            ahead = middle
    return ahead


def _offset_at(zone: tzinfo, instant: int) -> int:
    # Added to the epoch rather than `fromtimestamp`, which refuses years that a platform's C library does not know.
    local = (_EPOCH + timedelta(seconds=instant)).astimezone(zone)
    return int((local.utcoffset() or _ZERO).total_seconds())
