"""The secrets of stacks: where they are stored, and which ones there are."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from omnitron.errors import NotPermittedError
from omnitron.install.scope import Scope
from omnitron.operations.secret_stores import open_store, passphrase_file
from omnitron.planner.facts import SecretPlaces
from omnitron.secrets.from_environment import PREFIX


def places(scope: Scope) -> SecretPlaces:
    """Return where the secrets of a scope are stored."""
    is_sealed = scope.name == "user"
    variables = frozenset(name for name in os.environ if name.startswith(PREFIX))
    folder = replace(scope, root=None).secrets
    return SecretPlaces(folder, is_sealed, passphrase=passphrase_file() if is_sealed else None, variables=variables)


def stored(scope: Scope, stems: Iterable[str], project: str) -> dict[str, frozenset[str] | None]:
    """Return the names of the stored secrets, by stem of the stack; None where the user may not read them."""
    return {stem: _stored(scope, stem, project) for stem in stems}


def _stored(scope: Scope, stem: str, project: str) -> frozenset[str] | None:
    try:
        return frozenset(secret.name for secret in open_store(scope, stem, project).list())
    except NotPermittedError:
        return None
