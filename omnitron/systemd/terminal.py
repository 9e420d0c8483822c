"""A terminal of its own for a program that runs elsewhere: what is typed here goes there, and back.

The program gets a pseudo-terminal as its controlling terminal, so that Ctrl-C, job control, passwords
and full-screen programs work as they do in a shell.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import termios
import time
import tty
from types import TracebackType
from typing import Self

CHUNK = 65536
ESCAPE = b"\x1d"
"""Ctrl-] three times within a second ends the program, as in systemd-run."""
FLUSH_S = 1.0
"""Longest wait for the last output of a program that has ended."""


class Terminal:
    """A pseudo-terminal that is fed from the terminal `input`, in raw mode meanwhile, and shown on `output`."""

    def __init__(self, input: int, output: int) -> None:
        self.input = input
        self.output = output
        self.inner = -1
        """The side of the program."""
        self.wants_end = False
        """True if the user has asked for the end of the program."""
        self._pending = b""
        self._escapes: list[float] = []

    def __enter__(self) -> Self:
        self._saved = termios.tcgetattr(self.input)
        self.master, self.inner = os.openpty()
        self.path = os.ttyname(self.inner)
        os.set_blocking(self.master, False)
        self.resize()
        tty.setraw(self.input, termios.TCSADRAIN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self.input, termios.TCSADRAIN, self._saved)
        os.close(self.master)
        self._close_inner()

    def _close_inner(self) -> None:
        if self.inner >= 0:
            os.close(self.inner)
            self.inner = -1

    def resize(self) -> None:
        """Give the pseudo-terminal the size of the outer one."""
        with contextlib.suppress(OSError):
            size = fcntl.ioctl(self.input, termios.TIOCGWINSZ, bytes(8))
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)

    @property
    def takes_input(self) -> bool:
        """Return whether more can be read from the outer terminal: what the program has not read yet is bounded."""
        return len(self._pending) < CHUNK

    @property
    def has_input(self) -> bool:
        """Return whether something waits to be written to the pseudo-terminal."""
        return bool(self._pending)

    def read_input(self) -> bool:
        """Take what was typed; return False when the outer terminal is gone."""
        try:
            data = os.read(self.input, CHUNK)
        except OSError:
            return False
        self._note_escapes(data)
        self._pending += data
        return bool(data)

    def _note_escapes(self, data: bytes) -> None:
        for position in range(len(data)):
            if data[position : position + 1] != ESCAPE:
                self._escapes.clear()
                continue
            now = time.monotonic()
            self._escapes = [*(at for at in self._escapes if now - at < 1.0), now]
            self.wants_end = self.wants_end or len(self._escapes) >= 3

    def feed(self) -> None:
        """Hand on what was typed, as much as fits."""
        with contextlib.suppress(BlockingIOError):
            self._pending = self._pending[os.write(self.master, self._pending) :]

    def show(self) -> bool:
        """Print what the program has written; return whether there was anything."""
        try:
            data = os.read(self.master, CHUNK)
        except OSError:
            return False
        # Where the outer terminal is gone, nobody is left to see it.
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self.output, data) :]
        return True

    def flush(self) -> None:
        """Print the rest, after the program has ended."""
        # With no writer left, the end of the data is an error; before it, the kernel may still be moving data.
        self._close_inner()
        deadline = time.monotonic() + FLUSH_S
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self.master], [], [], left)[0] or not self.show():
                return
