"""An attempt that runs far beyond the usual time of its name is told, once."""

from __future__ import annotations

from lamplighter.handlers.lanes import RUNS_MIN

from ...handlers.test_slow_jobs import JOIN_SECONDS_MAX


def test_a_child_process_is_told_of_too(timed, time, recorder, importable):
    module = importable("slow_child", "def work(job):\n    if job.data == 'slow':\n        job.sleep(15)\n")
    rt = timed()
    rt.jobs.add_handler("work", module.work, isolation="process")
    for _ in range(RUNS_MIN):
        rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX)
    job = rt.jobs.queue("work", "slow")
    recorder.wait_for("job.started", job_id=job.id)
    time.advance(61)

    assert recorder.wait_for("job.slow", job_id=job.id)["seconds"] == 61.0
    rt.jobs.cancel(job)
