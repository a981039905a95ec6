"""Finds the few lines that matter in a log of any size, without parsing what cannot matter.

A search for bytes goes through a gigabyte in half a second, where parsing takes half a minute.
"""

from __future__ import annotations

import contextlib
import heapq
import io
import json
import math
import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import IO, Any, cast

from .files import Block, LogEnd, blocks_of, each, end_of, is_plain, open_log, open_plain
from .lines import Said, Unread, fields_of, is_like_ours, parse

CHUNK_BYTES = 1 << 17
"""Small enough to stay in the processor's cache while it is searched for each needle."""

DISORDER_SECONDS = 60.0
"""How far the clocks of several processes, or one that is set, may put lines out of order."""

PROBE_BYTES = 1 << 16
"""How far a line of ours is looked for when a log is entered in its middle."""

CLOCK_STEP = 1e-6
"""Between two moves at the least, as times are written."""

QUOTED = re.compile(rb'"boot": ?"')
"""In a line that is JSON as it stands, also behind a prefix."""

SAMPLE_BYTES = 1 << 18
"""The size of the beginning and end of a log that show its format."""

RUN = re.compile(rb"[A-Za-z0-9_.:-]+")
"""The characters that every logger writes unescaped."""

EVERYWHERE = b"e"


def find(
    paths: Sequence[str],
    needles: Sequence[bytes],
    *,
    hosts_too: bool = False,
    within: tuple[float, float] | None = None,
    processes: int = 1,
    unread: Unread | None = None,
) -> Iterator[Said]:
    """Every line of ours that contains one of the needles, a log after the other.

    Args:
        hosts_too: also lines of the host's own that carry a job's fields.
        within: search only roughly between two instants, where a log can be entered in its middle.
        processes: how many may search one log, where it can be entered in its middle.
        unread: notes how each log ends.
    """
    for path in paths:
        name = "stdin" if path == "-" else os.path.basename(path)
        latest, end = 0.0, LogEnd()
        for said in _found_in(path, needles, end, hosts_too=hosts_too, within=within, processes=processes):
            said["source"] = name
            if "ts" in said:
                # By its digits, a time is exact to a second, a millisecond or better.
                unit = next((unit for unit in (1.0, 0.001) if round(said["ts"] / unit, 3).is_integer()), 0.0)
                if "seq" not in said and said["ts"] < latest <= said["ts"] + unit:
                    # Written with few digits: it is not earlier than the line before it.
                    said["ts"] = latest
                latest = said["ts"]
            else:
                # It lies between those that stand beside it.
                said["beside"] = latest
            yield said
        if unread is not None:
            unread.ended(name, end_of(path) if is_plain(path) else end)


def _found_in(
    path: str,
    needles: Sequence[bytes],
    end: LogEnd,
    *,
    hosts_too: bool,
    within: tuple[float, float] | None,
    processes: int,
) -> Iterator[Said]:
    if not is_plain(path):
        with contextlib.closing(open_log(path, end)) as opened:
            fitting = _fitting(needles, cast(io.BufferedReader, opened).peek(SAMPLE_BYTES))
            yield from _parsed(_matching(opened, fitting, 0, None), hosts_too=hosts_too)
        return
    blocks = blocks_of(path, *((0, None) if within is None else _span(path, *within)))
    look = partial(_found_in_block, needles=_fitting(needles, _sample(path)), hosts_too=hosts_too)
    yield from chain.from_iterable(each(look, blocks, processes))


def _sample(path: str) -> bytes:
    with open_plain(path) as opened:
        head = opened.read(SAMPLE_BYTES)
        opened.seek(max(len(head), opened.seek(0, os.SEEK_END) - SAMPLE_BYTES))
        return head + b"\n" + opened.read()


def _fitting(needles: Sequence[bytes], sample: bytes) -> Sequence[bytes]:
    """The needles for a log like this sample: text within JSON is quoted, in other formats it need not be."""
    ours = [line for line in sample.splitlines() if is_like_ours(line)]
    if ours and all(QUOTED.search(line) for line in ours):
        return needles
    return sorted({max(RUN.findall(needle), key=len, default=EVERYWHERE) for needle in needles})


def _found_in_block(block: Block, needles: Sequence[bytes], *, hosts_too: bool) -> list[Said]:
    with open_plain(block.path) as opened:
        return list(_parsed(_matching(opened, needles, *block.within(opened)), hosts_too=hosts_too))


def _parsed(lines: Iterator[tuple[int, bytes]], *, hosts_too: bool) -> Iterator[Said]:
    for offset, raw in lines:
        said = fields_of(raw, hosts_too=hosts_too)
        if said is not None:
            said["offset"] = offset
            yield said


def needles_of(text: str) -> list[bytes]:
    """The spellings of a text's beginning within JSON: renderers differ in what they escape."""
    escaped = {json.dumps(text, ensure_ascii=ascii_only)[:-1].encode(errors="replace") for ascii_only in (True, False)}
    return sorted(escaped)


def subject_of(said: Said) -> tuple[Any, ...]:
    """The subject of one line: several steps or calls in one turn have a line each."""
    match event := said.get("event"):
        case "job.stepped" | "job.signalled":
            which = said.get("step")
        case "job.replaced":
            which = said.get("run_at"), said.get("digest")
        case _:
            which = None
    return said.get("boot"), said.get("turn"), event, said.get("job_id"), which


def in_order(found: list[Said]) -> list[Said]:
    """Lines as they followed one another: by `seq` within a boot, by `rev` among moves of a job, by time otherwise."""
    # A host may log the events that it subscribes to into the same log: the first copy of a line counts.
    first_of = {(one["seq"], one.get("rev"), *subject_of(one)): one for one in found[::-1] if "seq" in one}
    first = {id(one) for one in first_of.values()}
    found = [one for one in found if "seq" not in one or one.get("untold") or id(one) in first]
    at: list[float] = [said["ts"] if "ts" in said else said.get("beside", 0.0) for said in found]
    # A line of the application has no boot: it comes after the line that it stands beside.
    boots: dict[str, list[int]] = {str(said.get("boot")): [] for said in found if "boot" in said}
    for index in sorted(range(len(found)), key=lambda i: (found[i].get("seq") or 0, at[i])):
        boots.setdefault(str(found[index].get("boot")), []).append(index)
    moves = _moves_of_jobs(found)
    # Clocks are set and differ, orders do not: no line may be earlier than its predecessor.
    for _ in range(2):
        for boot in boots.values():
            _raise_times(boot, at, 0.0)
        for order in moves:
            _raise_times(order, at, CLOCK_STEP)
    merged = heapq.merge(*boots.values(), key=lambda i: at[i])
    return [found[i] for i in merged]


def _moves_of_jobs(found: list[Said]) -> list[list[int]]:
    """The places of the moves of each job, in order. An id that was used again has two lives, one after the other."""
    moves: dict[str, list[int]] = {}
    for index, said in enumerate(found):
        if "rev" in said:
            moves.setdefault(f"{said.get('store_id')} {said.get('job_id')}", []).append(index)
    for order in moves.values():
        births = sorted(found[i].get("ts", 0.0) for i in order if found[i]["rev"] == 1)
        lives = births[1:]
        order.sort(key=lambda i: (bisect_right(lives, found[i].get("ts", 0.0)), found[i]["rev"]))
    return list(moves.values())


def _raise_times(order: list[int], at: list[float], step: float) -> None:
    latest = 0.0
    for index in order:
        at[index] = latest = max(at[index], latest + step)


def _matching(opened: IO[bytes], needles: Sequence[bytes], start: int, end: int | None) -> Iterator[tuple[int, bytes]]:
    """(offset, line) of each line that contains a needle, from one offset to another; both begin a line."""
    if end is not None:
        opened.seek(start)
    carried, offset = b"", start
    while True:
        room = CHUNK_BYTES if end is None else min(CHUNK_BYTES, end - offset - len(carried))
        read = opened.read(room) if room > 0 else b""
        chunk = carried + read
        whole = chunk.rfind(b"\n") + 1 if read else len(chunk)
        yield from ((offset + at, line) for at, line in _lines_in(chunk, whole, needles))
        if not read:
            return
        carried, offset = chunk[whole:], offset + whole


def _span(path: str, first: float, last: float) -> tuple[int, int | None]:
    """The range of bytes of lines between two instants, with some room on both sides."""
    with open_plain(path) as opened:
        size = opened.seek(0, os.SEEK_END)
        start = _offset_of(opened, first - DISORDER_SECONDS, size)
        end = None if last == math.inf else _offset_of(opened, last + DISORDER_SECONDS, size)
    return start, size if end is None else min(size, end + CHUNK_BYTES)


def _offset_of(opened: IO[bytes], at: float, size: int) -> int:
    """An offset at the beginning of a line before which all lines are older, near the first that is not."""
    low, high = 0, size
    while high - low > CHUNK_BYTES:
        middle = (low + high) // 2
        opened.seek(middle)
        opened.readline()
        begins = opened.tell()
        line = next((one for one in map(parse, opened.readlines(PROBE_BYTES)) if one is not None), None)
        # Without a line of ours nothing is known: look before it.
        if line is not None and line.ts < at:
            low = begins
        else:
            high = middle
    return low


def _lines_in(chunk: bytes, end: int, needles: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    starts: dict[int, int] = {}
    for needle in needles:
        hit = chunk.find(needle, 0, end)
        while hit >= 0:
            start = chunk.rfind(b"\n", 0, hit) + 1
            stop = chunk.find(b"\n", hit, end)
            stop = end if stop < 0 else stop
            starts[start] = stop
            hit = chunk.find(needle, stop, end)
    for start in sorted(starts):
        yield start, chunk[start : starts[start]]
