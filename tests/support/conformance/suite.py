"""What every store promises, as tests that each store runs.

    class TestStoreInAFile(StoreConformance):
        cannot = {"host"}

        def make_store(self, place):
            return SqliteStore(str(place / "jobs.db"))

The ports' docstrings (`lamplighter.stores.ports`, `turn_ports`) are the specification, and each test quotes the
sentence that it checks. What a store says that it cannot is skipped, and told by pytest.
"""

from __future__ import annotations

from lamplighter.stores.ports import Store

from .claims import ClaimPromises
from .finding import FindingPromises
from .host import HostPromises
from .jobs import JobPromises
from .kit import CAPABILITIES, NOW
from .links import LinkPromises
from .looking import LookingPromises
from .pauses import PausePromises
from .schedules import SchedulePromises
from .steps import StepPromises
from .tallies import TallyPromises
from .turns import TurnPromises

__all__ = ["CAPABILITIES", "StoreConformance"]


class StoreConformance(
    TurnPromises,
    JobPromises,
    FindingPromises,
    HostPromises,
    ClaimPromises,
    PausePromises,
    SchedulePromises,
    StepPromises,
    LinkPromises,
    TallyPromises,
    LookingPromises,
):
    """What every store promises: subclass it with a `store` fixture of your own.

    Attributes:
        cannot: names of `CAPABILITIES` that the store declares not to have.

    Override `make_store`, and `connect_host` unless the store cannot `host`.
    """

    def test_what_the_store_cannot_is_declared_by_names_that_are_known(self) -> None:
        assert set(self.cannot) <= CAPABILITIES.keys(), f"expected names among {sorted(CAPABILITIES)}"

    def test_what_the_store_has_not_is_none(self, store: Store) -> None:
        parts = {"table": store.table, "host": store.host}
        with store.turn("b", NOW) as turn:
            queued, parts["steps"], parts["links"] = turn.queued, turn.steps, turn.links

        assert (queued is None) == (store.table is None)
        assert {name for name, part in parts.items() if part is None} <= set(self.cannot)
