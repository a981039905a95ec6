"""Handler objects: what `jobs.handler` leaves in the place of a function."""

from __future__ import annotations

import sys
import types

from ..test_job_handler import module

__all__ = ["module"]
"""Fixtures that both halves of these tests use."""


LATE_MODULE = """
from late_runtime import jobs


@jobs.handler("cpu", isolation="process")
def cpu(job):
    return 7
"""


def test_a_child_process_runs_the_function_that_a_decorator_has_wrapped(module):
    module.runtime.start()

    assert module.runtime.jobs.join(module.halve.queue(6), timeout=15).result == 3
    assert module.runtime.jobs.join(module.named.queue(8), timeout=15).result == 4


def test_a_decorator_takes_a_module_that_is_imported_while_the_runtime_runs(runtime, importable):
    rt = runtime()
    sys.modules["late_runtime"] = types.SimpleNamespace(jobs=rt.jobs)
    try:
        module = importable("late_module", LATE_MODULE)
        assert module.cpu.queue().name == "cpu"
    finally:
        del sys.modules["late_runtime"]
