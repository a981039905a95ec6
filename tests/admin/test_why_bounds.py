"""From which number on something keeps a job from running, and which of several processes it takes for that."""

from __future__ import annotations

from typing import Any

import pytest
from lamplighter.admin.why import WaitContext, reasons
from lamplighter.messages.names import PauseRecord
from lamplighter.messages.views import QuietView
from lamplighter.stores.control_client import BootView
from lamplighter.stores.places import LockHolder
from lamplighter.stores.ports import QueuePosition

from .kit import CLEAR, NOW, a_boot, a_handler, a_job, a_lane, a_situation, a_view, an_actor, waiting_to_write

QUIET = QuietView(since=NOW, by=None, via=None, reason=None)
NOTHING = "unknown, because nothing that can be seen holds it back, though it is due for 60 s"
B1, B2 = "boot b1 (pid 7 on h)", "boot b2 (pid 7 on h)"


def with_handler(boot: str, **options: Any) -> BootView:
    return a_boot(boot, view=a_view(boot=boot, handlers=(a_handler(**options),)))


def writes_after(boot: str, seconds: float) -> BootView:
    return a_boot(boot, view=a_view(turns=waiting_to_write(seconds)))


def runs(boot: str, *lanes: Any, limits: dict[str, Any] | None = None) -> BootView:
    return a_boot(
        boot, view=a_view(lanes=lanes, lanes_open=len(lanes), **({} if limits is None else {"limits": limits}))
    )


def situation(*boots: BootView, job: Any = None, **changed: Any) -> WaitContext:
    return a_situation(None if job is None else a_job(**job), *boots, **changed)


def ahead(number: int, *, is_capped: bool = False) -> QueuePosition:
    return CLEAR._replace(ahead=number, is_capped=is_capped)


def running(number: int) -> QueuePosition:
    return CLEAR._replace(running=number)


SUSPECT = {"suspect_until": NOW + 9, "interruptions": 2}
HELD = {"state": "running", "boot": "b1", "claim_no": 2, "attempt": 0}
OF_ACME = {"group_key": "acme"}

SAYS: list[tuple[WaitContext, list[str]]] = [
    # Time
    (situation(job={"expires_at": NOW}), ["it expired 0 ms ago, and the next write batch cancels it"]),
    (situation(job={"expires_at": NOW + 1}), [NOTHING]),
    (situation(job={"run_at": NOW, "queued_at": NOW}), ["it is due for 0 ms, and nothing is known to hold it back"]),
    (situation(job={"run_at": NOW - 1.9}), ["it is due for 2 s, and nothing is known to hold it back"]),
    (situation(job={"run_at": NOW - 2.0}), [NOTHING.replace("60", "2")]),
    # The store
    (
        situation(a_boot(is_alive=False), a_boot("b2", is_alive=None, view=a_view())),
        [
            NOTHING.replace(
                "nothing that can be seen holds it back, though it is due for 60 s",
                f"nobody can know whether {B2} lives (None)",
            )
        ],
    ),
    (situation(writes_after("b1", 1.9)), [NOTHING]),
    (situation(writes_after("b1", 2.0)), ["somebody else keeps the write lock of app.db for 2 s: no job can be taken"]),
    (situation(writes_after("b1", 2.0), a_boot("b2", view=a_view())), [NOTHING]),
    (
        situation(writes_after("b1", 9.0), writes_after("b2", 3.0)),
        ["somebody else keeps the write lock of app.db for 3 s: no job can be taken"],
    ),
    (
        situation(writes_after("b1", 3.0), lock_holder=LockHolder("process 5", 5)),
        ["process 5 keeps the write lock of app.db for 3 s: no job can be taken"],
    ),
    (
        situation(writes_after("b1", 1.0), lock_holder=LockHolder("process 5", 5)),
        ["process 5 keeps the write lock of app.db: no job can be taken"],
    ),
    (
        situation(a_boot(stopping=True), a_boot("b2", view=a_view(quiet=QUIET))),
        [f"every process that runs jobs stops or is quiet: {B1} and {B2}"],
    ),
    (situation(a_boot(view=a_view(quiet=QUIET))), [f"every process that runs jobs is quiet: {B1}"]),
    (situation(a_boot(stopping=True), a_boot("b2", view=a_view())), [NOTHING]),
    (
        situation(*(a_boot(boot, kind="producer", names=()) for boot in ("b1", "b2"))),
        [f"no process runs jobs on app.db: {B1} and {B2} only queue"],
    ),
    # Its own
    (situation(a_boot(view=a_view()), job=SUSPECT, before=CLEAR._replace(suspects={"b2": "j0"})), [NOTHING]),
    (
        situation(
            a_boot(view=a_view()),
            a_boot("b2", view=a_view()),
            job=SUSPECT,
            before=CLEAR._replace(suspects={"b2": "j0"}),
        ),
        [NOTHING],
    ),
    (situation(job={**SUSPECT, "suspect_until": NOW}, before=CLEAR._replace(suspects={"b1": "j0"})), [NOTHING]),
    # Limits
    (
        situation(with_handler("b1", total=3), with_handler("b2", total=5), before=running(5)),
        ["5 of 5 jobs of 'mail' run that may run at once over the whole store (concurrency_total)"],
    ),
    (situation(with_handler("b1", total=3), with_handler("b2", total=5), before=running(4)), [NOTHING]),
    (situation(with_handler("b1", total=3), with_handler("b2"), before=running(9)), [NOTHING]),
    (
        situation(pause=PauseRecord("mail", limit=2), before=running(2)),
        ["2 of 2 jobs of 'mail' run that may run at once over the whole store"],
    ),
    (situation(pause=PauseRecord("mail", limit=2), before=running(1)), [NOTHING]),
    (
        situation(
            with_handler("b1", per_group=2),
            with_handler("b2", per_group=3),
            job=OF_ACME,
            before=CLEAR._replace(of_group=3),
        ),
        ["its group 'acme' has 3 of 3 jobs of 'mail' that may run at once (concurrency_per_group)"],
    ),
    (
        situation(
            with_handler("b1", per_group=2),
            with_handler("b2", per_group=3),
            job=OF_ACME,
            before=CLEAR._replace(of_group=2),
        ),
        [NOTHING],
    ),
    (
        situation(with_handler("b1", per_group=2), with_handler("b2"), job=OF_ACME, before=CLEAR._replace(of_group=2)),
        [NOTHING],
    ),
    (
        situation(with_handler("b1", rate="1/60s"), with_handler("b2"), before=CLEAR._replace(spent_to=NOW + 5)),
        [NOTHING],
    ),
    (situation(with_handler("b1", rate="1/60s"), before=CLEAR._replace(spent_to=NOW)), [NOTHING]),
    (
        situation(
            with_handler("b1", rate_per_group="1/60s"), job=OF_ACME, before=CLEAR._replace(group_spent_to=NOW + 5.005)
        ),
        ["its group 'acme' may start 1/60s, and the rate opens in 5 s, at 1970-01-12T13:46:45Z"],
    ),
    (
        situation(with_handler("b1", rate_per_group="1/60s"), before=CLEAR._replace(group_spent_to=NOW + 5.005)),
        [NOTHING],
    ),
    # Lanes
    (
        situation(a_boot(view=a_view(handlers=(a_handler(concurrency=1),), lanes=(a_lane("j8", 4.0),), lanes_open=1))),
        [f"the one lane of 'mail' is busy on {B1}, the longest for 4 s with job j8"],
    ),
    (
        situation(runs("b1", a_lane("j8", 4.0), a_lane("j9", 5.0)), runs("b2", a_lane("j6", 7.0), a_lane("j7", 6.0))),
        [
            f"all 2 lanes of 'mail' are busy on {B1}, the longest for 5 s with job j9; "
            f"all 2 lanes of 'mail' are busy on {B2}, the longest for 7 s with job j6"
        ],
    ),
    (situation(runs("b1", a_lane("j8"))), [NOTHING]),
    (situation(runs("b1", a_lane("j8"), a_lane("j9", job_name="other"))), [NOTHING]),
    (
        situation(runs("b1", a_lane("j8", 4.0, job_name="other"), limits={"workers_max": 1})),
        [f"all places (workers_max=1) are busy on {B1}, the longest for 4 s with job j8"],
    ),
    (situation(runs("b1", a_lane("j8", job_name="other"), limits={"workers_max": 2})), [NOTHING]),
    (situation(runs("b1", a_lane("j8"), a_lane("j9")), runs("b2", a_lane("j7"))), [NOTHING]),
    (situation(before=ahead(1)), ["1 due job of 'mail' comes before it"]),
    (situation(before=ahead(10, is_capped=True)), ["10+ due jobs of 'mail' come before it"]),
    (situation(job=OF_ACME, before=ahead(2)), ["2 due jobs of its group 'acme' come before it"]),
    # What is not known
    (
        situation(a_boot(view=a_view(actors=(an_actor("broker", busy_seconds=2.0),)))),
        [f"unknown, because the broker of {B1} has been at one message for 2 s"],
    ),
    (situation(a_boot(view=a_view(actors=(an_actor("broker", busy_seconds=1.9),)))), [NOTHING]),
    (
        situation(*(a_boot(f"b{number}") for number in range(1, 6)), before=None),
        [
            f"unknown, because {B1}, {B2}, boot b3 (pid 7 on h) and 2 more may take it and has not said what it is at "
            "(it was not asked); this store does not say which jobs come before it"
        ],
    ),
    # What runs
    (situation(a_boot("b2"), job=HELD), ["boot b1, which has claimed it, is not on the store any more"]),
    (situation(a_boot("b2"), job=HELD, has_all_boots=False), ["attempt 1 has held it on boot b1"]),
    (
        situation(a_boot(is_alive=None), job={**HELD, "claimed_at": NOW - 4}),
        [f"attempt 1 has held it for 4 s on {B1}, and nobody can know whether that lives"],
    ),
    (
        situation(runs("b1", a_lane("j1", 4.0, claim_no=2, cancelled="it timed out\nmore")), job=HELD),
        [f"attempt 1 has run for 4 s on {B1}, and is asked to end: it timed out"],
    ),
    (
        situation(runs("b1", a_lane("j1", 4.0, claim_no=2, unbegun="its child still imports")), job=HELD),
        [f"attempt 1 has not begun (its child still imports) for 4 s on {B1}"],
    ),
    (
        situation(runs("b1", a_lane("j1", 4.0), limits={}), job=HELD),
        [f"claim 1 of it still runs on {B1}, though it does not count any more; claim 2 begins when that has ended"],
    ),
    (situation(runs("b1", a_lane("j9", claim_no=2)), job=HELD), [f"it is claimed on {B1}, and about to begin"]),
]


@pytest.mark.parametrize(
    ("of", "says"), SAYS, ids=[f"{number} {says[0][:40]}" for number, (_, says) in enumerate(SAYS)]
)
def test_what_keeps_a_job_waiting_does_so_from_its_number_on(of, says):
    found = reasons(of)

    assert [one.sentence for one in found] == says
    # A sentence about what is as it should be, or not known, has nothing that would change it.
    assert all(bool(one.changes) != (one.code in ("unknown", "running", "claimed")) for one in found)
