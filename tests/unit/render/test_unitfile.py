"""Unit files are read as systemd reads them: cases from systemd.syntax(7) and its test-extract-word.c."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitron.render.unitfile import parse, split_words, values


@pytest.mark.parametrize(
    ("text", "sections"),
    [
        ("", {}),
        ("[Unit]\n", {"Unit": []}),
        ("[Unit]\nA=b\nA = c \nB=\n", {"Unit": [("A", "b"), ("A", "c"), ("B", "")]}),
        ("# a\n[Unit]\n; b\n  # c\nA=b # d\n", {"Unit": [("A", "b # d")]}),
        ("[Unit]\nA=b \\\n  c\\\nd\nB=e\n", {"Unit": [("A", "b    c d"), ("B", "e")]}),
        ("[Unit]\nA=b \\\n# comment\n  c\n", {"Unit": [("A", "b    c")]}),
        ("[Unit]\nA=b\\\n\nB=c\n", {"Unit": [("A", "b"), ("B", "c")]}),
        ("[Unit]\nA=[b]\nB==c=d\n", {"Unit": [("A", "[b]"), ("B", "=c=d")]}),
        ("[A]\nx=1\n[B]\nx=2\n[A]\nx=3\n", {"A": [("x", "1"), ("x", "3")], "B": [("x", "2")]}),
    ],
)
def test_sections_and_directives(text: str, sections: dict[str, list[tuple[str, str]]]) -> None:
    assert parse(text) == sections


def test_all_values_of_a_directive() -> None:
    sections = parse("[Unit]\nA=1\nB=2\nA=3\n")
    assert values(sections, "Unit", "A") == ["1", "3"]
    assert values(sections, "Unit", "C") == values(sections, "Nowhere", "A") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  a\tb  ", ["a", "b"]),
        ("\"a b\" 'c d'", ["a b", "c d"]),
        ("a\"b c\"'d e'f", ["ab cd ef"]),
        ("\"\" ''", ["", ""]),
        ("\"it's\" 'a\"b'", ["it's", 'a"b']),
        (r"a\ b \"c\" \'", ["a b", '"c"', "'"]),
        (r"\n\t\r\\ \s \a\b\f\v", ["\n\t\r\\", " ", "\a\b\f\v"]),
        (r"\x41\u00e9\101", ["AéA"]),
        (r'"a\"b" "\x7f"', ['a"b', "\x7f"]),
        ("50%% %n", ["50%", "%n"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@given(st.lists(st.tuples(st.sampled_from(["A", "Bc"]), st.from_regex(r"[a-z\[\]=#;%\" ]{0,9}", fullmatch=True))))
def test_what_is_written_plainly_is_read(directives: list[tuple[str, str]]) -> None:
    text = "[S]\n" + "".join(f"{key}={value}\n" for key, value in directives)
    assert parse(text) == {"S": [(key, value.strip()) for key, value in directives]}
