"""Checks a RabbitMQ, as far as it answers users without administration rights."""

from __future__ import annotations

from collections.abc import Iterator

from ..rules.wording import many
from .diagnosis import Symptom, Symptoms, error, note, ok, unknown, warning
from .evidence import Evidence

VERSION_MIN = 4

DEAD_MAX = 1_000
"""From so many on, nobody looks at dead jobs one by one."""

REFUSED_ACCESS = "403"

NOT_USED = "no runtime has used this virtual host yet: its queues are not there"


def reach(seen: Evidence) -> Iterator[Symptom]:
    why = seen.server.unreached
    if why is None:
        yield ok(f"{seen.server.visitor.address} lets this visitor in")
    else:
        yield error(
            why, "see whether it runs, whether this machine can reach it, and whether user and virtual host are right"
        )


def rights(seen: Evidence) -> Symptoms:
    refused = [says for says in seen.server.differences.values() if REFUSED_ACCESS in says]
    if refused:
        yield warning(
            f"the server refuses this user what a runtime must do: {refused[0]}",
            "give the user of the runtimes configure, write and read on `lamplighter.*` (rabbitmqctl set_permissions)",
        )
    elif seen.server.depth("LEDGER") is None:
        yield unknown(NOT_USED)
    return "this user may declare, and look at, the queues of a runtime"


def version(seen: Evidence) -> Symptoms:
    said = seen.server.visitor.server_version
    major = (said or "").partition(".")[0]
    if not major.isdecimal():
        yield unknown(f"the server does not tell its version ({said})", "`rabbitmqctl version`")
    elif int(major) < VERSION_MIN:
        yield error(
            f"the server is RabbitMQ {said}, whose quorum queues have no priorities",
            f"upgrade it to RabbitMQ {VERSION_MIN} or newer",
        )
    return f"the server is RabbitMQ {said}"


def alarms(seen: Evidence) -> Symptoms:
    alarm = seen.server.alarm
    if alarm is not None:
        yield error(
            f"the server takes no messages: {alarm}",
            "free memory or disk on its nodes (`rabbitmq-diagnostics alarms`); runtimes go on by themselves then",
        )
    return "the server has taken a message"


def arguments(seen: Evidence) -> Symptoms:
    found = {name: says for name, says in seen.server.differences.items() if REFUSED_ACCESS not in says}
    for name, says in found.items():
        yield error(
            f"queue {name} is another than runtimes declare: {says}",
            "somebody has made it by hand, or another version: let it run empty, delete it, and restart a runtime",
        )
    there, all_of_them = seen.server.queues
    if not there:
        yield unknown(NOT_USED)
    return f"{there} of {all_of_them} queues are there, and each is as runtimes declare it"


def leader(seen: Evidence) -> Iterator[Symptom]:
    depth = seen.server.depth("LEDGER")
    if depth is None:
        yield unknown(NOT_USED)
        return
    leads = [view.boot for view in seen.views if view.leads]
    if leads:
        yield ok(f"boot {', '.join(leads)} leads")
    elif not depth.consumers:
        yield error("no runtime reads the ledger, so no schedule fires", "start a runtime")
    else:
        yield unknown(
            f"{many(depth.consumers, 'runtime')} {'reads' if depth.consumers == 1 else 'read'} the ledger, and none of "
            f"the {len(seen.views)} that have answered leads",
            "look again: a leader is found within seconds after one has gone",
        )


def consumers(seen: Evidence) -> Symptoms:
    names = sorted({name for view in seen.views for name in view.names})
    depths = seen.server.of_names(names)
    left = {name: one.ready for name, one in depths.items() if one is not None and one.ready and not one.consumers}
    for name, ready in left.items():
        yield warning(
            f"{many(ready, 'job')} of {name!r} {'waits' if ready == 1 else 'wait'}, and nobody takes from its queue",
            "see whether the name is paused, or its handlers are halted: `lamplighter runtimes list`",
        )
    if not names:
        yield unknown("no runtime has answered with names, and the server does not tell which queues it has")
    return f"each of the {many(len(names), 'name')} of the runtimes that have answered has consumers, or nothing waits"


def rungs(seen: Evidence) -> Symptoms:
    found = seen.server.delayed
    waiting = sum(depth.ready for depth in found if depth is not None)
    if all(depth is None for depth in found):
        yield unknown(NOT_USED)
    elif waiting:
        yield unknown(
            f"{many(waiting, 'delayed job')} {'waits' if waiting == 1 else 'wait'}, and the server does not tell "
            "whether one is past its time",
            "`rabbitmqctl list_queues name messages head_message_timestamp`",
        )
    return "no delayed job waits for its time"


def dead(seen: Evidence) -> Iterator[Symptom]:
    depth, unreadable = seen.server.depth("DEAD"), seen.server.depth("UNREADABLE")
    if unreadable is not None and unreadable.ready:
        yield warning(
            f"no runtime could read {many(unreadable.ready, 'message')}",
            "`lamplighter unreadable URL` shows why; `--return` puts them back when a newer version runs",
        )
    if depth is None:
        yield unknown(NOT_USED)
    elif depth.ready > DEAD_MAX:
        yield warning(
            f"{depth.ready:,} jobs are dead, and lie there until they are requeued or removed",
            '`jobs.list(state="dead")` shows them; requeue them when the cause is mended, or remove them',
        )
    elif depth.ready:
        verb = "is" if depth.ready == 1 else "are"
        yield note(f"{many(depth.ready, 'job')} {verb} dead; for how long the server does not tell")
    else:
        yield ok("no job is dead")
