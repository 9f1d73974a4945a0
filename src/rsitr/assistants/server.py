"""The server: its tools, what checks their arguments, and the words that errors become."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
from mcp import types
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from pydantic import ValidationError

from rsitr.assistants.tools import TOOLS, Answered, Tool
from rsitr.errors import RsitrError
from rsitr.search import Index
from rsitr.service.errors import hide_paths, say_invalid
from rsitr.version import __version__

__all__ = ["create_server", "serve_stdio"]

AT_A_TIME = 2
"""Calls that are worked on beside each other; more wait."""

INSTRUCTIONS = (
    "Satellite and aerial imagery that can be searched by words or by example. Begin with `info` for what there is. "
    "`search` finds single tiles, `places` joins them to places on the ground, `show` shows a tile's picture, and "
    "`locate` finds words within one scene. Read `state` and `message` of an answer before its hits: `matches` is a "
    "confident answer, `unsure` is none, and `nothing` says that what follows is only the least unlike. Look at the "
    "pictures of hits before you rely on them."
)

log = logging.getLogger(__name__)


def create_server(index: Index) -> Server[Any]:
    """A Model Context Protocol server on an index, to be run on whatever transport.

    It reads what is in the index and its scenes, and nothing else; it changes nothing.
    """
    tools = {tool.name: tool for tool in TOOLS}
    limit: list[anyio.CapacityLimiter] = []  # belongs to the event loop that runs the server

    async def list_tools(_context: ServerRequestContext[Any], _params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_describe(tool) for tool in TOOLS])

    async def call_tool(
        context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        tool = tools.get(params.name)
        if tool is None:
            return _refuse(f"there is no tool {params.name!r}; there are {', '.join(tools)}")
        if not limit:
            limit.append(anyio.CapacityLimiter(AT_A_TIME))
        try:
            arguments = tool.arguments.model_validate(params.arguments or {})
            found = await _work(context, lambda told: tool.run(index, arguments, told), limit=limit[0])
        except ValidationError as error:
            return _refuse(say_invalid(error.errors()))
        except RsitrError as error:
            return _refuse(hide_paths(str(error), index))
        except Exception:
            log.exception("the tool %s met a fault of rsitr", params.name)
            return _refuse("this met a fault of rsitr, which is none of the question's; the log has more")
        return _reply(found)

    return Server(
        "rsitr", version=__version__, title=f"rsitr: {index.name}", instructions=INSTRUCTIONS,
        on_list_tools=list_tools, on_call_tool=call_tool,
    )  # fmt: skip


def serve_stdio(index: Index) -> None:
    """Serve on standard input and output until the input ends. What is printed goes to standard error."""

    async def run() -> None:
        server = create_server(index)
        async with stdio_server() as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())

    anyio.run(run)


async def _work(
    context: ServerRequestContext[Any],
    action: Callable[[Callable[[int, int], None]], Answered],
    *,
    limit: anyio.CapacityLimiter,
) -> Answered:
    """Do something in a thread, telling the client how far it is; a call that is cancelled stops at its next step."""
    left = threading.Event()

    def tell(done: int, total: int) -> None:
        if left.is_set():
            raise _LeftError
        anyio.from_thread.run(context.session.report_progress, float(done), float(total))

    try:
        return await anyio.to_thread.run_sync(action, tell, abandon_on_cancel=True, limiter=limit)
    finally:
        left.set()


class _LeftError(Exception):
    """Nobody waits for the answer any more."""


def _describe(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.arguments.model_json_schema(by_alias=True),
        output_schema=tool.reply.json_schema(mode="serialization"),
        annotations=types.ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
    )


def _reply(found: Answered) -> types.CallToolResult:
    # Names of files need not be UTF-8: what is none is written as an escape, as over HTTP.
    text = json.dumps(found.told, ensure_ascii=False).encode("utf-8", "backslashreplace").decode("utf-8")
    content: list[types.ContentBlock] = [types.TextContent(text=text)]
    if found.picture is not None:
        content.insert(0, types.ImageContent(data=found.picture, mime_type="image/jpeg"))
    return types.CallToolResult(content=content, structured_content=json.loads(text))


def _refuse(message: str) -> types.CallToolResult:
    text = message.encode("utf-8", "backslashreplace").decode("utf-8")
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=True)
