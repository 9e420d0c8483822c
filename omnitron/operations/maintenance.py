"""`maintenance`: the switch that lets a stack's gateway answer 503."""

from __future__ import annotations

from omnitron.errors import UsageError
from omnitron.gateway.maintenance import Switch
from omnitron.operations.installed import scopes
from omnitron.operations.secret_stores import open_store
from omnitron.policy.model import StackPolicy


def maintenance_switch(policy: StackPolicy, *, is_user: bool) -> Switch:
    """Return the switch of a stack; UsageError where it has no gateway, or no Redis that keeps the state."""
    place = policy.maintenance
    if place is None:
        raise UsageError(
            f"cannot switch maintenance mode of {policy.stack}: it has no gateway with a Redis that keeps it",
            hint="declare `gateway`, and redis under `infrastructure.services`",
        )
    store = open_store(scopes(is_user)[0], policy.stem, policy.project)
    password = store.get(place.credential) if place.credential else None
    return Switch(place.host, place.port, place.database, password)
