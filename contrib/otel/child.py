"""What a child process of `isolation="process"` puts around its jobs. The spans themselves are its runtime's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import context, propagate
from opentelemetry.context import Context

from ...job import Job


@contextmanager
def attached(job: Job[Any]) -> Iterator[None]:
    """The context of the attempt's span: what the function begins is a child of that."""
    token = context.attach(propagate.extract(job.carried, Context()))
    try:
        yield
    finally:
        context.detach(token)
