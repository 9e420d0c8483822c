"""What each app needs: its `config/default.json`, its system's `omnitronConfig`, and the older `requires`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from omnitron.definition.fields import Model
from omnitron.definition.infrastructure import ServiceRequirement
from omnitron.definition.loader import App
from omnitron.definition.source import KeyPath, Source
from omnitron.definition.system import AppConfig, Bucket, Database, RedisDatabase

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Needs:
    """What one app needs."""

    database: Database | None
    redis: RedisDatabase | None
    s3: Bucket | None
    services: tuple[str, ...]
    """Shared services that want a Redis database for the app: discovery, notifications and others."""
    own: Mapping[str, ServiceRequirement]
    """Services of the app's own, by name."""
    source: Source
    at: KeyPath
    """Where that is said."""


def needs_of(app: App) -> Needs:
    """Return what an app needs; the file beside it wins over what its system says, field by field."""
    config, source, at = app.needs, app.needs_source, ("omnitron",)
    inside = app.system.omnitron_config if app.system else None
    if config is None or source is None:
        config, source, at = inside, app.system_source, ("omnitronConfig",)
        inside = None
    if config is None or source is None:
        return Needs(None, None, None, (), {}, app.source, ("apps", app.index))
    said = config.model_fields_set
    merged = AppConfig.model_construct(
        **{name: getattr(inside if inside and name not in said else config, name) for name in AppConfig.model_fields}
    )
    return Needs(
        database=_kind(Database, merged.database),
        redis=_kind(RedisDatabase, merged.redis),
        s3=_kind(Bucket, merged.s3),
        services=tuple(name for name, wanted in merged.services.items() if wanted),
        own=merged.infrastructure,
        source=source,
        at=at,
    )


def _kind(kind: type[M], value: bool | M | None) -> M | None:
    """Return what is wanted of a kind: true means all its defaults, and false or nothing that it is not wanted."""
    if isinstance(value, bool) or value is None:
        return kind() if value else None
    return value
