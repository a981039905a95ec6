"""`python -m hashbase [CONFIG]`: runs the host until SIGTERM or SIGINT."""

from __future__ import annotations

import sys
from pathlib import Path

from lamplighter import Runtime

from .config import DEFAULT_FILE, ConfigError, load
from .host import Host
from .jobs import register


def main(arguments: list[str]) -> int:
    """Runs the host.

    Args:
        arguments: the path of a configuration file, or nothing for the one beside this module.

    Returns:
        The exit status: 0 after an orderly stop, 2 when the configuration cannot be used.
    """
    try:
        host = Host(load(Path(arguments[0]) if arguments else DEFAULT_FILE))
    except ConfigError as error:
        print(f"hashbase: {error}", file=sys.stderr)
        return 2
    runtime = Runtime(str(host.config.database))
    register(runtime, host)
    try:
        runtime.run()
    finally:
        host.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
