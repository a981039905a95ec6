"""An attempt that runs far beyond the usual time of its name is told, once."""

from __future__ import annotations

from lamplighter.handlers.lanes import RUNS_MIN

from ...handlers.test_slow_jobs import JOIN_SECONDS_MAX

CHILD = """
import pathlib

def work(job):
    if job.data is not None:
        pathlib.Path(job.data).touch()
        job.sleep(15)
"""


def test_a_child_process_is_told_of_too(timed, time, recorder, importable, tmp_path):
    module, begun = importable("slow_child", CHILD), tmp_path / "begun"
    rt = timed()
    rt.jobs.add_handler("work", module.work, isolation="process")
    for _ in range(RUNS_MIN):
        rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX)
    job = rt.jobs.queue("work", str(begun))
    # The time of a child counts from the call of its function, which comes after `job.started`.
    recorder.until(begun.exists, "that the function is called")
    time.advance(61)

    assert recorder.wait_for("job.slow", job_id=job.id)["seconds"] == 61.0
    rt.jobs.cancel(job)
