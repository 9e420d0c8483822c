"""Turns a shell's command line into a command that receives SIGTERM.

A plain program with its arguments needs no shell. Where the line needs one, `exec` replaces the shell by
its last program. Where that is not possible, the shell stays, and systemd must signal every process of the
unit (`KillMode=control-group`), because a shell does not pass signals on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from omnitron.definition.fields import parse_argv

OPERATORS = ("&&", "||", ";;", ";", "&", "|", "(", ")", "\n")
REDIRECTION = re.compile(r"\d*(?:<<<|<<-?|<>|<&|>&|>>|>\||<|>)")
ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
SPECIAL = re.compile(r"[$`*?\[{~]")
"""Characters with a special meaning for a shell, unless they are quoted."""
HAS_EXEC = -1
"""Instead of a position: the line has `exec` already."""
BLANKS = " \t\r"
ENDS_A_WORD = BLANKS + "\n&|;()<>"
KEYWORDS = frozenset({
    "!", "[[", "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in",
    "select", "then", "trap", "until", "while", "{", "}",
})  # fmt: skip
BUILTINS = frozenset({
    ".", ":", "alias", "bg", "break", "cd", "command", "continue", "eval", "exec", "exit", "export", "fg", "getopts",
    "hash", "jobs", "local", "read", "readonly", "return", "set", "shift", "shopt", "source", "times", "type",
    "typeset", "ulimit", "umask", "unalias", "unset", "wait",
})  # fmt: skip
"""Builtins that only a shell has; the others exist as programs too."""


@dataclass(frozen=True)
class Word:
    """One word of a line: its start, its text without quotes, and whether it is `plain`, without expansions."""

    start: int
    text: str
    plain: bool


@dataclass(frozen=True)
class Operator:
    """A control operator or a redirection."""

    start: int
    text: str

    @property
    def redirects(self) -> bool:
        """Return whether it is a redirection."""
        return self.text not in OPERATORS


@dataclass(frozen=True)
class Command:
    """A command for a definition."""

    argv: list[str]
    needs_group_kill: bool = False
    """True if a shell remains, which would not pass SIGTERM on to the program."""


def command(line: str, shell: str = "/bin/sh", *, own_path: bool = False) -> Command:
    """Return the command that is equivalent to `shell -c line`; raises ValueError when the quotes do not match.

    `own_path`: the line has a PATH of its own, which only a shell would use to find the program.
    """
    tokens = list(_tokens(line))
    plain = _plain(tokens)
    if plain and not (own_path and "/" not in plain[0]):
        return Command(plain)
    *before, last = _commands(tokens)
    at = _place_for_exec(last)
    if at is None or not all(_is_simple(part) for part in before):
        return Command([shell, "-c", line], needs_group_kill=True)
    lasting = any(not _ends_at_once(part) for part in before)
    script = line if at == HAS_EXEC else f"{line[:at]}exec {line[at:]}"
    return Command([shell, "-c", script], needs_group_kill=lasting)


Token = Word | Operator


def _plain(tokens: list[Token]) -> list[str] | None:
    """Return the arguments when no shell is needed."""
    words = [token.text for token in tokens if isinstance(token, Word) and token.plain]
    if len(words) < len(tokens):
        return None
    if words[:1] == ["exec"]:
        del words[0]
    if not words or ASSIGNMENT.match(words[0]) or words[0] in KEYWORDS | BUILTINS:
        return None
    try:
        return parse_argv(words)
    except ValueError:
        return None


def _commands(tokens: list[Token]) -> list[list[Token]]:
    """Split at `&&` and `;`, the operators after which the last command may be exec'ed; a `;` at the end is dropped."""
    while tokens and isinstance(tokens[-1], Operator) and tokens[-1].text in (";", "\n"):
        tokens = tokens[:-1]
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if isinstance(token, Operator) and token.text in ("&&", ";", "\n"):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _is_simple(part: list[Token]) -> bool:
    """Return whether it is neither part of a compound command nor a background job."""
    operators = {token.text for token in part if isinstance(token, Operator)}
    if operators & {"(", ")", "&", ";;"}:
        return False
    starts = [part[0], *(b for a, b in pairwise(part) if _controls(a))] if part else []
    return bool(part) and all(isinstance(token, Word) and token.text not in KEYWORDS for token in starts)


def _controls(token: Token) -> bool:
    return isinstance(token, Operator) and not token.redirects


def _ends_at_once(part: list[Token]) -> bool:
    first = part[0]
    return isinstance(first, Word) and (first.text in BUILTINS or bool(ASSIGNMENT.match(first.text)))


def _place_for_exec(part: list[Token]) -> int | None:
    """Return the position of `exec` in the last command, after its assignments; None when it cannot have one."""
    if any(_controls(token) for token in part):
        return None
    for token in part:
        if isinstance(token, Operator):
            return token.start
        if token.text == "exec":
            return HAS_EXEC
        if not ASSIGNMENT.match(token.text):
            return None if token.text in KEYWORDS | BUILTINS else token.start
    return None


def _tokens(line: str) -> Iterator[Token]:
    at = 0
    while at < len(line):
        if line[at] in BLANKS:
            at += 1
        elif line[at] == "#":
            end = line.find("\n", at)
            at = len(line) if end < 0 else end
        elif operator := _operator(line, at):
            yield Operator(at, operator)
            at += len(operator)
        else:
            start = at
            text, plain, at = _word(line, at)
            yield Word(start, text, plain)


def _operator(line: str, at: int) -> str | None:
    redirection = REDIRECTION.match(line, at)
    return redirection[0] if redirection else next((op for op in OPERATORS if line.startswith(op, at)), None)


def _word(line: str, at: int) -> tuple[str, bool, int]:
    """Return the text of the word at `at`, whether it is plain, and its end."""
    parts: list[str] = []
    plain = True
    while at < len(line) and line[at] not in ENDS_A_WORD:
        start, character = at, line[at]
        if character == "\\":
            at += 2
            parts.append(line[start + 1 : at].replace("\n", ""))
            plain = plain and at <= len(line)
        elif character == "'":
            at = _end(line, at, "'") + 1
            parts.append(line[start + 1 : at - 1])
        elif character == '"':
            text, quoted_plain, at = _double_quoted(line, at)
            parts.append(text)
            plain = plain and quoted_plain
        elif _substitutes(line, at):
            at = _substitution(line, at)
            parts.append(line[start:at])
            plain = False
        else:
            at += 1
            parts.append(character)
            plain = plain and not SPECIAL.match(character)
    return "".join(parts), plain, at


def _double_quoted(line: str, at: int) -> tuple[str, bool, int]:
    parts: list[str] = []
    plain = True
    at += 1
    while True:
        character = line[at : at + 1]
        if not character:
            raise ValueError('a " is not closed')
        if character == '"':
            return "".join(parts), plain, at + 1
        if character == "\\":
            escaped = line[at + 1 : at + 2]
            parts.append(escaped if escaped in '$`"\\' else "" if escaped == "\n" else f"\\{escaped}")
            at += 2
        elif _substitutes(line, at):
            end = _substitution(line, at)
            parts.append(line[at:end])
            plain, at = False, end
        else:
            parts.append(character)
            plain = plain and character != "$"
            at += 1


def _substitutes(line: str, at: int) -> bool:
    return line[at] == "`" or line.startswith(("$(", "${"), at)


def _end(line: str, at: int, quote: str) -> int:
    end = line.find(quote, at + 1)
    if end < 0:
        raise ValueError(f"a {quote} is not closed")
    return end


def _substitution(line: str, at: int) -> int:
    """Return the end of the substitution that starts at `at`: backquotes, `$(…)` or `${…}`."""
    if line[at] == "`":
        end = at + 1
        while end < len(line) and line[end] != "`":
            end += 2 if line[end] == "\\" else 1
        if end >= len(line):
            raise ValueError("a ` is not closed")
        return end + 1
    opening = line[at + 1]
    closing = {"(": ")", "{": "}"}[opening]
    depth, at = 1, at + 2
    while at < len(line):
        character = line[at]
        if character == "\\":
            at += 2
        elif character == "'" and opening == "(":
            at = _end(line, at, "'") + 1
        elif character == '"':
            at = _double_quoted(line, at)[2]
        elif _substitutes(line, at):
            at = _substitution(line, at)
        else:
            depth += {opening: 1, closing: -1}.get(character, 0)
            at += 1
            if depth == 0:
                return at
    raise ValueError(f"a ${opening} is not closed")
