"""The errors a user can meet: what could not be done, why, what to do, and the exit status.

Every error raised on purpose derives from `OmnitronError`. Only `omnitron.cli.main` prints one and
exits; everything below it raises.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


def printable(text: str, keep: str = "") -> str:
    """Return `text` as it is safe on a terminal: control characters, but for those in `keep`, as `\\x1b`."""
    return "".join(
        character if character.isprintable() or character in keep else f"\\x{ord(character):02x}" for character in text
    )


class OmnitronError(Exception):
    """Something that could not be done.

    `brief` is one line, lower case, "cannot <verb> <thing>: <why>"; `hint` one line that says what
    to do; `exit_code` the process status when the error ends a command.
    """

    exit_code = 1

    def __init__(self, brief: str, *, hint: str | None = None) -> None:
        super().__init__(brief)
        self.brief = brief
        self.hint = hint

    def lines(self) -> list[str]:
        """The text for a terminal, without a prefix or colour."""
        return [self.brief, *([self.hint] if self.hint else [])]


class UsageError(OmnitronError):
    """The command line asks for something that does not exist or does not fit."""

    exit_code = 2


class SystemdUnreachableError(OmnitronError):
    """No systemd manager answers on the bus."""

    exit_code = 4


class NotPermittedError(OmnitronError):
    """The operating system refused, and another user could have done it."""

    exit_code = 5


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with a definition: where, and what.

    `line` is 1-based, 0 when the file as a whole is meant. `path` is the dotted key path
    (`apps.0.dependsOn`), empty for the whole file.
    """

    file: str
    line: int
    path: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        where = f"{place}: {self.path}" if self.path else place
        text = f"{where}: {self.message}" + (f" ({self.hint})" if self.hint else "")
        # Keys are whatever somebody wrote: on a terminal they must not act.
        return printable(text)


class DefinitionError(OmnitronError):
    """A definition is not valid; carries every problem found, in file order."""

    exit_code = 3

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda p: (p.file, p.line, p.path, p.message)))
        super().__init__("\n".join(map(str, self.problems)))

    def lines(self) -> list[str]:
        """One line per problem."""
        return [str(problem) for problem in self.problems]
