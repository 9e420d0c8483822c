"""The selection of a command line among the installed stacks: by scope, by stack, by address."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omnitron.cli.options import default_user, options

if TYPE_CHECKING:
    from omnitron.policy.model import InstalledPolicy, Selection


def is_user_scope(user: bool) -> bool:
    """Return whether the user's own manager is selected."""
    return user or default_user()


def select_stack(name: str | None, *, is_user: bool) -> InstalledPolicy:
    """Return the one installed stack that is meant; projects of this folder come before all others."""
    from omnitron.operations import installed

    return installed.one_stack(name, is_user=is_user, folder=Path.cwd(), config=options.config)


def select(address: str | None, *, is_user: bool) -> list[Selection]:
    """Return what an address means; without one, every enabled app of the only stack but its servers."""
    from omnitron.operations import installed

    return installed.select(address, is_user=is_user, folder=Path.cwd(), config=options.config)
