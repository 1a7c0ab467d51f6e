"""An MCP server that takes only the arguments its tools have, and says in a sentence what is wrong with others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, InputRequiredResult, Tool
from pydantic import ValidationError

__all__ = ["StrictServer"]

LONGEST = 60
"""Characters of a refused value that are shown."""


class StrictServer(MCPServer):
    """As the SDK's, which passes over names that it does not know: a film of the wrong length would be paid for."""

    async def list_tools(self) -> list[Tool]:
        """The tools; their schemas say that there are no other arguments."""
        return [
            tool.model_copy(update={"input_schema": {**tool.input_schema, "additionalProperties": False}})
            for tool in await super().list_tools()
        ]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool. Raises `ToolError` for arguments that it cannot take, before the service is asked anything."""
        known = {tool.name: tool.input_schema.get("properties", {}) for tool in await super().list_tools()}
        if name in known:
            _refuse_unknown(name, arguments, known[name])
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(" ".join(_sentence(problem) for problem in error.__cause__.errors())) from None
            raise


def _refuse_unknown(tool: str, arguments: Mapping[str, Any], known: Collection[str]) -> None:
    unknown = [name for name in arguments if name not in known]
    if unknown:
        names = ", ".join(repr(name[:LONGEST]) for name in unknown)
        what = f"it takes {', '.join(known)}" if known else "it takes none"
        raise ToolError(f"{tool} has no argument {names}; {what}. Nothing was made.")


def _sentence(problem: Mapping[str, Any]) -> str:
    """One thing that is wrong with an argument, as pydantic found it."""
    name = ".".join(str(step) for step in problem["loc"])
    if problem["type"] == "missing":
        return f"{name} is missing; add it."
    if problem["type"] == "string_too_short" or (isinstance(problem["input"], str) and not problem["input"].strip()):
        return f"{name} is empty; say something there."
    if problem["type"] == "string_pattern_mismatch":
        rule = "it must look like 16:9"
    else:
        rule = problem["msg"].removeprefix("Input ").removeprefix("should ")
        rule = f"it should {rule}"
    shown = repr(problem["input"])
    shown = shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."
    return f"{name} cannot be {shown}: {rule}."
