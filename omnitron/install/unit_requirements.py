"""The requirements of an installed unit on the host: the programs, folders and user in its text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from omnitron.render.unitfile import parse, split_words, values

RUN = "ExecStart"
HELPERS = ("ExecStartPre", "ExecStartPost", "ExecStopPost")
FOLDERS = ("BindReadOnlyPaths", "BindPaths", "ReadWritePaths")
MARKS = "@-:+!|"
SCRIPT = re.compile(r"/.*\.(py|js|mjs|cjs|ts|mts|sh|rb|pl|php|jar)")


@dataclass(frozen=True)
class References:
    """The programs, paths and user that one unit refers to."""

    paths: tuple[str, ...]
    """Absolute paths that must exist."""
    programs: tuple[str, ...]
    """Names to look up in the search path of systemd."""
    user: str | None


def references(text: str) -> References:
    """Return the references in a unit file, without optional paths and those with specifiers (`%n`)."""
    sections = parse(text)
    words = [
        *((word, True) for line in values(sections, "Service", RUN) for word in _program(line)),
        *((word, False) for name in HELPERS for line in values(sections, "Service", name) for word in _words(line)),
        *((path, False) for path in _folders(values(sections, "Service", "WorkingDirectory"))),
        *((path, False) for name in FOLDERS for path in _sources(values(sections, "Service", name))),
    ]
    literal_words = [(word, is_program) for word, is_program in words if "%" not in word]
    users = values(sections, "Service", "User")
    dynamic = values(sections, "Service", "DynamicUser") == ["yes"]
    return References(
        paths=tuple(dict.fromkeys(word for word, _ in literal_words if word.startswith("/"))),
        programs=tuple(dict.fromkeys(word for word, is_program in literal_words if is_program and "/" not in word)),
        user=users[-1] if users and not dynamic else None,
    )


def _words(line: str) -> list[str]:
    return split_words(line.lstrip(MARKS))


def _program(line: str) -> Iterator[str]:
    """Yield the program and the script that it runs: other arguments may be files that do not exist yet."""
    words = _words(line)
    yield from words[:1]
    yield from (word for word in words[1:2] if SCRIPT.fullmatch(word))


def _folders(lines: list[str]) -> list[str]:
    return [line.replace("%%", "%") for line in lines if line.startswith("/")]


def _sources(lines: list[str]) -> Iterator[str]:
    for line in lines:
        for word in split_words(line):
            if not word.startswith("-"):
                yield word.lstrip("+").split(":")[0]
