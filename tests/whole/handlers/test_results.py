"""Results: what cannot be kept is refused when the handler is added, and afterwards it costs nobody the work."""

from __future__ import annotations

import pytest
from lamplighter import ResultLost

RESULTS = """
def unkept(job):
    return object()
"""


def test_a_child_process_loses_a_result_as_a_thread_does(runtime, importable):
    rt = runtime()
    rt.jobs.add_handler("work", importable("unkept_results", RESULTS).unkept, isolation="process")

    done = rt.jobs.join(rt.jobs.queue("work"), timeout=15)

    assert done.state == "done"
    with pytest.raises(ResultLost, match="got: object"):
        _ = done.result
