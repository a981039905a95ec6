"""The Jobs API: every call and option of the table in DESIGN.md, for sync and for asyncio hosts."""

from __future__ import annotations

import pytest
from lamplighter import (
    JobFailed,
)


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_half_of_a_surrogate_pair_loses_no_work(runtime, importable, isolation):
    rt = runtime()
    halves = importable(
        "halves",
        "def work(job):\n"
        "    job.progress(1, note='\\ud83d')\n"
        "    job.step('cut', str, 'caf\\udce9')\n"
        "    if job.data == 'fails':\n"
        "        raise ValueError('b\\ud83d')\n"
        "    return [job.id, '\\ud83d']\n",
    )
    rt.jobs.add_handler("work", halves.work, isolation=isolation, max_attempts=1)

    done = rt.jobs.join(rt.jobs.queue("work"), timeout=20)
    with pytest.raises(JobFailed):
        rt.jobs.join(rt.jobs.queue("work", "fails", id="b"), timeout=20)

    failed = rt.jobs.get("b")
    assert done.result == [done.id, "\ufffd"]
    assert (failed.error, failed.progress_report["note"]) == ("ValueError: b\ufffd", "\ufffd")
    assert [step.result for step in rt.jobs.steps("b")] == ["caf\ufffd"]
