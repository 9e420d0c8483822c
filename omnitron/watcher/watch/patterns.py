"""Selection of files in a watched tree: patterns as in .gitignore. Pure."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from pathspec import GitIgnoreSpec

if TYPE_CHECKING:
    from omnitron.policy.model import WatchPolicy

IGNORED = (
    ".*",
    "!.env",
    "node_modules/",
    "dist/",
    "build/",
    "coverage/",
    "__pycache__/",
    "venv/",
)
"""Ignored in every tree. Patterns of a definition come after these, and can include files again with `!`."""

EXTENSIONS = frozenset(
    f".{name}"
    for names in (
        "py ts tsx js jsx mjs cjs rb pl php lua sh",
        "json yaml yml toml env graphql gql sql html css",
    )
    for name in names.split()
)
"""Extensions of files whose change restarts an app: files that programs read, not those that they write."""


class Patterns:
    """The watched files of one app."""

    def __init__(self, policy: WatchPolicy) -> None:
        self._folders = [PurePath(folder) for folder in policy.folders]
        self._except = set(policy.excepted)
        self._spec = GitIgnoreSpec.from_lines([*IGNORED, *policy.ignore])

    def wants(self, path: str, *, is_folder: bool) -> bool:
        """Return whether a change of `path` (absolute) restarts the app; for a folder, whether to watch it."""
        pure = PurePath(path)
        root = next((folder for folder in self._folders if pure.is_relative_to(folder)), None)
        if root is None or path in self._except:
            return False
        relative = pure.relative_to(root)
        if self._spec.match_file(f"{relative}/" if is_folder else str(relative)):
            return False
        return is_folder or pure.suffix in EXTENSIONS or pure.name == ".env"
