"""The hooks of docs/embedding.md: any WSGI application under gunicorn."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from ...support.web_server import WebServer

EMBEDDING = Path(__file__).parents[3] / "docs" / "embedding.md"

APPLICATION = """
import json
from lamplighter import Runtime

runtime = Runtime("app.db")
runtime.jobs.add_handler("say", lambda job: "old")


def app(environ, start_response):
    result = runtime.jobs.join(runtime.jobs.queue("say"), timeout=20).result
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(result).encode()]
"""


def test_a_hup_deploys_new_code_where_the_hooks_import_the_application(tmp_path: Path) -> None:
    (block,) = re.findall(
        r"^```python\n(# gunicorn.conf.py\n.*?)^```$", EMBEDDING.read_text(), re.MULTILINE | re.DOTALL
    )
    (tmp_path / "gunicorn.conf.py").write_text(block)
    (tmp_path / "myapp.py").write_text(APPLICATION)

    with WebServer(
        "gunicorn", "myapp:app", "--workers", "2", "--bind", "127.0.0.1:0", "--no-control-socket", folder=tmp_path
    ) as server:
        assert server.get("/") == "old"
        (tmp_path / "myapp.py").write_text(APPLICATION.replace('"old"', '"new"'))

        server.process.send_signal(signal.SIGHUP)

        server.until("/", lambda said: said == "new")
