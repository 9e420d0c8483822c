"""Generated secrets: the passwords between the apps of a stack and its servers, which no person needs to know."""

from __future__ import annotations

from collections.abc import Mapping

from omnitron.secrets.store import SecretStore, random_value


def make(values: Mapping[str, str | None], store: SecretStore) -> None:
    """Create the missing secrets: None stands for a random value, text is the value from the definition."""
    existing = {secret.name for secret in store.list()}
    for name, value in values.items():
        if value is None and name not in existing:
            store.set(name, random_value())
        elif value is not None and store.get(name) != value:
            store.set(name, value)
