"""How log lines are printed."""

from __future__ import annotations

import pytest

from omnitron.cli.log_output import harmless, show
from omnitron.observe.log_lines import Line
from omnitron.systemd.journal import Entry


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("plain ünï €", "plain ünï €"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x1b[2J\x1b[H", "\\x1b[2J\\x1b[H"),
        ("bell\x07 nul\x00 c1\x9b31m", "bell\\x07 nul\\x00 c1\\x9b31m"),
        ("progress 1%\rprogress 2%", "progress 1%\\x0dprogress 2%"),
        ("dos\r\nlines\r\n", "dos\nlines"),
        ("tab\tkept", "tab\tkept"),
        ("turned \u202earound", "turned \\u202earound"),
        ("family \U0001f468\u200d\U0001f469", "family \U0001f468\u200d\U0001f469"),
    ],
)
def test_messages_are_harmless_to_a_terminal(message: str, shown: str) -> None:
    assert harmless(message) == shown


def test_further_lines_are_indented(capsys: pytest.CaptureFixture[str]) -> None:
    entry = Entry(1_700_000_000_123_456, 3, "first\nsecond", None, (), "")
    show([Line(entry, "api", "main", None, "dev", "u"), None], width=6, at_once=False)
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(".123 error api    first")
    assert second == " " * first.index("first") + "second"
