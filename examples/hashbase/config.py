"""The host's configuration: one TOML file, and the secret also from the environment."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SECRET_VARIABLE = "HASHBASE_SECRET"
DEFAULT_FILE = Path(__file__).with_name("hashbase.toml")

# RFC 7518 section 3.2: a key as long as the hash, or longer. Proofs are public, so a short secret can be searched for
# on anyone's own machine.
SECRET_BYTES_MIN = {"HS256": 32, "HS384": 48, "HS512": 64}

_HOSTNAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", re.A)


class ConfigError(ValueError):
    """The configuration cannot be used. The message says what was expected, what came, and in which file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A checked configuration.

    Attributes:
        hostname: the service's name, in lower case.
        data_dir: the folder that holds archives and database.
        algorithm: the one JWT algorithm that proofs may use.
        secret: the service's own secret. Not shown by `repr`.
    """

    hostname: str
    data_dir: Path
    algorithm: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if _HOSTNAME.fullmatch(self.hostname) is None:
            raise ConfigError(f"expected hostname to be a host name in lower case, got: {self.hostname!r}")
        if self.algorithm not in SECRET_BYTES_MIN:
            raise ConfigError(f"expected algorithm to be one of {', '.join(SECRET_BYTES_MIN)}, got: {self.algorithm!r}")
        length, needed = len(self.secret.encode("utf-8", "surrogateescape")), SECRET_BYTES_MIN[self.algorithm]
        if length < needed:
            # Its length, never the secret itself: errors end up in logs.
            raise ConfigError(f"expected a secret of at least {needed} bytes for {self.algorithm}, got {length} bytes")

    @property
    def archives_dir(self) -> Path:
        """Where archives lie, each at `<key[0:2]>/<key[2:]>`."""
        return self.data_dir / "archives"

    @property
    def database(self) -> Path:
        """The SQLite file. Hashbase's own tables and Lamplighter's share it."""
        return self.data_dir / "hashbase.db"


def load(path: Path = DEFAULT_FILE, environ: Mapping[str, str] = os.environ) -> Config:
    """Reads a configuration file.

    Args:
        path: a TOML file; `hashbase.toml` beside this module is one with every setting.
        environ: where HASHBASE_SECRET is looked for; it goes before the file's secret.

    Raises:
        ConfigError: the file is missing or no TOML; a setting is missing, unknown, or has a value that cannot be used.
    """
    try:
        with path.open("rb") as file:
            return _checked(tomllib.load(file), path.parent, environ)
    except OSError as error:
        raise ConfigError(f"expected a configuration file at {path}: {error.strerror}") from error
    except (ConfigError, ValueError) as error:  # tomllib's own error, and text that is no UTF-8, are ValueErrors
        raise ConfigError(f"{path}: {error}") from error


def _checked(settings: dict[str, object], folder: Path, environ: Mapping[str, str]) -> Config:
    proofs = settings.pop("proofs", {})
    if not isinstance(proofs, dict):
        raise ConfigError(f"expected [proofs] to be a table, got: {proofs!r}")
    hostname, data_dir = _text(settings, "hostname"), _text(settings, "data_dir")
    in_file: object = proofs.pop("secret", None)
    secret = environ.get(SECRET_VARIABLE, in_file)
    algorithm = _text(proofs, "algorithm")
    unknown = [*settings, *(f"proofs.{name}" for name in proofs)]
    if unknown:
        raise ConfigError(f"unknown setting: {', '.join(unknown)}")
    if not isinstance(secret, str) or not secret:
        raise ConfigError(f"expected proofs.secret in the file, or {SECRET_VARIABLE} in the environment, to be a text")
    return Config(hostname=hostname, data_dir=folder / data_dir, algorithm=algorithm, secret=secret)


def _text(settings: dict[str, object], name: str) -> str:
    value = settings.pop(name, None)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"expected {name} to be a text, got: {'nothing' if value is None else repr(value)}")
    return value
