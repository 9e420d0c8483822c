"""A folder to install to, and definitions before and after a change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omnitron.install.installer import Prepared, commit, prepare
from omnitron.install.scope import Scope
from omnitron.install.store import Store
from omnitron.planner.plan import Plan
from tests.support.build import shop

BEFORE = shop({"name": "stays"}, {"name": "changes"}, {"name": "goes"}, logging={"maxFiles": 2})
AFTER = shop(
    {"name": "stays"},
    {"name": "changes", "env": {"NEW": "1"}},
    {"name": "comes", "instances": 2},
    logging={"maxFiles": 3},
)


@dataclass
class Host:
    """A tree below a folder, to which plans are installed."""

    root: Path
    reloads: list[int] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return Store(Scope(root=self.root))

    def reload(self) -> None:
        self.reloads.append(1)

    def install(self, plan: Plan, running: frozenset[str] = frozenset()) -> list[Prepared]:
        with self.store.locked(self.reload):
            prepared = prepare(plan, self.store.scope, running)
            commit(prepared, self.store, self.reload)
        return prepared

    def files(self) -> dict[str, str]:
        """The text of every file, the lock left out."""
        found = {str(path.relative_to(self.root)): path for path in self.root.rglob("*") if path.is_file()}
        return {name: path.read_text() for name, path in sorted(found.items()) if path.name != "lock"}


Make = Callable[[dict[str, Any]], Plan]
