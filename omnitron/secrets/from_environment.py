"""Secrets that come in the environment of whoever installs a stack, as CI systems and containers have them.

`OMNITRON_SECRET_STRIPE_KEY` is the secret `stripe-key`. `generate` and `up` put those that the stack uses into its
store: from there on they are like any other, and outlive the environment that they came in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

from omnitron.secrets.store import SecretStore, check_value

PREFIX = "OMNITRON_SECRET_"


def variable(name: str) -> str:
    """Return the variable in which a secret can be given."""
    return PREFIX + re.sub(r"[^A-Z0-9]", "_", name.upper())


def keep(names: Iterable[str], store: SecretStore) -> Iterator[str]:
    """Put those of `names` that are given into the store, and yield those that were not there, or different."""
    for name in names:
        value = os.environ.get(variable(name))
        if value is not None and store.get(name) != value:
            store.set(name, check_value(os.fsencode(value)))
            yield name
