"""TCP ports where Prometheus reads the figures of a project with its token."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from omnitron.watcher.http_server import HttpServer

if TYPE_CHECKING:
    from omnitron.policy.model import StackPolicy
    from omnitron.watcher.http_server import Answer

log = logging.getLogger(__name__)

AGAIN_S = 10.0
"""Pause before the next try to listen on a port that is in use."""
TOKEN_LIMIT = 4096  # bytes

Address = tuple[str, int]
Text = Callable[[Collection[str]], Awaitable[tuple[str, bytes]]]
"""Returns the figures of some stacks, named by their stems."""


def why(error: OSError) -> str:
    """Return the reason without the address, which the message of asyncio repeats."""
    return os.strerror(error.errno).lower() if error.errno else str(error)


class BadTokenFileError(Exception):
    """A token file that cannot be used; the text is the reason."""


class PrometheusEndpoints:
    """The ports of all installed stacks. Stacks may share a port: the token selects the stack."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._stacks: dict[Address, list[StackPolicy]] = {}
        self._open: dict[Address, asyncio.Task[None]] = {}
        self._last_errors: dict[str, str] = {}

    def load(self, stacks: Iterable[StackPolicy]) -> None:
        """Listen on the ports of these stacks, and close all others."""
        self._stacks = {}
        for stack in stacks:
            if stack.prometheus:
                self._stacks.setdefault((stack.prometheus.host, stack.prometheus.port), []).append(stack)
        for address in self._open.keys() - self._stacks.keys():
            self._open.pop(address).cancel()
        for address in self._stacks.keys() - self._open.keys():
            self._open[address] = asyncio.ensure_future(self._listen(address))

    def close(self) -> None:
        """Close all ports."""
        for task in self._open.values():
            task.cancel()

    async def _listen(self, address: Address) -> None:
        server = HttpServer(lambda token: self._permitted(address, token))
        last_error = ""
        while True:
            try:
                port = await server.open_port(*address)
                break
            except OSError as error:
                text = f"cannot listen on {address[0]} port {address[1]} for Prometheus: {why(error)}"
                if text != last_error:
                    log.error("%s; trying again", text)
                last_error = text
                await asyncio.sleep(AGAIN_S)
        async with port:
            await port.serve_forever()

    def _permitted(self, address: Address, token: str) -> Mapping[str, Answer] | None:
        stems = [stack.stem for stack in self._stacks.get(address, ()) if token and self._is_token_of(stack, token)]
        return {"/metrics": lambda: self._text(stems)} if stems else None

    def _is_token_of(self, stack: StackPolicy, token: str) -> bool:
        path = stack.prometheus.token_file if stack.prometheus else ""
        try:
            expected = read_token(path)
        except BadTokenFileError as error:
            if self._last_errors.get(path) != str(error):
                self._last_errors[path] = str(error)
                log.error("cannot use the token file %s: %s", path, error)
            return False
        self._last_errors.pop(path, None)
        return hmac.compare_digest(token.encode(), expected)


def read_token(path: str) -> bytes:
    """Return the token in a file; BadTokenFileError if it is empty, or if other users can read it."""
    try:
        # O_NONBLOCK: a FIFO or a device at this path must not block the watcher.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise BadTokenFileError((getattr(error, "strerror", None) or str(error)).lower()) from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise BadTokenFileError("it is not a regular file")
        if mode & 0o077:
            raise BadTokenFileError(f"other users can read it: chmod 600 {path}")
        token = os.read(descriptor, TOKEN_LIMIT).strip()
    except OSError as error:
        raise BadTokenFileError((error.strerror or str(error)).lower()) from error
    finally:
        os.close(descriptor)
    if not token:
        raise BadTokenFileError("it is empty")
    return token
