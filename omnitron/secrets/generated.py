"""The secrets that a stack needs and nobody needs to know: passwords between its apps and its servers."""

from __future__ import annotations

from collections.abc import Mapping

from omnitron.secrets.store import SecretStore, random_value


def make(wanted: Mapping[str, str | None], store: SecretStore) -> None:
    """Make those that are not there; one that the definition itself says is set to that."""
    known = {kept.name for kept in store.list()}
    for name, given in wanted.items():
        if given is None and name not in known:
            store.set(name, random_value())
        elif given is not None and store.get(name) != given:
            store.set(name, given)
