"""Seeds of the campaign that have found a bug once, each with its story. Here as they take half a minute."""

from __future__ import annotations

import pytest
from workload import scenario

FOUND = {
    34: "a boot's row went in its last turn, and with it what its broker had not told when it died",
    39: "the audit did not know of which schedule a slot was that only a recovery told of",
    68: "a claim that reached a new incarnation before the old one's death was noticed ran on, and was never signalled",
    665: "a lane whose claim another boot had taken while no broker heard of it was given up without a signal",
    837: "a claim whose handler had returned lived for hours after the clock was stepped back",
    33: "a job whose slot had come waited for hours after the clock was stepped back, and silenced its schedule",
    104262: "a runtime could not be stopped after an event loop that it had given up went on and ended",
    120496: "a claim whose handler had returned as its HandlerActor died had lost its timeout, and lived for ever",
}
"""Seeds that have found something once."""


@pytest.mark.parametrize("seed", FOUND, ids=str)
def test_a_seed_that_has_found_something_finds_nothing_any_more(seed):
    scenario(seed)
