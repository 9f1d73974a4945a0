"""A Model Context Protocol server: assistants search an index, look at its tiles, and find things in its scenes."""

from rsitr.assistants.server import create_server, serve_stdio

__all__ = ["create_server", "serve_stdio"]
