"""Parses unit files by the rules of systemd: for comparisons, and to check rendered text."""

from __future__ import annotations

import re
from collections.abc import Iterator

SIMPLE_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}
ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[0-7]{3}|.)", re.DOTALL)

Sections = dict[str, list[tuple[str, str]]]


def parse(text: str) -> Sections:
    """Return the directives of each section in their order, continuation lines joined, values as written."""
    sections: Sections = {}
    current: list[tuple[str, str]] = []
    for line in _logical_lines(text):
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1], [])
        else:
            key, _, value = line.partition("=")
            current.append((key.strip(), value.strip()))
    return sections


def _logical_lines(text: str) -> Iterator[str]:
    continued = ""
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped.startswith(("#", ";")) or (not stripped and not continued):
            continue
        if line.endswith("\\"):
            continued += line[:-1] + " "
            continue
        yield (continued + line).strip()
        continued = ""


def values(sections: Sections, section: str, key: str) -> list[str]:
    """Return every value of a directive, in order."""
    return [value for name, value in sections.get(section, []) if name == key]


def split_words(value: str) -> list[str]:
    """Split a value into words, with quotes and C escapes undone and `%%` made `%`."""
    words: list[str] = []
    word, quote, inside = "", "", False
    position = 0
    while position < len(value):
        character = value[position]
        if character == "\\" and (match := ESCAPE.match(value, position)):
            word, inside, position = word + _unescape(match[1]), True, match.end()
            continue
        if character == quote:
            quote = ""
        elif not quote and character in "\"'":
            quote, inside = character, True
        elif not quote and character in " \t":
            words, word, inside = ([*words, word] if inside else words), "", False
        else:
            word, inside = word + character, True
        position += 1
    words = [*words, word] if inside else words
    return [word.replace("%%", "%") for word in words]


def _unescape(code: str) -> str:
    if code[0] in "xu" and len(code) > 1:
        return chr(int(code[1:], 16))
    if len(code) == 3:
        return chr(int(code, 8))
    return SIMPLE_ESCAPES.get(code, code)
