"""`lamplighter mcp` as a model's program has it: started, and talked to over its pipes."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from lamplighter import Runtime
from lamplighter.cli.main import main
from lamplighter.contrib.mcp import JOBS_MAX
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, Implementation

from ....web.kit import HOSTILE, make_store

READS = ["overview", "find_jobs", "job", "errors", "schedule", "runtimes", "doctor"]

Call = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a bit of everything."""
    return make_store(tmp_path_factory.mktemp("mcp"))


def session(store: Path | str, *options: str, calls: list[Call]) -> tuple[list[str], list[CallToolResult]]:
    """The tools that a server has, and what it answers to calls."""
    command = ["-P", "-m", "lamplighter", "mcp", "--store", str(store), *options]
    server = StdioServerParameters(command=sys.executable, args=command)

    async def talk() -> tuple[list[str], list[CallToolResult]]:
        async with Client(server, client_info=Implementation(name="tester", version="1")) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            return tools, [await client.call_tool(name, arguments) for name, arguments in calls]

    return asyncio.run(talk())


def error_of(result: CallToolResult) -> str:
    """What went wrong, as the model reads it."""
    assert result.is_error
    return str(result.content[0].text)


def test_each_tool_answers_with_a_summary_of_its_own_and_others_text_apart(store: Path) -> None:
    calls: list[Call] = [(name, {"id": "dead-1"} if name == "job" else {}) for name in READS]
    calls.append(("find_jobs", {"query": "state:dead", "limit": 2}))

    tools, results = session(store, calls=calls)

    assert tools == READS
    for result in results:
        assert not result.is_error, result.content
        said = result.structured_content
        assert said["untrusted"] is not None
        for foreign in (HOSTILE[:10], "mailbox", "script"):
            assert foreign not in said["summary"]
    overview, _, job, errors, schedules, _, doctor, some = (result.structured_content for result in results)
    assert overview["summary"].startswith("health is red; 0 runtimes; jobs: 1 ready, 1 of these")
    assert job["summary"] == "the job is dead: dead; attempt 1"
    assert "no mailbox dead-1" in job["untrusted"]["traceback"]
    assert sum(group["dead"] for group in errors["untrusted"]) == 4
    assert schedules["untrusted"][0]["key"] == "morning"
    assert "boots.none" in json.dumps(doctor["untrusted"])
    assert (len(some["untrusted"]), some["next"] is None) == (2, False)


def test_it_looks_and_acts_at_a_server_that_wants_a_password(postgres: str) -> None:
    with Runtime(postgres) as runtime:
        runtime.jobs.queue("mail", id="later", delay=1000)
    calls: list[Call] = [(name, {"id": "later"} if name == "job" else {}) for name in READS]
    calls.append(("cancel", {"ids": ["later"], "reason": "nobody reads it"}))

    _, results = session(postgres, "--allow", "cancel", calls=calls)

    assert [result.content for result in results if result.is_error] == []
    assert results[-1].structured_content["untrusted"]["done"] == 1
    assert "hush-hush" not in str(results)


def test_what_jobs_carry_is_hidden_unless_it_is_to_be_shown(store: Path) -> None:
    calls: list[Call] = [("job", {"id": "fine"}), ("find_jobs", {"query": "data.password=hunter2"})]

    _, (hidden, searched) = session(store, calls=calls)
    _, (shown, found) = session(store, "--show-data", calls=calls)

    assert "hunter2" not in json.dumps(hidden.structured_content)
    assert "what jobs carry is hidden here" in error_of(searched)
    assert shown.structured_content["untrusted"]["job"]["data"]["value"] == {"password": "hunter2"}
    assert [job["id"] for job in found.structured_content["untrusted"]] == ["fine"]


def test_what_cannot_be_is_an_error_that_a_model_can_read(store: Path) -> None:
    calls: list[Call] = [
        ("job", {"id": "nobody"}),
        ("find_jobs", {"query": "state:sleeping"}),
        ("find_jobs", {"limit": 51}),
        ("schedule", {"id": "none"}),
        ("schedule", {"id": "none", "since": "yesterday"}),
    ]

    _, results = session(store, calls=calls)

    said = [error_of(result) for result in results]
    wanted = ["unknown", "at character 7", "1 to 50", "no schedule", "expected a time such as 2h"]
    assert [part for part, text in zip(wanted, said, strict=True) if part not in text] == []


def test_it_does_what_is_allowed_for_a_reason_in_the_clients_name(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    ids = ["dead-0", "dead-1", "later"]
    calls: list[Call] = [
        ("requeue", {"ids": ids, "reason": " "}),
        ("requeue", {"ids": ["x"] * (JOBS_MAX + 1), "reason": "all"}),
        ("requeue", {"ids": ids, "reason": "the mailbox is back"}),
        ("pause", {"name": "mail", "reason": "one thing after the other"}),
        ("reprioritize", {"id": "later", "priority": 7, "reason": "it is urgent"}),
    ]

    tools, results = session(store, "--allow", "requeue,pause,reprioritize", calls=calls)

    assert tools == [*READS, "requeue", "pause", "reprioritize"]
    assert "expected a reason" in error_of(results[0])
    assert f"1 to {JOBS_MAX} ids" in error_of(results[1])
    assert results[2].structured_content["untrusted"] == {"asked": 3, "done": 2, "changed": 1, "refused": 0}
    acts: list[dict[str, Any]] = []
    runtime = Runtime(store)
    runtime.subscribe(acts.append, ["operator.acted"])
    with runtime:
        assert runtime.jobs.paused() == ("mail",)
        assert runtime.jobs.get("later").priority == 7
    assert [(act["by"], act["via"], act["reason"]) for act in acts] == [
        ("mcp:tester", "mcp", "the mailbox is back"),
        ("mcp:tester", "mcp", "one thing after the other"),
        ("mcp:tester", "mcp", "it is urgent"),
    ]


def test_what_nobody_can_allow_and_a_store_on_a_server_are_refused(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mcp", "--store", str(store), "--allow", "requeue,delete"]) == 2
    assert "out of requeue, cancel, pause, signal, reprioritize, got: 'delete'" in capsys.readouterr().err
    assert main(["mcp", "--store", "amqp://localhost"]) == 2
