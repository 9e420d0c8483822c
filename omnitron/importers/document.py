"""The result of an importer: a definition as plain data, with its comments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omnitron.errors import Problem


class Entry(dict[str, Any]):
    """A mapping of the definition with its comments; otherwise a plain dict."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.comments: list[tuple[str | None, str]] = []
        """Each text with the key that it stands above; None is the end of the mapping."""

    def comment(self, text: str, above: str | None = None) -> None:
        """Add a comment of one or more lines above a key, or at the end."""
        self.comments.append((above, text))

    def inner(self, key: str) -> Entry:
        """Return the mapping at `key`, which is created if it is missing."""
        entry: Entry = self.setdefault(key, Entry())
        return entry


@dataclass(frozen=True)
class Imported:
    """A definition made from a file of another tool, and warnings about the settings that are not in it."""

    definition: Entry
    warnings: tuple[Problem, ...]
