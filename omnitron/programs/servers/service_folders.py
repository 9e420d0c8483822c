"""Common parts of the servers: the folders of their service, their files, and probes."""

from __future__ import annotations

import os
import socket
import sys

from omnitron.programs.secrets.credentials import MissingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    from omnitron.policy.codec import Document

    D = TypeVar("D", bound=Document)

CONFIGURATION_ERROR = 78
"""EX_CONFIG of sysexits.h; systemd calls it CONFIG."""
PATIENCE_S = 5.0


class CannotError(Exception):
    """Something that keeps a server from running: one line for the journal."""


def run(verbs: dict[str, Callable[[list[str]], None]], arguments: list[str]) -> int:
    """Run a verb with its arguments; return its exit status."""
    try:
        verbs[arguments[0]](arguments[1:])
    except (CannotError, MissingError) as error:
        print(error, file=sys.stderr)
        return CONFIGURATION_ERROR
    except OSError as error:
        print(f"cannot go on: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def read_spec(path: str, kind: type[D]) -> D:
    """Return what `generate` wrote for a service."""
    # A probe, which runs often, does without these imports.
    from omnitron.errors import OmnitronError
    from omnitron.policy.codec import read

    try:
        return read(path, kind)
    except OmnitronError as error:
        raise CannotError("; ".join(error.lines())) from error


def folder(variable: str) -> str:
    """Return the folder that systemd made for the service: `STATE_DIRECTORY`, `RUNTIME_DIRECTORY`."""
    path = os.environ.get(variable, "").partition(":")[0]
    if not path:
        raise CannotError(f"cannot run outside a service of systemd: {variable} is not set")
    return path


def write(path: str, lines: Iterable[str]) -> None:
    """Write the lines of a configuration file, for this user alone."""
    write_text(path, "".join(f"{line}\n" for line in lines))


def write_text(path: str, text: str) -> None:
    """Write a file for this user alone."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.write(text)


def ask(port: int, question: bytes, size: int) -> bytes:
    """Return the first bytes of the answer of a server on this host; OSError without an answer."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.settimeout(PATIENCE_S)
        connection.sendall(question)
        return connection.recv(size)
