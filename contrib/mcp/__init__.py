"""Lamplighter for programs that speak MCP, the Model Context Protocol: `lamplighter mcp`."""
