"""What jobs cost that wait for others, take turns or have a rate, next to the same work without."""

from __future__ import annotations

import turns
import waiting

from .base import Bench, Figures, Workload

QUEUED = 1_000_000
CHILDREN = 10_000
FAIR_JOBS = 100
RATE_SECONDS = 60


def taking_turns(bench: Bench) -> Figures:
    """A claim beside a group that is full, next to one without groups; and how even the starts of ten groups are, of
    which one has a hundred times the jobs of the others.
    """
    plain, in_turns = turns.claims(bench.size.of(QUEUED))
    return {
        "claim_cpu_us": in_turns,
        "without_ratio": in_turns / plain,
        "jain": turns.jain(jobs=bench.size.of(FAIR_JOBS)),
    }


def keeping_a_rate(bench: Bench) -> Figures:
    """Two processes on one file start as many jobs as a rate lets them."""
    per_second, most = turns.rate(bench.size.of(RATE_SECONDS), 1)
    return {"per_second": per_second, "most_in_a_second": most}


def waiting_for_others(bench: Bench) -> Figures:
    """A turn in which nothing waits while something does elsewhere; a parent of many children; links of a chain."""
    children = max(20, bench.size.of(CHILDREN))
    idle, idle_20 = (waiting.idle_links(jobs, max(1, bench.size.of(waiting.ROUNDS))) for jobs in (1, 20))
    freed, chain = waiting.fan_out(children, dead=False), waiting.chain(max(1, bench.size.of(waiting.CHAIN_MAX)))
    return {
        "idle_ratio": idle.times or 0.0,
        "idle_20_ratio": idle_20.times or 0.0,
        "freed_us": freed.seconds * 1e6,
        "longest_turn_ms": (freed.longest or 0.0) * 1e3,
        "link_ratio": chain.times or 0.0,
    }


WORKLOADS = (
    Workload(id="turns", title="groups that take turns, one of them full", run=taking_turns, when="long"),
    Workload(id="rates", title="a rate of 100 a second, two processes", run=keeping_a_rate, when="long"),
    Workload(id="waiting", title="jobs that wait for others", run=waiting_for_others),
)
