"""Runs a transient unit as if it were a child in the foreground: its streams are ours, and our signals end it."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from omnitron.errors import OmnitronError
from omnitron.systemd.terminal import Terminal
from omnitron.systemd.transient import Outcome, TransientUnit

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
WATCHED = (*ENDING, signal.SIGWINCH)
NAMES = ("Input", "Output", "Error")
RECHECK_S = 2.0
"""Interval of looks at the unit without a signal from the bus."""

Properties = list[tuple[str, str, Any]]


def run(unit: TransientUnit, properties: Properties) -> tuple[Outcome, int | None]:
    """Start `unit` and wait for its end; return its outcome, and the signal to us that made us stop it.

    The unit has our standard streams. Where our input is a terminal, it gets one of its own.
    """
    with contextlib.ExitStack() as stack:
        wakeup = stack.enter_context(_signals())
        terminals = [number for number, stream in enumerate(_standard_streams()) if stream and stream.isatty()]
        terminal = stack.enter_context(Terminal(0, output=terminals[-1])) if 0 in terminals else None
        unit.start([*properties, *_streams(terminal, terminals)])
        stopped_by = _Attendance(unit, terminal, wakeup).until_over()
        return unit.outcome(), stopped_by


def _standard_streams() -> tuple[TextIO | None, ...]:
    """Return the streams that we were started with, None for a closed one: its number may be another file's now."""
    return (sys.__stdin__, sys.__stdout__, sys.__stderr__)


def _streams(terminal: Terminal | None, terminals: list[int]) -> Properties:
    """Return the properties that say where its input, output and errors go: terminals to the new one."""
    # An interactive shell ignores SIGTERM.
    properties: Properties = [("SendSIGHUP", "b", terminal is not None)]
    if terminal and len(terminals) == len(NAMES):
        return [*properties, ("TTYPath", "s", terminal.path), *((f"Standard{name}", "s", "tty") for name in NAMES)]
    for number, (name, stream) in enumerate(zip(NAMES, _standard_streams(), strict=True)):
        if stream is None:
            properties.append((f"Standard{name}", "s", "null"))
        else:
            # systemd takes no path of a terminal beside a descriptor, but makes an input that is one its terminal.
            inner = terminal.inner if terminal and number in terminals else number
            properties.append((f"Standard{name}FileDescriptor", "h", inner))
    return properties


@contextmanager
def _signals() -> Iterator[int]:
    """Turn the signals that concern the unit into bytes on the descriptor that is yielded."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    # Blocked but for the wait: a call on the bus that a signal interrupts loses its answer.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    heard = [number for number in WATCHED if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, lambda *_: None) for number in heard}
    old = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
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
        self.queried_bus = True
        """True if the answer to a call may have brought news along."""

    def until_over(self) -> int | None:
        """Return the signal that made us stop the unit, None when it ended by itself."""
        try:
            ready: set[int] = set()
            while not self._is_over(ready):
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

    def _is_over(self, ready: set[int]) -> bool:
        """Return whether the unit has ended; asks only when there may be news: a key that was typed is none."""
        if ready and not self.queried_bus and self.unit.fileno() not in ready:
            return False
        self.queried_bus = False
        return self.unit.is_over()

    def _wait(self) -> set[int]:
        """Wait until something is to be done; return the descriptors that are ready."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.unit.fileno(), selectors.EVENT_READ)
            selector.register(self.wakeup, selectors.EVENT_READ)
            if self.terminal:
                writes = selectors.EVENT_WRITE if self.terminal.has_input else 0
                selector.register(self.terminal.master, selectors.EVENT_READ | writes)
                if self.terminal.takes_input and not self.hung_up:
                    selector.register(self.terminal.input, selectors.EVENT_READ)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
            ready = {key.fd for key, _ in selector.select(RECHECK_S)}
            signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
            return ready

    def _pass_on(self, terminal: Terminal, ready: set[int]) -> None:
        if terminal.input in ready and not terminal.read_input():
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
        self.queried_bus = True
        if self.stopped_by is None:
            self.stopped_by = number
            self.unit.stop()
            return
        # It may have ended a moment ago.
        with contextlib.suppress(OmnitronError):
            self.unit.kill(signal.SIGKILL)
