"""docs/flask.md tells the truth of what only servers show: the application that it has one save, and its worker."""

from __future__ import annotations

import re
from pathlib import Path

from ...examples.letters import done
from ...faults.kit import eventually
from ...support.web_server import WebServer

PAGE = (Path(__file__).parents[3] / "docs" / "flask.md").read_text("utf-8")

APPLICATION = "\n\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[:2])
"""The blocks of which the page says that they are a whole application."""


def test_the_pages_application_queues_what_its_worker_does_and_shows(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APPLICATION)
    serve, work = re.findall(r"^    \$ (flask .*)$", PAGE, re.MULTILINE)
    (path,) = re.findall(r"^    \$ curl -X POST localhost:5000(\S+)$", PAGE, re.MULTILINE)

    with WebServer(*serve.split(), "--port", "0", folder=tmp_path) as server:
        job = server.post(path, 201)["job"]
        assert server.get(f"/jobs/{job}")["state"] == "queued"
        with WebServer(*work.split(), folder=tmp_path, terminal=True) as worker:
            assert done(server, job)["result"] == {"sent": 2}
            eventually(lambda: job in worker.said, what="the job on the worker's terminal")
            assert "job.done" in worker.said
            assert worker.stop() == 0
