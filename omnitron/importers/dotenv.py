"""Reads `.env` files, in the two dialects that matter here: foreman's and compose's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from omnitron.definition.fields import parse_environment_name, parse_environment_value
from omnitron.errors import DefinitionError, Problem
from omnitron.importers.compose import interpolate
from omnitron.importers.emit import printable

FOREMAN_LINE = re.compile(r"([A-Za-z_0-9]+)=(.*)")
COMPOSE_KEY = re.compile(r"(?:export[^\S\n]+)?(?P<key>[\w.\[\]-]+)[^\S\n]*(?P<sign>[=:]?)[^\S\n]*")
ESCAPE = re.compile(r"\\(0[0-7]{1,3}|[abfnrtv$\"\\])")
ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "$": "$$", '"': '"', "\\": "\\"}


class Variable(NamedTuple):
    """One assignment: its line, 1-based, its name, and its value; None where the file gives a name only."""

    line: int
    name: str
    value: str | None


def problem(path: Path, line: int, message: str, name: str = "") -> Problem:
    """Return a problem in a line of the file."""
    return Problem(str(path), line, printable(name), printable(message))


def usable(path: Path, variables: list[Variable]) -> tuple[dict[str, str], list[Problem]]:
    """Return those of `variables` that a unit can have, and a warning for each other."""
    values: dict[str, str] = {}
    warnings: list[Problem] = []
    for line, name, value in variables:
        try:
            values[parse_environment_name(name)] = parse_environment_value(value)
        except ValueError as error:
            warnings.append(problem(path, line, f"cannot be carried over: {error}", name))
    return values, warnings


def foreman(path: Path, text: str) -> tuple[list[Variable], list[Problem]]:
    """Return the assignments of a foreman file, and a warning for each line that foreman ignores."""
    variables: list[Variable] = []
    warnings: list[Problem] = []
    for number, raw in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if match := FOREMAN_LINE.fullmatch(raw):
            variables.append(Variable(number, match[1], _foreman_value(match[2])))
        elif raw.strip() and not raw.lstrip().startswith("#"):
            warnings.append(problem(path, number, "cannot be carried over: not NAME=value, so foreman ignores it"))
    return variables, warnings


def _foreman_value(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1]
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1].replace("\\n", "\n"))
    return text


def compose(path: Path, text: str, environ: Mapping[str, str]) -> list[Variable]:
    """Return the assignments of a file as compose reads it; raises DefinitionError where compose refuses it."""
    return list(_ComposeFile(path, text.replace("\r\n", "\n"), environ).variables())


class _ComposeFile:
    """Parses a file; values may span lines, and may use variables of the environment and of lines above."""

    def __init__(self, path: Path, text: str, environ: Mapping[str, str]) -> None:
        self.path = path
        self.text = text
        self.environ = environ
        self.at = 0
        self.line = 1
        self.counted = 0
        """The position up to which lines have been counted."""
        self.above: dict[str, str] = {}

    def variables(self) -> Iterator[Variable]:
        while self._skip_to_statement():
            self.line += self.text.count("\n", self.counted, self.at)
            line, self.counted = self.line, self.at
            match = COMPOSE_KEY.match(self.text, self.at)
            if not match:
                raise self._error(line, "cannot parse: not NAME=value")
            self.at = match.end()
            name = match["key"]
            if match["sign"]:
                value: str | None = self._value(line)
            elif self.text[self.at : self.at + 1] in ("", "\n"):
                value = self.environ.get(name)
            else:
                raise self._error(line, "cannot parse: not NAME=value")
            if value is not None:
                self.above[name] = value
            yield Variable(line, name, value)

    def _skip_to_statement(self) -> bool:
        while self.at < len(self.text):
            if self.text[self.at] == "#":
                self.at = self._end_of_line()
            elif not self.text[self.at].isspace():
                return True
            else:
                self.at += 1
        return False

    def _value(self, line: int) -> str:
        quote = self.text[self.at : self.at + 1]
        if quote not in ("'", '"') or not quote:
            end = self._end_of_line()
            value, self.at = self.text[self.at : end].split(" #", 1)[0].rstrip(), end
            return self._expanded(value, line)
        match = re.compile(rf"{quote}((?:[^{quote}\\]|\\.)*){quote}", re.DOTALL).match(self.text, self.at)
        if not match:
            raise self._error(line, f"cannot parse: a {quote} is not closed")
        self.at = match.end()
        value = match[1].replace(f"\\{quote}", quote)
        return value if quote == "'" else self._expanded(ESCAPE.sub(_unescaped, value), line)

    def _expanded(self, value: str, line: int) -> str:
        try:
            return interpolate.substitute(value, self._lookup)
        except ValueError as error:
            raise self._error(line, f"cannot parse: {error}") from error

    def _lookup(self, name: str) -> str | None:
        return self.environ.get(name, self.above.get(name))

    def _end_of_line(self) -> int:
        end = self.text.find("\n", self.at)
        return len(self.text) if end < 0 else end

    def _error(self, line: int, message: str) -> DefinitionError:
        return DefinitionError([problem(self.path, line, message)])


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code, 8)) if code.startswith("0") else ESCAPES[code]
