"""The reason of a process's end: one sentence with file and line, for the journal and `omnitron inspect`."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

from omnitron.errors import OmnitronError
from omnitron.host.telemetry.logging import text_of

HOST = Path(__file__).parent
LONGEST = 1000
"""Characters of a sentence."""


class FailureError(Exception):
    """The end of a process: the step that failed, and the error."""

    def __init__(self, doing: str, cause: BaseException) -> None:
        """Take the step, such as `import modules/api.py`, and the error."""
        self.doing = doing
        self.cause = cause
        super().__init__(doing)

    def sentence(self, folders: Sequence[Path]) -> str:
        """Return the reason in one line; paths inside `folders` are shown relative to them."""
        return single_line(f"cannot {self.doing}: {describe(self.cause, folders)}")


def single_line(value: object) -> str:
    """Return the text of a value as one line, without control characters: safe on a terminal and in sd_notify."""
    text = text_of(value)
    cut = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return "".join(
        character if character.isprintable() else f"\\x{ord(character):02x}" for character in " ".join(cut.split())
    )


def describe(error: BaseException, folders: Sequence[Path]) -> str:
    """Return an error as one line, with the line of the app's code that raised it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, OmnitronError):
        return single_line("; ".join(error.lines()))
    # Files are imported by their real path, and a folder is often a link to the current release.
    folders = [*folders, *(folder.resolve() for folder in folders)]
    place, text = _place(error, folders), single_line(error)
    if isinstance(error, SyntaxError) and error.filename and not error.filename.startswith("<"):
        place, text = f"{_short(error.filename, folders)}:{error.lineno or 1}", single_line(error.msg)
    kind = type(error).__name__
    description = f"{kind}: {text}" if text else kind
    return f"{place}: {description}" if place else description


def _place(error: BaseException, folders: Sequence[Path]) -> str | None:
    """Return `file:line` of the innermost frame in the app's code, else of the innermost that is not the host's."""
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    others = [(file, line) for file, line in frames if not file.startswith("<") and HOST not in Path(file).parents]
    own = [(file, line) for file, line in others if any(_is_below(file, folder) for folder in folders)]
    for file, line in reversed(own or others):
        return f"{_short(file, folders)}:{line}"
    return None


def _is_below(file: str, folder: Path) -> bool:
    path = Path(file)
    return folder in path.parents and not {"site-packages", "dist-packages"} & set(path.parts)


def _short(file: str, folders: Sequence[Path]) -> str:
    path = Path(file)
    return next((str(path.relative_to(folder)) for folder in folders if folder in path.parents), file)
