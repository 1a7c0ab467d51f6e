"""The service for agents: an MCP server over standard input and output, a thin client of the native API."""

from __future__ import annotations

from kinora.service.api.mcp.native import Native
from kinora.service.api.mcp.tools import server_for

__all__ = ["Native", "server_for"]
