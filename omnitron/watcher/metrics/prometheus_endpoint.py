"""TCP ports on which Prometheus reads the figures of a project, for whoever has its token."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from omnitron.watcher.http_server import Desk

if TYPE_CHECKING:
    from omnitron.policy.model import StackPolicy
    from omnitron.watcher.http_server import Answer

log = logging.getLogger(__name__)

AGAIN_S = 10.0
"""How soon a port that is taken is tried again."""
TOKEN_LIMIT = 4096  # bytes

Address = tuple[str, int]
Text = Callable[[Collection[str]], Awaitable[tuple[str, bytes]]]
"""Returns the figures of some stacks, named by their stems."""


def why(error: OSError) -> str:
    """Return the reason alone: asyncio says the address again."""
    return os.strerror(error.errno).lower() if error.errno else str(error)


class BadTokenFileError(Exception):
    """A token that is not to be used: the text says why."""


class Ports:
    """The ports that the installed stacks ask for. Two may share one: the token tells which is meant."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._stacks: dict[Address, list[StackPolicy]] = {}
        self._open: dict[Address, asyncio.Task[None]] = {}
        self._said: dict[str, str] = {}

    def load(self, stacks: Iterable[StackPolicy]) -> None:
        """Listen where these stacks say, and nowhere else."""
        self._stacks = {}
        for stack in stacks:
            if stack.prometheus:
                self._stacks.setdefault((stack.prometheus.host, stack.prometheus.port), []).append(stack)
        for address in self._open.keys() - self._stacks.keys():
            self._open.pop(address).cancel()
        for address in self._stacks.keys() - self._open.keys():
            self._open[address] = asyncio.ensure_future(self._listen(address))

    def close(self) -> None:
        """Listen nowhere."""
        for task in self._open.values():
            task.cancel()

    async def _listen(self, address: Address) -> None:
        desk = Desk(lambda token: self._permitted(address, token))
        said = ""
        while True:
            try:
                server = await desk.open_port(*address)
                break
            except OSError as error:
                text = f"cannot listen on {address[0]} port {address[1]} for Prometheus: {why(error)}"
                if text != said:
                    log.error("%s; trying again", text)
                said = text
                await asyncio.sleep(AGAIN_S)
        async with server:
            await server.serve_forever()

    def _permitted(self, address: Address, token: str) -> Mapping[str, Answer] | None:
        stems = [stack.stem for stack in self._stacks.get(address, ()) if token and self._is_token_of(stack, token)]
        return {"/metrics": lambda: self._text(stems)} if stems else None

    def _is_token_of(self, stack: StackPolicy, token: str) -> bool:
        path = stack.prometheus.token_file if stack.prometheus else ""
        try:
            wanted = read_token(path)
        except BadTokenFileError as error:
            if self._said.get(path) != str(error):
                self._said[path] = str(error)
                log.error("cannot use the token file %s: %s", path, error)
            return False
        self._said.pop(path, None)
        return hmac.compare_digest(token.encode(), wanted)


def read_token(path: str) -> bytes:
    """Return the token in a file; BadTokenFileError when it is empty, or others can read it."""
    try:
        # Whatever its owner has put there: neither a FIFO nor a device is waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise BadTokenFileError((getattr(error, "strerror", None) or str(error)).lower()) from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise BadTokenFileError("it is no file")
        if mode & 0o077:
            raise BadTokenFileError(f"others can read it: chmod 600 {path}")
        token = os.read(descriptor, TOKEN_LIMIT).strip()
    except OSError as error:
        raise BadTokenFileError((error.strerror or str(error)).lower()) from error
    finally:
        os.close(descriptor)
    if not token:
        raise BadTokenFileError("it is empty")
    return token
