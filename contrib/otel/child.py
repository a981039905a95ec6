"""The context that a child process of `isolation="process"` puts around its jobs. The spans themselves are its
runtime's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from opentelemetry import context, propagate
from opentelemetry.context import Context

from ...api.job import Job


def attached(job: Job[Any]) -> AbstractContextManager[None]:
    """The context of the attempt's span: what the function begins is a child of that."""
    return attached_to(propagate.extract(job.carried, Context()))


@contextmanager
def attached_to(one: Context) -> Iterator[None]:
    """A context as the current one, while this lasts."""
    token = context.attach(one)
    try:
        yield
    finally:
        context.detach(token)
