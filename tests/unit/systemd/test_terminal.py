"""What is typed goes to the inner terminal, what is written there is shown, and the outer one is restored."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import Iterator

import pytest

from omnitron.systemd.terminal import Terminal


@pytest.fixture
def outer() -> Iterator[tuple[int, int]]:
    """A terminal and the side of its user."""
    user, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    yield user, terminal
    for descriptor in (user, terminal):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def typed(terminal: Terminal, user: int, keys: bytes) -> None:
    os.write(user, keys)
    assert terminal.read_input()
    while terminal.has_input:
        terminal.feed()


def test_keys_and_output_pass_through(outer: tuple[int, int]) -> None:
    user, end = outer
    with Terminal(end, end) as terminal:
        typed(terminal, user, b"hello\r")
        assert os.read(terminal.inner, 100) == b"hello\n"
        os.write(terminal.inner, b"answer\n")
        terminal.flush()
        shown = b""
        while not shown.endswith(b"answer\r\n"):
            shown += os.read(user, 100)
        assert shown == b"hello\r\nanswer\r\n"


def test_it_has_the_size_of_the_outer_one(outer: tuple[int, int]) -> None:
    _, end = outer
    with Terminal(end, end) as terminal:
        assert os.get_terminal_size(terminal.inner) == (101, 33)
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        terminal.resize()
        assert os.get_terminal_size(terminal.inner) == (120, 40)


def test_the_outer_one_is_raw_meanwhile_and_restored_even_after_an_error(outer: tuple[int, int]) -> None:
    _, end = outer
    before = termios.tcgetattr(end)
    with pytest.raises(RuntimeError), Terminal(end, end):
        assert not termios.tcgetattr(end)[3] & termios.ISIG
        raise RuntimeError
    assert termios.tcgetattr(end) == before


def test_three_escapes_ask_for_the_end(outer: tuple[int, int]) -> None:
    user, end = outer
    with Terminal(end, end) as terminal:
        typed(terminal, user, b"\x1d\x1dx\x1d\x1d")
        assert not terminal.wants_end
        typed(terminal, user, b"\x1d")
        assert terminal.wants_end


def test_a_hung_up_terminal_is_noticed(outer: tuple[int, int]) -> None:
    user, end = outer
    with Terminal(end, end) as terminal:
        os.close(user)
        assert not terminal.read_input()


def test_flush_ends_although_somebody_holds_the_inner_side(
    outer: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, end = outer
    monkeypatch.setattr("omnitron.systemd.terminal.FLUSH_S", 0.1)
    with Terminal(end, end) as terminal:
        held = os.dup(terminal.inner)
        terminal.flush()
        os.close(held)
