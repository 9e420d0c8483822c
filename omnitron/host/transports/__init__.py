"""Transports of a process host: Unix socket, HTTP and WebSocket."""
