"""Escapes values so that systemd reads back exactly the planned value. No other module quotes.

Rules: systemd.syntax(7) for quotes and C escapes, systemd.unit(5) for `%`, systemd.service(5) for `$`.
A value that a directive cannot hold is an error; it is never changed.
"""

from __future__ import annotations

import re

from omnitron.errors import OmnitronError
from omnitron.planner.units.values import Assignment, Bind, Command, Literal, Own, Value, Word

PLAIN_WORD = re.compile(r"[A-Za-z0-9_/.,:=@+-]+")
MAX_LINE = (1 << 20) - 100
"""Bytes of a value; systemd does not load a unit with a longer line."""
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SAFE_IN_QUOTES = re.compile(r"[A-Za-z0-9_/.,:=@+ -]*")
C_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


class UnsayableError(OmnitronError):
    """A text of a definition that a unit file cannot hold."""

    exit_code = 3

    def __init__(self, text: str, why: str) -> None:
        super().__init__(f"cannot write {text!r} into a unit file: {why}", hint="use another name or path")


def lines(value: Value) -> tuple[str, ...] | None:
    """Return the text after `Directive=`, one item per line; None omits the directive."""
    if value is None:
        return None
    if isinstance(value, tuple):
        return tuple(_line(item) for item in value)
    return (_line(value),)


def _line(value: Value) -> str:
    text = _item(value)
    if text.isascii() and len(text) <= MAX_LINE:
        return text
    try:
        if len(text.encode()) > MAX_LINE:
            raise UnsayableError(text[:60] + "…", "it is longer than a line that systemd can read")
    except UnicodeEncodeError:
        raise UnsayableError(text, "it is not valid Unicode") from None
    return text


def _item(value: Value) -> str:
    match value:
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case int():
            return str(value)
        case Literal(text):
            return literal(text)
        case Word(text):
            return word(text)
        case Bind(path, optional):
            return ("-" if optional else "") + bind(path)
        case Assignment(name, text) if not VARIABLE.fullmatch(name):
            raise UnsayableError(name, "it is not a valid name of an environment variable")
        case Assignment(name, text):
            return _quoted(f"{name}={text}")
        case Command():
            return command(value)
    raise TypeError(f"not a single value: {value!r}")


def literal(text: str) -> str:
    """Write text for a directive without quoting rules: only `%` is doubled."""
    if text != text.strip() or text.endswith("\\"):
        raise UnsayableError(text, "it begins or ends with white space, or ends with a backslash")
    if any(character < " " or character == "\x7f" for character in text):
        raise UnsayableError(text, "it contains a control character")
    return text.replace("%", "%%")


def word(text: str) -> str:
    """Write one word of a list, quoted only where needed."""
    return text if PLAIN_WORD.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    if SAFE_IN_QUOTES.fullmatch(text):
        return f'"{text}"'
    escaped = "".join(C_ESCAPES.get(character) or _control(character) for character in text)
    return f'"{escaped}"'.replace("%", "%%")


def _control(character: str) -> str:
    return f"\\x{ord(character):02x}" if character < " " or character == "\x7f" else character


def bind(path: str) -> str:
    """Write a path for a directive where `:` separates source and destination and C escapes do not work."""
    if "\\" in path or '"' in path or not path.isprintable():
        raise UnsayableError(path, "it contains a quote, a backslash or a control character")
    quoted = path if PLAIN_WORD.fullmatch(path) and ":" not in path else f'"{path}"'
    return quoted.replace("%", "%%")


def command(line: Command) -> str:
    """Write a command line. A leading `:` tells systemd not to expand `$` in it."""
    program = line.words[0]
    if isinstance(program, str) and set(program) & set("\"'\\"):
        raise UnsayableError(program, "the path of a program cannot contain a quote or a backslash")
    plain_words = [item for item in line.words if isinstance(item, str)]
    literally = ":" if any("$" in item for item in plain_words) else ""
    words = [item.text if isinstance(item, Own) else word(item) for item in line.words]
    return line.prefix + literally + " ".join(words)
