"""The report of an import: problems of the source, and settings that could not be carried over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from omnitron.definition.fields import parse_text
from omnitron.definition.problems import KINDS
from omnitron.definition.source import KeyPath, Source, dotted
from omnitron.errors import DefinitionError, Problem
from omnitron.importers import emit
from omnitron.importers.document import Entry, Imported

T = TypeVar("T")

MAX_SHOWN = 2000
"""Longest value in a comment, in characters."""


class Report:
    """The problems and warnings of one import, each with its line."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def problem(self, path: KeyPath, message: str) -> Problem:
        """Return a problem of the value at `path`; safe to show on a terminal."""
        where = emit.printable(dotted(path, self.source.data))
        return Problem(str(self.source.path), self.source.line(path), where, emit.printable(message))

    def wrong(self, path: KeyPath, message: str) -> None:
        """Add a problem: a value that the other tool would refuse, or that cannot be read. The import will fail."""
        self.problems.append(self.problem(path, message))

    def warn(self, path: KeyPath, message: str) -> None:
        """Add a warning: something that the user should check."""
        self.warnings.append(self.problem(path, message))

    def finish(self, definition: Entry) -> Imported:
        """Return the result, or raise DefinitionError with every problem."""
        if self.problems:
            raise DefinitionError(self.problems)
        warnings = sorted(dict.fromkeys(self.warnings), key=lambda problem: (problem.file, problem.line))
        return Imported(definition, tuple(warnings))


def shown(value: Any) -> str:
    """Return a value for a comment: in one line, cut at MAX_SHOWN characters."""
    text = ""
    for part in emit.flow_parts(value):
        text += part
        if len(text) > MAX_SHOWN:
            return f"{text[:MAX_SHOWN]}…"
    return text


class Section:
    """A mapping of the source. Reads its keys by type, and records which keys are not read yet.

    A key without a value counts as absent; so does a value of a wrong type, which is also a problem.
    """

    def __init__(self, report: Report, at: KeyPath, data: dict[str, Any], root: int | None = None) -> None:
        self.report = report
        self.at = at
        self.data = data
        self.root = len(at) if root is None else root
        """The number of keys on the path to the app that this is a part of."""
        self.unread = {key for key, value in data.items() if value is not None}

    def value(self, key: str) -> Any:
        """Return whatever is at `key`."""
        self.unread.discard(key)
        return self.data.get(key)

    def path(self, *keys: str | int) -> KeyPath:
        """Return the key path of something in this mapping."""
        return (*self.at, *keys)

    def wrong(self, key: str | int, message: str) -> None:
        """Add a problem of the value at `key`."""
        self.report.wrong(self.path(key), message)

    def left(self, entry: Entry, key: str, why: str, above: str | None = None) -> None:
        """Leave out the value at `key`, with a comment in `entry` and a warning."""
        value = self.value(key)
        label = ".".join(map(str, self.path(key)[self.root :]))
        entry.comment(f"{label}: {shown(value)}\n  cannot be carried over: {why}", above)
        self.report.warn(self.path(key), f"cannot be carried over: {why}")

    def changed(self, entry: Entry, key: str, message: str, above: str | None = None) -> None:
        """Add a comment and a warning about a change to the value at `key`."""
        label = ".".join(map(str, self.path(key)[self.root :]))
        entry.comment(f"{label}: {message}", above)
        self.report.warn(self.path(key), message)

    def text(self, key: str) -> str | None:
        """Return text; a number becomes its digits."""
        return self._read_text(key, self.value(key))

    def _read_text(self, key: str | int, value: Any) -> str | None:
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = number_text(value)
        if not isinstance(value, str):
            self.wrong(key, f"cannot be {kind(value)}: it must be text")
            return None
        try:
            return parse_text(value)
        except ValueError as error:
            self.wrong(key, f"cannot use this value: it {error}")
            return None

    def flag(self, key: str) -> bool | None:
        """Return a bool; the texts "true" and "false" count too."""
        value = self.value(key)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        self.wrong(key, f"cannot be {kind(value)}: it must be true or false")
        return None

    def number(self, key: str) -> float | None:
        """Return a number; a text of digits counts too."""
        value = self.value(key)
        if value is None:
            return None
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            try:
                number = float(value)
            except (ValueError, OverflowError):
                number = float("nan")
            if abs(number) < 1 << 63:
                return number
        self.wrong(key, f"cannot be {shown_briefly(value)}: it must be a number")
        return None

    def whole(self, key: str) -> int | None:
        """Return a whole number."""
        number = self.number(key)
        if number is not None and number != int(number):
            self.wrong(key, f"cannot be {number:g}: it must be a whole number")
            return None
        return None if number is None else int(number)

    def parsed(self, key: str, parse: Callable[[str], T]) -> T | None:
        """Return the result of `parse` for a text; its ValueError becomes a problem."""
        text = self.text(key)
        if text is None:
            return None
        try:
            return parse(text)
        except ValueError as error:
            self.wrong(key, f"cannot use this value: it {error}")
            return None

    def section(self, key: str) -> Section | None:
        """Return the mapping at `key`."""
        value = self.value(key)
        if value is None or isinstance(value, dict):
            return None if value is None else Section(self.report, self.path(key), value, self.root)
        self.wrong(key, f"cannot be {kind(value)}: it must be a mapping")
        return None

    def items(self, key: str) -> list[Any]:
        """Return a list; a single value counts as a list of one."""
        value = self.value(key)
        if value is None:
            return []
        if isinstance(value, dict):
            self.wrong(key, "cannot be a mapping: it must be a list")
            return []
        return value if isinstance(value, list) else [value]

    def mixed(self, key: str) -> list[Section | str]:
        """Return a list whose items are texts or mappings; a single one counts as a list of one."""
        if isinstance(self.data.get(key), dict):
            return [section] if (section := self.section(key)) else []
        inner = Section(self.report, self.path(key), {}, self.root)
        entries: list[Section | str] = []
        for index, item in enumerate(self.items(key)):
            if isinstance(item, dict):
                entries.append(Section(self.report, self.path(key, index), item, self.root))
            elif (text := inner._read_text(index, item)) is not None:
                entries.append(text)
        return entries

    def texts(self, key: str) -> list[str]:
        """Return a list of texts; a single text counts as a list of one."""
        inner = Section(self.report, self.path(key), {}, self.root)
        read = (inner._read_text(index, item) for index, item in enumerate(self.items(key)))
        return [text for text in read if text is not None]

    def rest(self) -> Iterator[str]:
        """Yield the unread keys, in the order of the file; `x-` keys are the user's own."""
        for key in self.data:
            if key in self.unread and not key.startswith("x-"):
                yield key

    def leave_rest(self, entry: Entry, why: str, above: str | None = None) -> None:
        """Leave out every unread key."""
        for key in list(self.rest()):
            self.left(entry, key, why, above)


def kind(value: Any) -> str:
    """Return the type of a value, in the words of a definition."""
    return KINDS.get(type(value), type(value).__name__)


def shown_briefly(value: Any) -> str:
    """Return a value for a message: a short text as it is, anything else by its type."""
    return repr(value) if isinstance(value, str) and len(value) < 60 else kind(value)


def number_text(value: int | float) -> str:
    """Return a number as the other tools write it: a whole one without `.0`."""
    return str(int(value)) if isinstance(value, int) or value.is_integer() else repr(value)
