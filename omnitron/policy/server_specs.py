"""Specifications of servers: the files that `generate` writes for `omnitron.programs` to read.

The planner and the programs share these types. Times are in milliseconds, sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from omnitron.policy.codec import Document


@dataclass(frozen=True)
class DatabaseSpec:
    """A database on a PostgreSQL server, with the role that owns it."""

    name: str
    owner: str
    credential: str
    """Secret that is the role's password."""
    extensions: tuple[str, ...]


@dataclass(frozen=True)
class PostgresSpec(Document):
    """A PostgreSQL server of the distribution's."""

    VERSION: ClassVar[int] = 1

    address: str
    """Address that it listens on."""
    port: int
    config: Mapping[str, str]
    """Settings of `postgresql.conf`."""
    databases: tuple[DatabaseSpec, ...]


@dataclass(frozen=True)
class RedisSpec(Document):
    """A Redis server of the distribution's."""

    VERSION: ClassVar[int] = 1

    address: str
    """Address that it listens on."""
    port: int
    config: Mapping[str, str]
    """Settings of `redis.conf`."""
    databases: int
    """Number of its databases."""
    credential: str | None
    """Secret that is its password."""


@dataclass(frozen=True)
class CertificateSpec:
    """The certificate that a gateway shows, and its key."""

    certificate: str
    key: str


@dataclass(frozen=True)
class NginxSpec(Document):
    """The gateway of a stack on the distribution's nginx."""

    VERSION: ClassVar[int] = 1

    config: str
    """Path of its configuration."""
    credential: str | None
    """Secret that is the password of the Redis with its maintenance mode."""
    page: str
    """HTML of maintenance where the project has none."""
    listen: str
    """Not read: a reload keeps the address of before, so another one has to restart the service."""
    tls: CertificateSpec | None
    is_handed: bool
    """True if systemd passes the certificate and the key as credentials."""


@dataclass(frozen=True)
class ContainerVolume:
    """A folder of the host, or a volume of the engine, that is mounted into a container."""

    source: str
    target: str
    mode: str
    named: bool
    """True if it is a volume of the engine."""


@dataclass(frozen=True)
class BuildSpec:
    """The build of an image by the engine."""

    path: str
    dockerfile: str | None
    buildargs: Mapping[str, str]


@dataclass(frozen=True)
class ContainerCheck:
    """The engine's own health check of a container. Times in nanoseconds, as the engine has them."""

    test: tuple[str, ...]
    interval: int
    timeout: int
    retries: int
    start_period: int


@dataclass(frozen=True)
class FileSpec:
    """A file that is put into a container: the text of a template, or the content of a file of the host."""

    name: str
    is_private: bool
    text: str | None = None
    """May refer to secrets."""
    path: str | None = None


@dataclass(frozen=True)
class FilesSpec:
    """The files that are put into one folder of a container."""

    folder: str
    owner: int
    """Uid."""
    each: tuple[FileSpec, ...]


@dataclass(frozen=True)
class BucketSpec:
    """A bucket on an S3 server."""

    name: str
    quota: int | None
    """Bytes that it may hold."""


@dataclass(frozen=True)
class ContainerSpec(Document):
    """A container, and what is made in it once it is healthy."""

    VERSION: ClassVar[int] = 1

    name: str
    image: str
    environment: Mapping[str, str]
    """Values may refer to secrets."""
    ports: Mapping[str, tuple[tuple[str, int], ...]]
    """Addresses and ports of the host by the port inside."""
    volumes: tuple[ContainerVolume, ...]
    network: str
    labels: Mapping[str, str]
    slice: str
    stop_timeout: int
    startup_timeout: int
    build: BuildSpec | None = None
    """None for an image that is pulled."""
    command: str | tuple[str, ...] | None = None
    entrypoint: str | tuple[str, ...] | None = None
    user: str | None = None
    extra_hosts: tuple[str, ...] = ()
    """`name:address` each."""
    health: ContainerCheck | None = None
    memory: int | None = None
    memory_reservation: int | None = None
    nano_cpus: int | None = None
    shm_size: int | None = None
    capabilities: tuple[str, ...] | None = None
    """Its only ones; None for those that the engine chooses."""
    stop_signal: str | None = None
    is_kept: bool = True
    """True if it stays when it has stopped."""
    databases: tuple[DatabaseSpec, ...] = ()
    buckets: tuple[BucketSpec, ...] = ()
    files: FilesSpec | None = None
    configuration: str | None = None
    """A file of the host; a copy of it tells which configuration is in use."""
    reload: tuple[str, ...] | None = None
    """A command inside that applies the files anew."""
