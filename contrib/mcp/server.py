"""The tools as an MCP server (https://modelcontextprotocol.io), which a client starts and talks to over its pipes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from typing import Any

from ...errors import LamplighterError, missing_extra

try:
    from mcp.server import MCPServer
    from mcp.server.mcpserver import Context
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp.types import ToolAnnotations
except ImportError as error:
    raise missing_extra("mcp", "`lamplighter mcp`", "mcp") from error

from .acting import JOBS_MAX, ActingTools, Right
from .answers import NOTE, Answer
from .reading import ReadingTools

INSTRUCTIONS = (
    "Lamplighter runs background jobs of an application. Begin with `overview`; `job` says why one does not run, "
    f"`doctor` what is wrong and what to do. {NOTE}"
)

LOOKS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ACTS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)


def server_of(
    address: str, *, logs: Sequence[str] = (), shows_data: bool = False, allowed: Collection[Right] = ()
) -> MCPServer[Any]:
    """The server over a store.

    Args:
        address: the path of its file.
        logs: log files of its runtimes.
        shows_data: whether data, results and progress of jobs are told.
        allowed: what may be done; without that there are only tools that look.

    Raises:
        NotSupported: the store is on a server.
    """
    server: MCPServer[Any] = MCPServer("lamplighter", instructions=INSTRUCTIONS, log_level="WARNING")
    for tool in ReadingTools(address, logs=logs, shows_data=shows_data).tools:
        server.tool(annotations=LOOKS)(_told(tool))
    acting = ActingTools(address)

    def requeue(ids: list[str], reason: str, context: Context[Any, Any]) -> Answer:
        return acting.requeue(_client(context), ids, reason)

    def cancel(ids: list[str], reason: str, context: Context[Any, Any]) -> Answer:
        return acting.cancel(_client(context), ids, reason)

    def pause(name: str, reason: str, context: Context[Any, Any], paused: bool = True) -> Answer:
        return acting.pause(_client(context), name, reason, paused)

    says = {
        "requeue": f"Put jobs that have ended back into the queue: {JOBS_MAX} at most, by their ids.",
        "cancel": f"Cancel jobs that wait or run: {JOBS_MAX} at most, by their ids.",
        "pause": "Have no job of a name be started; with paused=false, have them be started again.",
    }
    for does in (requeue, cancel, pause):
        if does.__name__ in allowed:
            description = f"{says[does.__name__]} The reason stands in the log, with the name of this client."
            server.tool(description=description, annotations=ACTS)(_told(does))
    return server


def _told(does: Callable[..., Answer]) -> Callable[..., Answer]:
    """The same, of which a model reads what it has done wrong."""

    @functools.wraps(does)
    def tell(*given: Any, **named: Any) -> Answer:
        try:
            return does(*given, **named)
        except LamplighterError as error:
            raise ToolError(str(error)) from error

    return tell


def _client(context: Context[Any, Any]) -> str:
    """The name that the program at the other end gives itself."""
    params = context.session.client_params
    return "" if params is None else params.client_info.name
