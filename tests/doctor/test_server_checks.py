"""Each answer of the checks of a server, from facts made up for it: its level, its whole words, its limits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from lamplighter.stores.postgresql.condition import ServerFacts, ServerSession, TableSize
from lamplighter.stores.rabbitmq.admin_connection import Depth

from .kit import told

WELL = ServerFacts(
    server_version="16.2",
    fsync="on",
    full_page_writes="on",
    synchronous_commit="on",
    synchronous_standby_names="",
    max_connections=100,
    connections=7,
    ours=3,
    standbys=0,
    is_standby=False,
    is_read_only=False,
    role="app",
    owns=True,
    ahead=0.0,
    version=5,
)


def on_postgresql(check: str, facts: dict[str, Any] | None = None, **known: Any) -> list[tuple[str, str, str]]:
    """The same of a PostgreSQL that is well but for these facts."""
    place = {"schema_version": 5, "address": SimpleNamespace(schema="jobs"), "unreached": None, **known}
    return told(f"postgresql.{check}", postgresql=SimpleNamespace(facts=WELL._replace(**facts or {}), **place))


def begins(findings: list[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Level and evidence alone."""
    return [(level, evidence) for level, evidence, _ in findings]


@pytest.mark.parametrize(
    ("check", "facts", "says"),
    [
        ("version", {}, [("ok", "the server is PostgreSQL 16.2")]),
        ("version", {"server_version": "18.6"}, [("ok", "the server is PostgreSQL 18.6")]),
        (
            "version",
            {"server_version": "19.1"},
            [("note", "the server is PostgreSQL 19.1, and this Lamplighter was tried with 18 at the newest")],
        ),
        ("settings", {}, [("ok", "a commit that has returned survives a crash of the server")]),
        (
            "settings",
            {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "synchronous_standby_names": "s"},
            [
                ("error", "fsync is off: a crash of the server or its machine may damage every table"),
                ("error", "full_page_writes is off: a crash of the server or its machine may damage every table"),
                (
                    "note",
                    "synchronous_commit is off for this user: a crash of the server may lose what was stored last",
                ),
                ("error", "commits wait for a standby (s), and none is connected: nothing ends"),
            ],
        ),
        (
            "settings",
            {"synchronous_standby_names": "s", "standbys": 1},
            [("ok", "a commit that has returned survives a crash of the server")],
        ),
        (
            "connections",
            {"connections": 90, "ours": 1},
            [("ok", "the server has 90 connections of 100, 1 of them Lamplighter's on this database")],
        ),
        (
            "connections",
            {"connections": 1_801, "max_connections": 2_000, "ours": 1_000},
            [("warning", "the server has 1,801 connections of 2,000, 1,000 of them Lamplighter's on this database")],
        ),
        ("standby", {}, [("ok", "the server takes writes")]),
        ("standby", {"is_standby": True}, [("error", "the server is a standby, which takes no writes")]),
        (
            "standby",
            {"is_read_only": True},
            [("error", "sessions of user app only read: default_transaction_read_only is on")],
        ),
        ("clock", {"ahead": -2.0}, [("ok", "the server's clock agrees with the one here")]),
        ("clock", {"ahead": 3.0}, [("note", "the server's clock is 3 s ahead of the one here")]),
        ("clock", {"ahead": -4.0}, [("note", "the server's clock is 4 s behind the one here")]),
    ],
)
def test_a_postgresql_is_judged_by_its_facts(check, facts, says):
    assert begins(on_postgresql(check, facts)) == says


@pytest.mark.parametrize(
    ("version", "differences", "says"),
    [
        (5, [], ("ok", "schema jobs has the tables of version 5, and they are as this Lamplighter makes them", "")),
        (
            0,
            [],
            (
                "error",
                "schema jobs has no tables of Lamplighter",
                "start a runtime, which makes them; or see whether ?schema= in the address is right",
            ),
        ),
        (
            6,
            [],
            (
                "error",
                "schema jobs has version 6 of the tables, and this Lamplighter reads 5",
                "update this Lamplighter",
            ),
        ),
        (
            4,
            [],
            (
                "error",
                "schema jobs has version 4 of the tables, and this Lamplighter reads 5",
                "the start of a runtime of this version makes it newer",
            ),
        ),
        (
            5,
            ["a", "b", "c"],
            (
                "error",
                "somebody has changed the tables: a; b; c",
                "undo it, or put a backup back: a runtime that meets the change fails",
            ),
        ),
        (
            5,
            ["a", "b", "c", "d", "e"],
            (
                "error",
                "somebody has changed the tables: a; b; c, and 2 more",
                "undo it, or put a backup back: a runtime that meets the change fails",
            ),
        ),
    ],
)
def test_the_tables_of_a_postgresql_are_those_of_a_version(version, differences, says):
    assert on_postgresql("schema", {"version": version}, differences=lambda: differences) == [says]


def test_a_user_of_a_postgresql_is_told_what_it_may_not_do():
    missing = {"lamplighter_jobs": "delete", "lamplighter_boots": "insert and update"}

    limited = on_postgresql("rights", {"owns": False}, missing_rights=lambda: missing)

    assert begins(limited) == [
        ("warning", "user app may not delete in lamplighter_jobs"),
        ("warning", "user app may not insert and update in lamplighter_boots"),
        ("note", "user app does not own the tables, so it can neither vacuum nor update them"),
    ]
    assert 'in schema "jobs" to' in limited[0][2]
    for owns in (True, None):
        whole = on_postgresql("rights", {"owns": owns}, missing_rights=dict)
        assert whole == [("ok", "user app may do all that a runtime does", "")]


def test_transactions_that_keep_jobs_of_a_postgresql_locked_are_told():
    def session(name: str, seconds: float | None) -> ServerSession:
        return ServerSession(name, seconds, 0)

    holders = [
        (session("a", 3.0), True),
        (session("b", None), True),
        (session("c", 60.0), False),
        (session("d", 70.0), True),
    ]
    brief = [(session("a", 2.0), True), (session("b", None), False), (session("c", 2.0), False)]

    assert begins(on_postgresql("locks", holders=lambda: holders)) == [
        ("error", "a has had a transaction open for 3 s: turns wait for jobs that it has locked"),
        ("warning", "b has had a transaction open: turns wait for jobs that it has locked"),
        ("warning", "c has had a transaction open for 60 s: it has locked jobs, or all of them"),
    ]
    assert begins(on_postgresql("locks", holders=lambda: brief)) == [("ok", "no transaction keeps jobs locked")]


def test_old_snapshots_of_a_postgresql_are_told_by_their_age_or_their_transactions():
    young = [ServerSession("a", 600.0, 1_000_000), ServerSession("b", None, 1_000_000)]
    old = [
        ServerSession("c", 601.0, 5),
        ServerSession("d", None, 1_000_001),
        ServerSession("e", 7200.0, 2),
        ServerSession("f", 9999.0, 1),
    ]
    rest = "transactions old: what was deleted or changed since cannot be removed, and each claim must pass over it"

    assert begins(on_postgresql("snapshots", old_snapshots=lambda: young)) == [("ok", "nobody keeps an old snapshot")]
    assert begins(on_postgresql("snapshots", old_snapshots=lambda: young + old)) == [
        ("warning", f"c keeps an old snapshot for 10 min 1 s, 5 {rest}"),
        ("warning", f"d keeps an old snapshot, 1,000,001 {rest}"),
        ("warning", f"e keeps an old snapshot for 2 h 0 min, 2 {rest}"),
    ]


def test_dead_rows_of_a_postgresql_are_judged_by_their_number_and_their_share():
    tables = [
        TableSize("few", live=1, dead=100_000, bytes=1),
        TableSize("half", live=400_000, dead=200_000, bytes=1),
        TableSize("many", live=300_000, dead=150_001, bytes=3 << 20),
    ]
    place = SimpleNamespace(tables=lambda: tables)

    said = told("postgresql.bloat", postgresql=place, living=[], views=[])

    assert begins(said) == [
        ("warning", "many has 150,001 dead rows beside 300,000 live ones, and takes 3.0 MiB"),
        ("note", "no runtime is on the store, so nothing removes what has ended"),
    ]
    assert "`vacuum many` does it now" in said[0][2]


def on_rabbitmq(check: str, views: list[Any] | None = None, **known: Any) -> list[tuple[str, str]]:
    """Level and evidence of what a check says of a RabbitMQ."""
    queues = {"LEDGER": None, "DEAD": None, "UNREADABLE": None, **known.pop("depths", {})}
    place = {"depth": queues.get, "unreached": None, **known}
    return begins(told(f"rabbit.{check}", server=SimpleNamespace(**place), views=views or []))


def ready(count: int | None, consumers: int = 0) -> Depth | None:
    """A queue with so many messages, or None for a queue that is not there."""
    return None if count is None else Depth(count, consumers)


def a_view(boot: str, *names: str, leads: bool = False) -> Any:
    return SimpleNamespace(boot=boot, names=names, leads=leads)


NOT_USED = ("unknown", "no runtime has used this virtual host yet: its queues are not there")


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ("4.0.5", ("ok", "the server is RabbitMQ 4.0.5")),
        ("3.13.7", ("error", "the server is RabbitMQ 3.13.7, whose quorum queues have no priorities")),
        (None, ("unknown", "the server does not tell its version (None)")),
        ("new", ("unknown", "the server does not tell its version (new)")),
    ],
)
def test_a_rabbitmq_is_judged_by_its_version(version, says):
    assert on_rabbitmq("version", visitor=SimpleNamespace(server_version=version)) == [says]


def test_other_queues_on_a_rabbitmq_are_told_apart_from_refused_ones():
    differences = {"q1": "406 x-max-length", "q2": "403 ACCESS_REFUSED - q2", "q3": "406 durable"}

    assert on_rabbitmq("arguments", differences=differences, queues=(2, 9)) == [
        ("error", "queue q1 is another than runtimes declare: 406 x-max-length"),
        ("error", "queue q3 is another than runtimes declare: 406 durable"),
    ]
    assert on_rabbitmq("rights", differences=differences) == [
        ("warning", "the server refuses this user what a runtime must do: 403 ACCESS_REFUSED - q2")
    ]
    assert on_rabbitmq("arguments", differences={}, queues=(7, 9)) == [
        ("ok", "7 of 9 queues are there, and each is as runtimes declare it")
    ]
    assert on_rabbitmq("arguments", differences={}, queues=(0, 9)) == [NOT_USED]
    assert on_rabbitmq("rights", differences={}) == [NOT_USED]
    assert on_rabbitmq("rights", differences={}, depths={"LEDGER": Depth(0, 0)}) == [
        ("ok", "this user may declare, and look at, the queues of a runtime")
    ]


@pytest.mark.parametrize(
    ("views", "consumers", "says"),
    [
        ([], None, NOT_USED),
        ([("b1", False), ("b2", True)], 2, ("ok", "boot b2 leads")),
        ([("b1", False)], 0, ("error", "no runtime reads the ledger, so no schedule fires")),
        ([], 1, ("unknown", "1 runtime reads the ledger, and none of the 0 that have answered leads")),
        (
            [("b1", False), ("b2", False)],
            3,
            ("unknown", "3 runtimes read the ledger, and none of the 2 that have answered leads"),
        ),
    ],
)
def test_who_leads_on_a_rabbitmq_is_told(views, consumers, says):
    depth = None if consumers is None else Depth(0, consumers)

    answered = [a_view(boot, leads=leads) for boot, leads in views]

    assert on_rabbitmq("leader", answered, depths={"LEDGER": depth}) == [says]


def test_jobs_of_a_rabbitmq_that_nobody_takes_are_told_by_name():
    depths = {"a": Depth(1, 0), "b": Depth(7, 0), "c": Depth(5, 1), "d": Depth(0, 0), "e": None}
    asked = []

    def of_names(names):
        asked.append(names)
        return {name: depths[name] for name in names}

    left = on_rabbitmq("consumers", [a_view("b1", "c", "b", "a"), a_view("b2", "a", "d", "e")], of_names=of_names)
    well = on_rabbitmq("consumers", [a_view("b1", "c", "d")], of_names=of_names)

    assert left == [
        ("warning", "1 job of 'a' waits, and nobody takes from its queue"),
        ("warning", "7 jobs of 'b' wait, and nobody takes from its queue"),
    ]
    assert well == [("ok", "each of the 2 names of the runtimes that have answered has consumers, or nothing waits")]
    assert asked == [["a", "b", "c", "d", "e"], ["c", "d"]]
    assert on_rabbitmq("consumers", of_names=of_names) == [
        ("unknown", "no runtime has answered with names, and the server does not tell which queues it has")
    ]


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ([None, None], NOT_USED),
        ([None, 0], ("ok", "no delayed job waits for its time")),
        ([0, 1], ("unknown", "1 delayed job waits, and the server does not tell whether one is past its time")),
        ([1, None, 2], ("unknown", "3 delayed jobs wait, and the server does not tell whether one is past its time")),
    ],
)
def test_delayed_jobs_of_a_rabbitmq_are_counted_over_all_its_queues(counts, says):
    assert on_rabbitmq("delayed", delayed=list(map(ready, counts))) == [says]


@pytest.mark.parametrize(
    ("dead", "unreadable", "says"),
    [
        (None, None, [NOT_USED]),
        (0, 0, [("ok", "no job is dead")]),
        (1, 0, [("note", "1 job is dead; for how long the server does not tell")]),
        (1_000, None, [("note", "1,000 jobs are dead; for how long the server does not tell")]),
        (
            1_001,
            2,
            [
                ("warning", "no runtime could read 2 messages"),
                ("warning", "1,001 jobs are dead, and lie there until they are requeued or removed"),
            ],
        ),
    ],
)
def test_dead_jobs_and_unreadable_messages_of_a_rabbitmq_are_told(dead, unreadable, says):
    assert on_rabbitmq("dead", depths={"DEAD": ready(dead), "UNREADABLE": ready(unreadable)}) == says


def test_a_server_that_lets_nobody_in_says_why_and_nothing_else_is_known():
    visitor = SimpleNamespace(address="amqp://h")
    why = "expected it to let this user in, got: refused"

    for check, place in (("postgresql.reach", "postgresql"), ("rabbit.reach", "server")):
        ((level, evidence, _),) = told(check, **{place: SimpleNamespace(unreached=why)})
        assert (level, evidence) == ("error", why)
    assert on_postgresql("reach") == [("ok", "a server lets this user in", "")]
    assert on_rabbitmq("reach", visitor=visitor) == [("ok", "amqp://h lets this visitor in")]
    assert on_rabbitmq("alarms", alarm=None) == [("ok", "the server has taken a message")]
    assert on_rabbitmq("alarms", alarm="low on disk") == [("error", "the server takes no messages: low on disk")]
