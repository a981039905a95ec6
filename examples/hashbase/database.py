"""Hashbase's tables, as far as the jobs need them, and how a session on them is opened.

Columns have the names that the seed document and Hashbase's own records use, so that nobody has to translate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, ForeignKey, String, create_engine, event, exists, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

# How long a transaction waits for another's; SQLite has one writer.
BUSY_SECONDS_MAX = 10


class Base(DeclarativeBase):
    """The tables of this host."""


class User(Base):
    """A user record.

    Attributes:
        id: made by the host when the user registers.
        profileURL: the user's profile dat, `dat://<key>` with or without a slash at the end; None when there is none.
        isEmailVerified: the user followed the link in the e-mail.
        isProfileDatVerified: a proof of ownership was found in the profile dat. Set by verify-profile-dat.
        createdAt: milliseconds since the Unix epoch, as Hashbase's `Date.now()` gives.
    """

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str]
    profileURL: Mapped[str | None] = mapped_column(default=None)
    isEmailVerified: Mapped[bool] = mapped_column(default=False)
    isProfileDatVerified: Mapped[bool] = mapped_column(default=False)
    createdAt: Mapped[int]


class Archive(Base):
    """An archive that the host keeps on disk. `key`: 64 hex digits in lower case."""

    __tablename__ = "archives"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    createdAt: Mapped[int]


class UserArchive(Base):
    """A hosting row: this user has this archive hosted."""

    __tablename__ = "users_archives"

    userId: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    archiveKey: Mapped[str] = mapped_column(ForeignKey("archives.key"), primary_key=True)


class DeadArchive(Base):
    """The listing of an archive that nobody hosts any more. No foreign key: it outlives the record, so that an
    interrupted cleaning is taken up again."""

    __tablename__ = "dead_archives"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)


class Database:
    """Opens sessions. Safe to use from many threads."""

    def __init__(self, path: Path) -> None:
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS_MAX})
        event.listen(self._engine, "connect", _on_connect)
        event.listen(self._engine, "begin", _on_begin)
        self._writer = self._engine.execution_options(writing=True)

    def create(self) -> None:
        """Creates the tables that are missing."""
        Base.metadata.create_all(self._writer)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for looking. Objects stay usable after it."""
        with Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One write transaction: committed at the end, rolled back on an error.

        It takes the write lock at its beginning, so that what it reads stays true until it commits. Keep it short:
        Lamplighter's turns on the same file wait meanwhile.
        """
        with Session(self._writer) as session, session.begin():
            yield session

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()


def is_hosted(session: Session, key: str) -> bool:
    """Whether any user has the archive hosted."""
    return bool(session.scalar(select(exists().where(UserArchive.archiveKey == key))))


def _on_connect(connection: Any, _record: object) -> None:
    # The driver begins transactions late and by its own rules; _on_begin does it instead.
    connection.isolation_level = None
    connection.execute("pragma foreign_keys = on")
    # Otherwise whoever looks keeps a writer from committing. Lamplighter asks for the same on the file they share.
    connection.execute("pragma journal_mode = wal")


def _on_begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("begin immediate" if writing else "begin")
