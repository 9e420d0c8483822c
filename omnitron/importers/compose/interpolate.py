"""Replaces variables in text as compose does: `$NAME`, `${NAME}`, `${NAME:-default}` and so on; `$$` is a dollar."""

from __future__ import annotations

import re
from collections.abc import Callable

from omnitron.definition.source import MAX_BYTES

NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
OPERATOR = re.compile(r":?[-?+]")

Lookup = Callable[[str], str | None]
"""Returns the value of a variable, None when it is not set."""
Unset = Callable[[str], None]
"""Called with each variable that is used without a default and is not set."""


class RequiredVariableError(ValueError):
    """`${NAME:?message}` of a variable that has no value."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"the variable {name} has no value" + (f": {message}" if message else ""))


def substitute(text: str, lookup: Lookup, unset: Unset = lambda _: None) -> str:
    """Return `text` with its variables replaced; an unset one is empty. Raises ValueError where compose fails."""
    parts: list[str] = []
    size = at = 0
    while (dollar := text.find("$", at)) >= 0:
        value, end = _variable(text, dollar, lookup, unset)
        parts += (text[at:dollar], value)
        size += dollar - at + len(value)
        if size > MAX_BYTES:
            raise ValueError(f"it stands for more than {MAX_BYTES >> 20} MiB")
        at = end
    return "".join((*parts, text[at:]))


def _variable(text: str, dollar: int, lookup: Lookup, unset: Unset) -> tuple[str, int]:
    """Return the value of the expression at `dollar`, and its end."""
    if text.startswith("$$", dollar):
        return "$", dollar + 2
    if match := NAME.match(text, dollar + 1):
        return _plain(match[0], lookup, unset), match.end()
    if not text.startswith("${", dollar):
        return "$", dollar + 1
    end, name = _closing_brace(text, dollar + 1), NAME.match(text, dollar + 2)
    if end is None or name is None:
        raise ValueError("'${' is not the start of a variable here; write '$$' for a '$'")
    rest = text[name.end() : end]
    operator = OPERATOR.match(rest)
    if not rest:
        return _plain(name[0], lookup, unset), end + 1
    if not operator:
        raise ValueError(f"'${{{name[0]}…}}' is not one of ${{A}}, ${{A:-b}}, ${{A:?b}} and ${{A:+b}}")
    chosen = _choice(name[0], operator[0], rest[operator.end() :], lookup)
    return (substitute(chosen[1], lookup, unset) if chosen[0] else chosen[1]), end + 1


def _plain(name: str, lookup: Lookup, unset: Unset) -> str:
    value = lookup(name)
    if value is None:
        unset(name)
    return value or ""


def _choice(name: str, operator: str, argument: str, lookup: Lookup) -> tuple[bool, str]:
    """Return whether the chosen text may have variables itself, and the text."""
    value = lookup(name)
    present = value is not None and (value != "" or ":" not in operator)
    if operator.endswith("+"):
        return (True, argument) if present else (False, "")
    if present:
        return False, value or ""
    if operator.endswith("?"):
        raise RequiredVariableError(name, substitute(argument, lookup))
    return True, argument


def _closing_brace(text: str, opening: int) -> int | None:
    depth = 0
    for at in range(opening, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at
    return None
