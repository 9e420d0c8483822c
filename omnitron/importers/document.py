"""What an importer returns: a definition as plain data, with the comments that stand in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omnitron.errors import Problem


class Entry(dict[str, Any]):
    """A mapping of the definition and its comments; to everybody else a plain dict."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.comments: list[tuple[str | None, str]] = []
        """Each with the key that it stands above, or None for the end of the mapping."""

    def comment(self, text: str, above: str | None = None) -> None:
        """Let `text`, of one or more lines, stand above a key, or at the end."""
        self.comments.append((above, text))

    def inner(self, key: str) -> Entry:
        """Return the mapping at `key`, made when it is not there."""
        found: Entry = self.setdefault(key, Entry())
        return found


@dataclass(frozen=True)
class Imported:
    """A definition that was made from a file of another tool, and what of that file is not in it."""

    definition: Entry
    warnings: tuple[Problem, ...]
