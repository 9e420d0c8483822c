"""The health settings of a process: its own, else what the ecosystem says."""

from __future__ import annotations

from omnitron.definition.ecosystem import HealthCheck
from omnitron.definition.process import Health


def resolve(own: Health | None, common: HealthCheck) -> Health | None:
    """Return the health settings of a process, None when nobody said anything."""
    common_values = {name: getattr(common, name) for name in common.model_fields_set}
    if not common_values:
        return own
    health = own or Health()
    return health.model_copy(
        update={name: value for name, value in common_values.items() if name not in health.model_fields_set}
    )
