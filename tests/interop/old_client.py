"""What a client built on the SDK's line 1.x does; run in an environment with that line. Prints what it got as JSON.

python old_client.py http URL TOKEN | stdio PYTHON
"""

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.shared.exceptions import McpError


@asynccontextmanager
async def streams(kind, where, token=""):
    if kind == "http":
        async with streamablehttp_client(where, headers={"Authorization": f"Bearer {token}"}) as (
            read,
            write,
            _,
        ):
            yield read, write
    else:
        command = StdioServerParameters(command=where, args=["-m", "att", "mcp"], env=dict(os.environ))
        async with stdio_client(command) as (read, write):
            yield read, write


async def main(*where):
    heard = []

    async def note(done, total, message):
        heard.append(done)

    async with streams(*where) as (read, write), ClientSession(read, write) as session:
        opened = await session.initialize()
        tools = (await session.list_tools()).tools
        listed = await session.call_tool("att_project_list", {})
        await session.call_tool(
            "att_runtime_logs",
            {"project_id": "demo", "cursor": "newest", "wait": 1.3},
            progress_callback=note,
        )
        refused = await session.call_tool("att_project_get", {"project_id": "nobody"})
        read_back = await session.read_resource("att://projects")
        try:
            await session.read_resource("att://project/nobody/config")
            missing = None
        except McpError as error:
            missing = error.error.code
    print(
        json.dumps(
            {
                "version": opened.protocolVersion,
                "tools": [tool.name for tool in tools],
                "listed": listed.structuredContent,
                "refused": [refused.isError, refused.content[0].text],
                "resource": read_back.contents[0].text,
                "missing": missing,
                "progress": heard,
            }
        )
    )


asyncio.run(main(*sys.argv[1:]))
