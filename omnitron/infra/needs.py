"""The needs of each app: its `config/default.json`, its system's `omnitronConfig`, and the older `requires`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from omnitron.definition.app import (
    AppConfig,
    Bucket,
    Database,
    PoolSize,
    PostgresRequirement,
    RedisDatabase,
    RedisRequirement,
    Requirements,
    S3Requirement,
)
from omnitron.definition.fields import Model
from omnitron.definition.infrastructure import DockerService, ServiceRequirement
from omnitron.definition.project import App
from omnitron.definition.source import KeyPath, Source
from omnitron.errors import Problem

M = TypeVar("M", bound=Model)
OLDER: KeyPath = ("requires",)
"""Place of the older form of an app's needs, in its system."""


@dataclass(frozen=True)
class Needs:
    """The needs of one app."""

    database: Database | None
    redis: RedisDatabase | None
    s3: Bucket | None
    services: tuple[str, ...]
    """Shared services that want a Redis database for the app: discovery, notifications and others."""
    own: Mapping[str, ServiceRequirement]
    """Services of the app's own, by name."""
    places: Mapping[str, tuple[Source, KeyPath]]
    """Place of each of these, by its name in a definition: `database`, `infrastructure`."""
    elsewhere: tuple[Source, KeyPath]
    """Place of the app, for needs without a place of their own."""
    buckets: tuple[str, ...] = ()
    """Buckets beside the one that the app is told."""

    def place(self, field: str) -> tuple[Source, KeyPath]:
        """Return the file and the place in it that say something of a field."""
        source, at = self.places.get(field, self.elsewhere)
        return source, (*at, field) if field in self.places else at

    def problem(self, field: str, more: KeyPath, message: str, hint: str | None = None) -> Problem:
        """Say that `message` is true of a field, or of what is at `more` below it."""
        source, at = self.place(field)
        return source.problem((*at, *more), message, hint)


def needs_of(app: App) -> Needs:
    """Return what an app needs; the file beside it wins over what its system says, field by field."""
    system = app.system
    levels: list[tuple[AppConfig | None, Source | None, KeyPath]] = [
        (app.needs, app.needs_source, ("omnitron",)),
        (system.omnitron_config if system else None, app.system_source, ("omnitronConfig",)),
        (_older(system.requires) if system and system.requires else None, app.system_source, OLDER),
    ]
    declared = [(config, source, at) for config, source, at in levels if config is not None and source is not None]
    fields: dict[str, Any] = {}
    places: dict[str, tuple[Source, KeyPath]] = {}
    for config, source, at in declared:
        own = config.model_fields_set - fields.keys()
        fields |= {name: getattr(config, name) for name in own}
        places |= dict.fromkeys(own, (source, at))
    merged = AppConfig.model_construct(**fields)
    return Needs(
        database=_kind(Database, merged.database),
        redis=_kind(RedisDatabase, merged.redis),
        s3=_kind(Bucket, merged.s3),
        services=tuple(name for name, is_needed in merged.services.items() if is_needed),
        own=merged.infrastructure,
        places=places,
        elsewhere=(app.source, ("apps", app.index)),
        buckets=_more_buckets(system.requires if system else None) if places.get("s3", (None, ()))[1] == OLDER else (),
    )


def _more_buckets(requires: Requirements | None) -> tuple[str, ...]:
    s3 = requires.s3 if requires else None
    return tuple(s3.buckets[1:]) if isinstance(s3, S3Requirement) else ()


def _older(requires: Requirements) -> AppConfig:
    """Return what the older `requires` says, in the words of today."""
    postgres, redis, s3 = requires.postgres, requires.redis, requires.s3
    fields: dict[str, Any] = {}
    if postgres is not None:
        pool = PoolSize(max=postgres.pool) if isinstance(postgres, PostgresRequirement) and postgres.pool else None
        extensions = postgres.extensions if isinstance(postgres, PostgresRequirement) else []
        fields["database"] = Database(pool=pool, extensions=extensions) if postgres else False
    if redis is not None:
        prefix = redis.prefix if isinstance(redis, RedisRequirement) else None
        fields["redis"] = RedisDatabase(prefix=prefix) if redis else False
    if s3 is not None:
        buckets = s3.buckets if isinstance(s3, S3Requirement) else []
        fields["s3"] = Bucket(bucket=next(iter(buckets), None)) if s3 else False
    services = {name: getattr(requires, name) for name in ("discovery", "notifications")}
    own = {
        name: ServiceRequirement(
            ports={"main": item.port} if item.port else {}, docker=DockerService(image=item.image, environment=item.env)
        )
        for name, item in requires.custom.items()
    }
    return AppConfig(services={name: on for name, on in services.items() if on}, infrastructure=own, **fields)


def _kind(kind: type[M], value: bool | M | None) -> M | None:
    """Return what is wanted of a kind: true means all its defaults, and false or nothing that it is not wanted."""
    if isinstance(value, bool) or value is None:
        return kind() if value else None
    return value
