"""What the jobs share: configuration, database, and the time of day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from .config import Config, ConfigError
from .database import Database


def utc_now() -> datetime:
    """The time of day."""
    return datetime.now(UTC)


class Host:
    """One opened Hashbase.

    Attributes:
        config: the checked configuration.
        database: users and archives.
        now: the time of day, with a time zone. Handed in, so that a test can own it.
    """

    def __init__(self, config: Config, *, now: Callable[[], datetime] = utc_now) -> None:
        """Opens the database and creates tables that are missing.

        Raises:
            ConfigError: the data folder does not exist. It is not created, as it would be an empty one in the wrong
                place more often than not.
        """
        if not config.data_dir.is_dir():
            raise ConfigError(f"expected data_dir to be an existing folder, got: {config.data_dir}")
        self.config = config
        self.now = now
        self.database = Database(config.database)
        self.database.create()

    def now_ms(self) -> int:
        """The time of day in milliseconds since the Unix epoch, the unit of `createdAt`."""
        return int(self.now().timestamp() * 1000)

    def close(self) -> None:
        """Closes the database."""
        self.database.close()
