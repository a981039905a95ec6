"""A process whose boot lives on a PostgreSQL until it is killed, or what it reads ends."""

from __future__ import annotations

import os
import sys
import threading
import time

from lamplighter.environment.threads import spawn
from lamplighter.stores.postgresql.address import parse_address
from lamplighter.stores.postgresql.connection import connect
from lamplighter.stores.postgresql.presence import PostgresPresence
from lamplighter.stores.postgresql.watcher import Channel, Watcher

_, url, boot = sys.argv
watcher = Watcher(lambda: connect(parse_address(url)), spawn, threading.Event, time.monotonic)
channel = Channel(watcher, boot)
presence = PostgresPresence(watcher, channel)
presence.enter(boot)
row = "insert into lamplighter_boots (boot, pid, host, started_at, hint, boot_no) values (?, ?, '', 0.0, ?, 1)"
connect(parse_address(url)).execute(row, (boot, os.getpid(), channel.address))
print("holds", flush=True)
for line in sys.stdin:
    if line == "fork\n" and os.fork() == 0:
        print(os.getpid(), flush=True)
        # For as long as the test lasts, whatever becomes of the parent.
        while os.read(0, 1):
            pass
        os._exit(0)
presence.leave(boot)
