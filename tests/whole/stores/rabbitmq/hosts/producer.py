"""Queues jobs, to be killed at any instant. producer.py URL PREFIX FIRST LAST: says what was accepted, then `idle`."""

from __future__ import annotations

import sys

from lamplighter import JobSpec, Runtime, StoreUnavailable

url, prefix, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
runtime = Runtime(url, reply_seconds_max=5.0)
with runtime:
    print("started", flush=True)
    number = first
    while number <= last:
        # One by one and in bulk: both ways of being accepted.
        more = 1 if number % 3 else min(20, last - number + 1)
        jobs = [JobSpec(name="work", data={"number": n}, id=f"{prefix}-{n}") for n in range(number, number + more)]
        try:
            if more == 1:
                runtime.jobs.queue("work", jobs[0].data, id=jobs[0].id)
            else:
                runtime.jobs.queue_many(jobs)
        except StoreUnavailable as error:
            # As a host would: the same again, with the same ids.
            print("unavailable", str(error).replace("\n", " "), flush=True)
            continue
        number += more
        print("accepted", number, flush=True)
    print("idle", flush=True)
    sys.stdin.read()
