"""Where a store is, and who meets there. `opening.place_of` finds the place of an address."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypedDict, Unpack

from ..messages.controls import ANSWER_SECONDS, HUNG_SECONDS_MAX

if TYPE_CHECKING:
    from ..messages.jobs import Instant, Seconds
    from .control_client import ControlClient, JobHolders
    from .controls import Controls
    from .hints import Hints
    from .ports import Readable, Store
    from .presence import Presence
    from .stored_lives import StoredLives, WatchedReadable


LOOKS, LOOK_SECONDS = 5, 0.05
"""How often it is looked who holds a lock, and the wait between: a turn holds one for milliseconds only."""


class StoreOptions(TypedDict, total=False):
    """Options of a store; one on a server has none of the file's.

    Attributes:
        only_existing: create and migrate nothing, because the caller is no runtime.
    """

    durability: str
    busy_seconds_max: float
    wal_bytes_max: int
    only_existing: bool


class LockHolder(NamedTuple):
    """A process or a session that keeps turns waiting.

    Attributes:
        words: who that is, for people.
        pid: the process, if it is one of this machine.
        holds: what it has, and `stops`, what that keeps from being done, for people.
    """

    words: str
    pid: int | None
    holds: str = "the write lock"
    stops: str = "no job can be taken"


class Condition(Protocol):
    """The state of a place beside its jobs and runtimes. A method with a body is for places that have nothing of the
    kind.

    Attributes:
        parts: the kinds of checks of the doctor that there is evidence for.
    """

    parts: frozenset[str]

    @property
    def unreached(self) -> str | None:
        """Why nobody is let in, so that nothing can be seen; None if that is not so."""

    def sizes(self) -> tuple[int, int] | None:
        """The bytes of the store's file, and of the log beside it; None where there is no file."""
        return None

    def lock_holder(self, wait: Callable[[Seconds], object] | None = None) -> LockHolder | None:
        """Who has the write lock, or rows that a turn waits for; None if there is none, or nobody can know.

        Args:
            wait: sleeps. With it, only a holder is told that keeps the lock for a whole look, without a commit.
        """
        return None

    def moved_to(self) -> str | None:
        """The address to which `lamplighter migrate` has moved the store; None if it has not."""
        return None

    def check_there(self) -> None:
        """Refuse an address at which there can be no store, as far as that costs no connection.

        Raises:
            StoreError: there is no file.
        """
        return

    def check_tables(self, connection: Any) -> str | None:
        """What is wrong with the store's tables, as a connection of the application to that database finds them.

        Raises:
            UsageError: the store was moved.
        """
        return None

    def close(self) -> None:
        """End the look."""
        return


class StorePlace(Protocol):
    """A file, a server, or the memory of a process. It is made without a look at the store.

    Attributes:
        address: finds the place again. It may hold a password.
        shown: the same for texts, without a password.
        is_shared: others can be there too.
        has_table: every job there can be found from outside of the runtimes.
        one_writer: a transaction of the application that has written there keeps all turns waiting.
        redelivers: a job that somebody has claimed may be given out again.
    """

    address: str
    shown: str
    is_shared: bool
    has_table: bool
    one_writer: bool
    redelivers: bool

    def store(self, *, failpoints: Any, new_id: Callable[[], str], **options: Unpack[StoreOptions]) -> Store:
        """The store, for a runtime or an operator. It is not open yet."""

    def meet(self, store: Store, boot: str) -> tuple[Presence, Hints, Controls]:
        """How a boot on the store knows which others live, tells them of changes, and is asked from outside."""

    def client(
        self, timeout: Seconds = ANSWER_SECONDS, *, hung_seconds_max: Seconds = HUNG_SECONDS_MAX, is_plain: bool = False
    ) -> ControlClient:
        """Asks the boots on the store.

        Args:
            timeout: how long they may take to answer.
            hung_seconds_max: a part of a boot that is at one message for longer hangs.
            is_plain: the views may be without most of what they tell, which takes long to load.
        """

    @property
    def holders(self) -> Callable[[Callable[[], Instant], Callable[[str], Any] | None], JobHolders] | None:
        """Asks the runtimes to act on jobs that they hold, by a clock, and by the short visits to a server that are
        made instead of the usual ones; None where an operator's own turn acts on any job."""

    def readable(self) -> Readable:
        """The store, for looks from outside. Close it."""

    @property
    def tables(self) -> Callable[[], WatchedReadable] | None:
        """Opens the same where every job can be found; None where there is no table of all."""

    def condition(self) -> Condition:
        """What can be seen there beside the jobs and the runtimes. Close it."""

    @property
    def lives(self) -> Callable[[], StoredLives] | None:
        """Opens all that the store keeps, to compare it with a log; None where there is no table of all."""

    @property
    def unreadable(self) -> Callable[[], AbstractContextManager[Any]] | None:
        """Looks at messages that no runtime could read, and returns them; None where there can be none."""

    @property
    def creation(self) -> Callable[[Sequence[str]], str] | None:
        """The statements that create the tables, and let some roles use them; None where nobody need run any."""

    def is_database(self, vendor: str, settings: Mapping[str, Any]) -> bool:
        """Whether the store is in a database of the application, as Django's settings describe it."""
        return False

    def network_filesystem(self) -> str | None:
        """The type of the file system, if it is one of a network, where a store must not be."""
        return None
