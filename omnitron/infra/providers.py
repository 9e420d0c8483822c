"""The provider of a service: a server of the distribution's, a unit of the host, a container, or somebody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from omnitron.infra.presets import IMAGES
from omnitron.infra.services import Kind, Service

ProviderName = Literal["native", "docker", "systemd", "external"]
NATIVE: dict[Kind, tuple[str, str]] = {
    "postgres": ("postgres", "postgresql"),
    "redis": ("redis-server", "redis-server"),
}
"""The program that serves a kind, and the Debian package that brings it."""


class NoProviderError(Exception):
    """Nothing can run a service: why, and what to do."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.hint = hint


@dataclass(frozen=True)
class Provider:
    """The provider of a service, and the reason for it."""

    name: ProviderName
    why: str


def choose(service: Service, programs: frozenset[str] | None, before: str | None = None) -> Provider:
    """Return who runs a service; `programs` are those that the host has, None where that is not known.

    `before` is who ran it until now, and has its data: nobody takes its place unasked. Raises NoProviderError.
    """
    if service.external:
        return Provider("external", f"the stack says that it runs on {service.external.host}")
    bare_metal, docker = service.requirement.bare_metal, service.requirement.docker
    if bare_metal and bare_metal.systemd_unit:
        return Provider("systemd", f"the definition names {bare_metal.systemd_unit}")
    if docker and not bare_metal:
        if programs is not None and "docker" not in programs:
            raise NoProviderError(
                "this host has no docker, and the definition describes a container", "apt install docker.io"
            )
        return Provider("docker", "the definition describes a container")
    program, package = NATIVE.get(service.kind, (None, None))
    if before == "docker" and service.kind in IMAGES and programs is not None and "docker" in programs:
        return Provider("docker", "its data is in a container already")
    if program and (programs is None or program in programs):
        return Provider("native", f"the host has {program}" if programs else "")
    if before == "native" and program:
        raise NoProviderError(
            f"this host has no {program} any more, which has its data",
            f"apt install {package}; or, to begin anew in a container: docker: {{}}",
        )
    if service.kind in IMAGES and (programs is None or "docker" in programs):
        lacks = f"the host has no {program}" if program else f"no Debian package has a server for {service.kind}"
        return Provider("docker", f"{lacks}, but a container engine")
    if service.kind == "openresty":
        raise NoProviderError(
            "it is the gateway of every stack", "say gateway: {port: 8080} instead, or give it docker"
        )
    if service.kind == "custom":
        raise NoProviderError("nothing is said of how", "give it docker, bareMetal.systemdUnit, or say external")
    if package:
        raise NoProviderError(f"this host has no {program}", f"apt install {package}")
    raise NoProviderError(
        f"no Debian package has a server for {service.kind}, and this host has no container engine",
        f"apt install docker.io, or say where one runs: stacks.*.serviceOverrides.{service.name}.external",
    )
