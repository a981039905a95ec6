"""One life of the host's process, seen from outside: orders go in, log lines come out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..config import Config

Line = dict[str, Any]

LOOK_SECONDS = 0.01
"""Between two looks at a log that has not grown."""

ANSWER_SECONDS_MAX = 20.0


class DemoFailed(Exception):
    """Something did not come as it must."""


class Life:
    """A host process. Leaving the context kills what still runs.

    Attributes:
        number: 1 for the first life.
        lines: what its log has said so far, each with `life`, the number.
    """

    def __init__(self, number: int, config: Config, log: Path, show: Callable[[Line], None]) -> None:
        """Starts the process and waits until the host runs.

        Args:
            number: 1 for the first life.
            config: the host's.
            log: the file that it logs to.
            show: gets each line as it comes.
        """
        self.number = number
        self.lines: list[Line] = []
        self._show = show
        self._log = log
        self._read = 0
        examples = str(Path(__file__).parents[2])
        paths = [examples, *filter(None, [os.environ.get("PYTHONPATH")])]
        # -P: the folder that one happens to be in is none to import from.
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "hashbase.demo.host",
                config.hostname,
                str(config.data_dir),
                config.algorithm,
                config.secret,
                str(log),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        try:
            self._answer()
        except BaseException:
            self._process.kill()
            raise

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def order(self, do: str, **what: Any) -> Any:
        """Has the host do something, and gives its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **what}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def wait_for(self, what: str, *, seconds: float = 20.0, **fields: Any) -> Line:
        """Waits for a log line and shows what comes until then.

        Args:
            what: the event.
            seconds: after which it is given up.
            fields: values that the line must have.

        Raises:
            DemoFailed: the line did not come.
        """
        give_up_at = time.monotonic() + seconds
        while True:
            self.look()
            for line in self.lines:
                if line["event"] == what and all(line.get(name) == value for name, value in fields.items()):
                    return line
            if time.monotonic() > give_up_at:
                raise DemoFailed(f"no {what} {fields or ''} in the log of life {self.number} within {seconds:g} s")
            if self._process.poll() is not None:
                raise DemoFailed(f"life {self.number} ended with {self._process.returncode} before {what} {fields}")
            time.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Takes what the log has said since the last look. A line without its end is not one yet."""
        with self._log.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for raw in whole.splitlines():
            line = {**json.loads(raw), "life": self.number}
            self.lines.append(line)
            self._show(line)

    def kill(self) -> int:
        """Kills it as `kill -9` does, and gives its exit status."""
        self._process.kill()
        status = self._process.wait(ANSWER_SECONDS_MAX)
        self.look()
        return status

    def stop(self) -> int:
        """Lets it stop in order, and gives its exit status."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        status = self._process.wait(ANSWER_SECONDS_MAX)
        self.look()
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        # A host that hangs must not hang the demo.
        guard = threading.Timer(ANSWER_SECONDS_MAX, self._process.kill)
        guard.start()
        try:
            text = self._process.stdout.readline()
        finally:
            guard.cancel()
        if not text:
            raise DemoFailed(f"life {self.number} did not answer; see {self._log}")
        return json.loads(text)
