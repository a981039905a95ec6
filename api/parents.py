"""The jobs that another has waited for, as a sequence that reads them some at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from .job import Job
    from .job_handler import JobHandler


class Parents(Sequence["Job[Any]"]):
    """Reads a page for each look, and keeps none: the results of many jobs may be large.

    Args:
        page: the jobs behind the first so many; none behind the last.
        of: a handler object, whose jobs alone are meant.
    """

    def __init__(
        self, page: Callable[[int], Sequence[Job[Any]]], of: JobHandler[..., Any, Any, Any] | None = None
    ) -> None:
        self._page = page
        self._of = of

    def __iter__(self) -> Iterator[Job[Any]]:
        read = 0
        while jobs := self._page(read):
            read += len(jobs)
            for job in jobs:
                if self._of is None:
                    yield job
                elif job.name == self._of.name:
                    job.types = self._of.types
                    yield job

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, place: int) -> Job[Any]: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Job[Any]]: ...

    def __getitem__(self, place: int | slice) -> Job[Any] | Sequence[Job[Any]]:
        return list(self)[place]

    def __repr__(self) -> str:
        return f"<Parents {list(self)!r}>"
