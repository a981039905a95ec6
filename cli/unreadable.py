"""`lamplighter unreadable`: the messages in a RabbitMQ that no runtime could read, shown or returned."""

from __future__ import annotations

import argparse

from ..errors import UsageError
from ..rules.validation import check_whole
from ..rules.wording import clock, many
from ..stores.opening import place_of
from .page import Page

SHOWN = 100
LIMIT_MAX = 10_000


def declare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Shows the messages that runtimes have put aside because they could not read them: since when, "
        "where each was, its id, why; never what it holds. Exits with 1 if there are any. With --return they go back "
        "to the queues where they were, for runtimes that can read them now."
    )
    parser.add_argument("url", metavar="URL", help="amqp://user:password@host/vhost")
    parser.add_argument("--return", dest="is_returned", action="store_true", help="put them back where they were")
    parser.add_argument("--limit", type=int, default=SHOWN, help="at most so many, the first (default: %(default)s)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    limit = check_whole(arguments.limit, "--limit", least=1, most=LIMIT_MAX)
    visit = place_of(arguments.url).unreadable
    if visit is None:
        raise UsageError("expected the address of a RabbitMQ, amqp://user:password@host/vhost")
    page = Page()
    with visit() as visitor:
        if arguments.is_returned:
            returned, left = visitor.return_unreadable(limit)
            page.line(
                f"returned {many(returned, 'message')}; {left} {'has' if left == 1 else 'have'} no queue to go to",
                "bad" if left else "good",
            )
            return 1 if left else 0
        found, count = visitor.unreadable(limit)
    for one in found:
        since = "?" if one.since is None else clock(one.since)
        page.line(
            f"{since}  {one.queue or '?'}  {one.message_id or '?'}  {many(one.bytes, 'byte')}: {one.reason}", cut=True
        )
    if count > len(found):
        page.line(f"... and {count - len(found)} more; --limit shows more of them", "warning")
    page.line(f"{many(count, 'unreadable message')} in {visitor.address}", "bad" if count else "good")
    return 1 if count else 0
