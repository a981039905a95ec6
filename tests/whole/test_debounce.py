"""`debounce=`: of many calls with one key, one job, with the data of the last; and no call is lost."""

from __future__ import annotations

from datetime import timedelta

from ..test_debounce import JOIN_SECONDS_MAX

IN_CHILD = """
from datetime import timedelta
from lamplighter import Debounce, JobSpec, UsageError

HOUR = Debounce("k", quiet=timedelta(hours=1), at_most=timedelta(hours=2))

def calls(job):
    first = job.queue("index", 1, debounce=HOUR)
    second, = job.queue_many([JobSpec(name="index", data=2, debounce=HOUR)])
    job.then(JobSpec(name="index", data=3, debounce=HOUR))
    said = []
    for wrong in ({"key": "k"}, "k", Debounce("k", quiet=5, at_most=1), Debounce(7, quiet=1, at_most=1)):
        try:
            job.queue("index", 4, debounce=wrong)
        except UsageError as error:
            said.append(str(error).partition(", got")[0])
    return [first.id, second.id, second.debounce, said]
"""


def test_a_child_process_calls_for_jobs_as_any_handler(runtime, importable):
    rt = runtime()
    rt.jobs.add_handler("calls", importable("calls_in_a_child", IN_CHILD).calls, isolation="process", max_attempts=1)

    done = rt.jobs.join(rt.jobs.queue("calls"), timeout=JOIN_SECONDS_MAX)

    first, second, key, said = done.result
    assert (first == second, key, rt.jobs.get(first).data) == (True, "k", 3)
    assert said == [
        "expected debounce to be a Debounce",
        "expected debounce to be a Debounce",
        "expected debounce.at_most to be quiet or more",
        "expected debounce.key to be a str of 1 to 200 characters",
    ]
    assert rt.jobs.get(first).run_at - done.ended_at > timedelta(minutes=59)
