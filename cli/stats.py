"""`lamplighter stats`: what became of jobs lately, by name or by time."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ..admin.inspector import readable_table
from ..admin.stats import Spread, Stats, stats_by_name, stats_by_start
from ..environment.clock import SystemClock
from ..errors import UsageError
from ..messages.jobs import Seconds
from ..messages.tallies import HOUR, KEPT_SECONDS, MINUTE, Tally
from ..rules.capabilities import needed
from ..rules.wording import span
from .options import Times, add_output, add_store, add_watch, span_of, store_of, watched
from .page import listed

HEADS = ("queued", "done", "dead", "cancelled", "attempts", "failed", "waited p50", "p95", "ran p50", "p95", "p99")

BY = ("name", "time")


def declare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Tell how many jobs were queued and ended lately, how many attempts failed, how long jobs waited and ran. "
        "Runtimes write these sums down every ten seconds."
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="of the jobs of this name only")
    add_store(parser)
    parser.add_argument("--since", default="1h", metavar="SPAN", help="how far back, as 30m or 2d (%(default)s)")
    parser.add_argument("--by", choices=BY, default=BY[0], help="a line for each name, or for each minute or hour")
    add_output(parser)
    add_watch(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    seconds, store = _seconds(arguments.since), readable_table(store_of(arguments), "tallies")
    unit = MINUTE if seconds <= KEPT_SECONDS[MINUTE] else HOUR

    def show() -> int:
        now = SystemClock().now()
        with store.snapshot() as seen:
            tallies = needed(seen.tallies, "tallies").between(unit, now - seconds, now, arguments.name)
        return _show(arguments, tallies)

    return watched(arguments, show)


def _show(arguments: argparse.Namespace, tallies: Sequence[Tally]) -> int:
    times = Times(is_utc=arguments.utc)
    if arguments.by == "name":
        found = {name or "other names": one for name, one in stats_by_name(tallies).items()}
    else:
        found = {times.at(datetime.fromtimestamp(start, UTC)): one for start, one in stats_by_start(tallies).items()}
    rows: list[dict[str, Any]] = [{arguments.by: key, "stats": one} for key, one in found.items()]
    return listed(arguments, rows, (arguments.by, *HEADS), lambda one: (one[arguments.by], *_row(one["stats"])), HEADS)


def _row(one: Stats) -> list[str]:
    counts = (one.queued, one.done, one.dead, one.cancelled, one.attempts)
    failed = "" if one.failed_percent is None else f"{one.failed:,} ({one.failed_percent:.0f} %)"
    waited, ran = _spans(one.waited, "p50", "p95"), _spans(one.ran, "p50", "p95", "p99")
    return [*(f"{count:,}" for count in counts), failed, *waited, *ran]


def _spans(spread: Spread | None, *quantiles: str) -> list[str]:
    return ["" if spread is None else span(getattr(spread, quantile)) for quantile in quantiles]


def _seconds(text: str) -> Seconds:
    seconds = span_of(text, "--since")
    if seconds > KEPT_SECONDS[HOUR]:
        raise UsageError(f"expected --since of at most {KEPT_SECONDS[HOUR] / 86400:.0f}d, as long as sums are kept")
    return seconds
