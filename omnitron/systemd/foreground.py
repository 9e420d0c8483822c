"""Runs a transient unit as if it were a child in the foreground: its streams are ours, and our signals end it."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omnitron.systemd.terminal import Terminal
from omnitron.systemd.transient import Outcome, TransientUnit

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
STREAMS = ("Input", "Output", "Error")
RECHECK_S = 2.0
"""How often to look at the unit without a word from the bus."""

Properties = list[tuple[str, str, Any]]


def run(unit: TransientUnit, properties: Properties) -> tuple[Outcome, int | None]:
    """Start `unit` and wait for its end; return its outcome, and the signal to us that made us stop it.

    The unit has our standard streams. Where our input is a terminal, it gets one of its own.
    """
    with contextlib.ExitStack() as stack:
        terminal = stack.enter_context(Terminal(0)) if _is_terminal(0) else None
        wakeup = stack.enter_context(_signals())
        nothing = stack.enter_context(open(os.devnull, "r+b", buffering=0))
        unit.start([*properties, *_streams(terminal, nothing.fileno())])
        stopped_by = _Attendance(unit, terminal, wakeup).until_over()
        return unit.outcome(), stopped_by


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def _streams(terminal: Terminal | None, nothing: int) -> Properties:
    """Return the properties that say where its input, output and errors go: terminals to the new one."""
    properties: Properties = [("TTYPath", "s", terminal.path)] if terminal else []
    for descriptor, stream in enumerate(STREAMS):
        if terminal and _is_terminal(descriptor):
            properties.append((f"Standard{stream}", "s", "tty"))
        else:
            properties.append((f"Standard{stream}FileDescriptor", "h", _open_or(descriptor, nothing)))
    return properties


def _open_or(descriptor: int, nothing: int) -> int:
    try:
        os.fstat(descriptor)
    except OSError:
        return nothing
    return descriptor


@contextmanager
def _signals() -> Iterator[int]:
    """Turn the signals that concern the unit into bytes on the descriptor that is yielded."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    watched = (*ENDING, signal.SIGWINCH)
    before = {number: signal.signal(number, lambda *_: None) for number in watched}
    old = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


class _Attendance:
    """Waits for the end of a unit and meanwhile passes on keys, output, window sizes and signals."""

    def __init__(self, unit: TransientUnit, terminal: Terminal | None, wakeup: int) -> None:
        self.unit = unit
        self.terminal = terminal
        self.wakeup = wakeup
        self.stopped_by: int | None = None
        self.hung_up = False

    def until_over(self) -> int | None:
        """Return the signal that made us stop the unit, None when it ended by itself."""
        try:
            while not self.unit.is_over():
                ready = self._wait()
                if self.wakeup in ready:
                    for number in os.read(self.wakeup, 64):
                        self._on_signal(number)
                if self.terminal:
                    self._pass_on(self.terminal, ready)
        except BaseException:
            with contextlib.suppress(Exception):
                self.unit.stop()
            raise
        if self.terminal:
            self.terminal.flush()
        return self.stopped_by

    def _wait(self) -> set[int]:
        """Wait until something is to be done; return the descriptors that are ready."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.unit.fileno(), selectors.EVENT_READ)
            selector.register(self.wakeup, selectors.EVENT_READ)
            if self.terminal:
                writes = selectors.EVENT_WRITE if self.terminal.has_input else 0
                selector.register(self.terminal.master, selectors.EVENT_READ | writes)
                if self.terminal.takes_input and not self.hung_up:
                    selector.register(self.terminal.outer, selectors.EVENT_READ)
            return {key.fd for key, _ in selector.select(RECHECK_S)}

    def _pass_on(self, terminal: Terminal, ready: set[int]) -> None:
        if terminal.outer in ready and not terminal.read_outer():
            self.hung_up = True
            self._stop(signal.SIGHUP)
        if terminal.wants_end:
            terminal.wants_end = False
            self._stop(signal.SIGTERM)
        if terminal.master in ready:
            terminal.show()
            if terminal.has_input:
                terminal.feed()

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGWINCH and self.terminal:
            self.terminal.resize()
        if number in ENDING:
            self._stop(number)

    def _stop(self, number: int) -> None:
        """Stop the unit; whoever asks again has waited long enough."""
        if self.stopped_by is None:
            self.stopped_by = number
            self.unit.stop()
        else:
            self.unit.kill(signal.SIGKILL)
