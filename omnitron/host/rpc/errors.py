"""The errors of a call, by their JSON-RPC codes."""

from __future__ import annotations

from typing import Any

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
BUSY = -32000
DEADLINE_EXCEEDED = -32001
UNAUTHENTICATED = -32002
FORBIDDEN = -32003
UNAVAILABLE = -32004

MESSAGES = {
    PARSE_ERROR: "not valid JSON",
    INVALID_REQUEST: "not a JSON-RPC 2.0 request",
    METHOD_NOT_FOUND: "no such method",
    INVALID_PARAMS: "wrong parameters",
    INTERNAL_ERROR: "internal error",
    BUSY: "too many calls at once: try again later",
    DEADLINE_EXCEEDED: "not done within the deadline",
    UNAUTHENTICATED: "not authenticated",
    FORBIDDEN: "not permitted",
    UNAVAILABLE: "the service cannot be reached",
}


class RpcError(Exception):
    """An error that reaches the caller unchanged: raise it in a service, catch it around a call."""

    def __init__(self, code: int, message: str = "", data: Any = None) -> None:
        """Take a JSON-RPC error: a code, a sentence for the caller, and any JSON value."""
        self.code = code
        self.message = message or MESSAGES.get(code, "error")
        self.data = data
        super().__init__(f"{self.message} ({code})")
