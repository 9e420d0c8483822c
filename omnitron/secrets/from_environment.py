"""Secrets from environment variables at installation time, as CI systems and containers provide them.

`OMNITRON_SECRET_STRIPE_KEY` is the secret `stripe-key`. `generate` and `up` copy the ones that the stack uses into
its store. After that they are like all other secrets and do not depend on the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

from omnitron.secrets.store import SecretStore, check_value

PREFIX = "OMNITRON_SECRET_"


def variable(name: str) -> str:
    """Return the environment variable that provides a secret."""
    return PREFIX + re.sub(r"[^A-Z0-9]", "_", name.upper())


def keep(names: Iterable[str], store: SecretStore) -> Iterator[str]:
    """Store the secrets of `names` that the environment provides; yield the names that are new or have changed."""
    for name in names:
        value = os.environ.get(variable(name))
        if value is not None and store.get(name) != value:
            store.set(name, check_value(os.fsencode(value)))
            yield name
