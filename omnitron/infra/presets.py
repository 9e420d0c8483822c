"""The known servers in containers: what their images are told, and which ports they have inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from omnitron.definition.infrastructure import ContainerHealthCheck, DockerService, ServiceRequirement
from omnitron.infra.server_settings import settings_of
from omnitron.infra.services import Kind, Service, merged

IMAGES: Mapping[Kind, tuple[str, str]] = {
    "postgres": ("postgres:{}-alpine", "17"),
    "redis": ("redis:{}-alpine", "7"),
    "minio": ("minio/minio:{}", "RELEASE.2025-04-22T22-12-26Z"),
}
"""Image of a version, and the version of one that nothing is said of."""
INSIDE: Mapping[Kind, Mapping[str, int]] = {
    "postgres": {"main": 5432},
    "redis": {"main": 6379},
    "minio": {"main": 9000, "console": 9001},
}
"""Ports by name; the first one is that of every name that is not here."""

DATA = "/var/lib/postgresql/data"
# It reads its settings from its input: an argument would be for everybody to see. What begins with root
# gives its data to its own user, and becomes that.
SERVE_REDIS = r"""
set -- redis-server -
if command -v docker-entrypoint.sh >/dev/null; then set -- docker-entrypoint.sh "$@"; fi
hidden=$(printf %s "$REDISCLI_AUTH" | od -An -v -tx1 | tr -d ' \n' | sed 's/../\\x&/g')
exec "$@" <<END
$REDIS_SETTINGS
dir /data
requirepass "$hidden"
END
"""


def contained(service: Service) -> Service:
    """Return a service that is to run in a container with all that its container is told; custom ones say it all."""
    if service.kind not in IMAGES:
        return service
    requirement, preset = service.requirement, _docker(service)
    docker = merged(preset, requirement.docker)
    # Its data has its place, whatever else is mounted: without one it would go with the container.
    declared = requirement.docker.volumes if requirement.docker else []
    defaults = [text for text in preset.volumes if _target(text) not in map(_target, declared)]
    docker = docker.model_copy(update={"volumes": [*defaults, *declared]})
    return replace(service, requirement=requirement.model_copy(update={"docker": docker}))


def _target(volume: str) -> str:
    """Return where a volume is seen inside, as `source:target[:mode]` says."""
    source, _, rest = volume.partition(":")
    return (rest.partition(":")[0] or source).rstrip("/")


def port_inside(kind: Kind, name: str, port: int) -> int:
    """Return the port inside the container that goes by a name; for a custom service the `port` that it declares."""
    ports = INSIDE.get(kind)
    return ports.get(name, next(iter(ports.values()))) if ports else port


def _docker(service: Service) -> DockerService:
    requirement = service.requirement
    if service.kind == "postgres":
        # The image's own start runs a server without TCP while it sets up.
        check = ["CMD", "psql", "-h", "127.0.0.1", "-U", "postgres", "-XAtqc", "SELECT 1"]
        settings = [word for name, value in settings_of(service).items() for word in ("-c", f"{name}={value}")]
        return DockerService(
            image=_image(service.kind, requirement),
            environment={"POSTGRES_PASSWORD": "${secret:password}", "PGDATA": DATA},
            volumes=[f"data:{DATA}"],
            command=["postgres", *settings],
            health_check=_check(check),
        )
    if service.kind == "redis":
        return DockerService(
            image=_image(service.kind, requirement),
            environment={"REDISCLI_AUTH": "${secret:password}"},
            volumes=["data:/data"],
            command=["sh", "-c", SERVE_REDIS],
            health_check=_check(["CMD-SHELL", "redis-cli ping | grep -q PONG"]),
        )
    return DockerService(
        image=_image(service.kind, requirement),
        environment={"MINIO_ROOT_USER": "${secret:accessKey}", "MINIO_ROOT_PASSWORD": "${secret:secretKey}"},
        volumes=["data:/data"],
        command=["server", "/data", "--console-address", f":{INSIDE['minio']['console']}"],
        health_check=_check(["CMD", "mc", "ready", "local"]),
    )


def _image(kind: Kind, requirement: ServiceRequirement) -> str:
    pattern, version = IMAGES[kind]
    return requirement.image or pattern.format(requirement.version or version)


def _check(test: list[str]) -> ContainerHealthCheck:
    return ContainerHealthCheck(test=test, interval=3_000, retries=5, start_period=90_000)
