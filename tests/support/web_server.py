"""Web servers in processes of their own, and what is asked of them over HTTP."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Self

import httpx

from ..faults.kit import SECONDS_MAX, eventually


class WebServer:
    """A server that listens at a port of the system's choice, which it has to say.

    Args:
        command: what comes after `python -m`.
        folder: where it runs, and keeps what it says.
        terminal: whether it says that to a terminal.
    """

    def __init__(
        self, *command: str, folder: Path, environment: Mapping[str, str] | None = None, terminal: bool = False
    ) -> None:
        self._said = folder / f"{'-'.join(command[:2])}.said"
        # What comes from a terminal is written by a thread, which may be late.
        self._said.touch()
        with self._terminal() if terminal else self._said.open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=folder,
                # A file that is changed twice within a second may be taken for its compiled older self.
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
                stdout=said,
                stderr=said,
                # A group of its own, so that its workers end with the test too.
                start_new_session=True,
            )

    def _terminal(self) -> IO[bytes]:
        """One that writes down what it shows."""
        reader, terminal = pty.openpty()

        def write_down() -> None:
            # Its end is an error, on Linux.
            with open(reader, "rb", buffering=0) as shown, self._said.open("ab") as said, contextlib.suppress(OSError):
                while text := shown.read(4096):
                    said.write(text)
                    said.flush()

        threading.Thread(target=write_down, daemon=True).start()
        return open(terminal, "wb", buffering=0)

    @property
    def said(self) -> str:
        """What it and its workers have written to the terminal."""
        return self._said.read_text(errors="replace")

    def url(self) -> str:
        """Where it listens, as soon as it does."""
        found: list[str] = []

        def has_said() -> bool:
            assert self.process.poll() is None, self.said[-3000:]
            found[:] = re.findall(r"http://127\.0\.0\.1:[1-9]\d*", self.said)
            return bool(found)

        eventually(has_said, what="a server that listens")
        return found[-1]

    def get(self, path: str) -> Any:
        """What it answers."""
        return self._answer("GET", path, 200)

    def post(self, path: str, status: int = 200, **content: Any) -> Any:
        """What it answers to a POST, whose content is given as to httpx: `json=`, or `data=` for a form."""
        return self._answer("POST", path, status, **content)

    def until(self, path: str, holds: Callable[[Any], Any]) -> Any:
        """What it answers to a GET, as soon as that is so."""
        answers: list[Any] = []

        def answered() -> bool:
            answers[:] = [self.get(path)]
            return bool(holds(answers[0]))

        try:
            eventually(answered, what=f"the answer to {path}")
        except AssertionError as error:
            raise AssertionError(f"{error}\nthe last answer: {answers}\n{self.said[-3000:]}") from None
        return answers[0]

    def _answer(self, method: str, path: str, status: int, **options: Any) -> Any:
        responses: list[httpx.Response] = []

        def answered() -> bool:
            # Before its first process, and between two of them, nobody may listen.
            with contextlib.suppress(httpx.ConnectError):
                responses.append(httpx.request(method, self.url() + path, timeout=SECONDS_MAX, **options))
            return bool(responses)

        eventually(answered, what=f"an answer to {path}")
        assert responses[0].status_code == status, f"{responses[0].text}\n{self.said[-3000:]}"
        is_json = responses[0].headers.get("Content-Type", "").startswith("application/json")
        return responses[0].json() if is_json else responses[0].text

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.process.terminate()
        return self.process.wait(SECONDS_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(SECONDS_MAX)
