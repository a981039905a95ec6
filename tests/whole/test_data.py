"""Data, results and progress of every kind that can be carried: what stands for it is stored, and annotations bring it
back.
"""

from __future__ import annotations

import uuid

from lamplighter.testing import assert_queued

QUEUES = """
import uuid

def queues(job):
    return job.queue("more", {"id": uuid.UUID(int=1), "of": {3}}).data
"""


def test_a_child_process_queues_what_a_thread_may(runtime, importable):
    rt = runtime()
    rt.jobs.add_handler("work", importable("queueing_kinds", QUEUES).queues, isolation="process")

    done = rt.jobs.join(rt.jobs.queue("work"), timeout=15)

    assert done.result == {"id": str(uuid.UUID(int=1)), "of": [3]}
    assert_queued(rt, "more", {"id": uuid.UUID(int=1)})
