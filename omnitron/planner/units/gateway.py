"""The gateway of a stack as a process: nginx, of the distribution or in a container.

Its configuration is made from what the stack's apps serve.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from omnitron import names
from omnitron.definition.ecosystem import Gateway
from omnitron.definition.infrastructure import DockerService, ServiceRequirement
from omnitron.definition.process import Paths
from omnitron.definition.project import Ecosystem
from omnitron.errors import Problem
from omnitron.gateway import openresty
from omnitron.gateway.routes import PAGE, Redis, Route, Site, Upstream, default_page, files, problems
from omnitron.infra.container_recipe import recipe
from omnitron.infra.placement import ServicePlacement
from omnitron.infra.ports import offset_of
from omnitron.infra.providers import Provider
from omnitron.infra.redis_numbers import GATEWAY
from omnitron.infra.resolve import Infra
from omnitron.infra.services import Service
from omnitron.planner.facts import HostFacts
from omnitron.planner.resolve.process import Listener, PlannedProcess, Probe, ServerSpec
from omnitron.planner.resolve.program import Program
from omnitron.planner.spec_files import spec_name
from omnitron.planner.units import container
from omnitron.planner.units.server import server
from omnitron.planner.units.stack import Apps
from omnitron.policy.server_specs import CertificateSpec, NginxSpec

PACKAGES = {
    "nginx": "nginx",
    "nginx-lua": "libnginx-mod-http-lua",
    "lua-nginx-redis": "lua-nginx-redis",
}
"""The Debian package that brings each part; the last two are for maintenance mode."""
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
STARTUP_TIMEOUT_MS = STOP_TIMEOUT_MS = 30_000


def site_of(ecosystem: Ecosystem, stack: str, infra: Infra, apps: Apps, facts: HostFacts) -> Site | None:
    """Return what the gateway of a stack serves, None where the definition has none."""
    gateway = ecosystem.gateway
    if gateway is None:
        return None
    upstreams, http, websocket = [], [], []
    used: set[str] = set()
    for app, processes in apps.items():
        for process in processes if not names.is_own(app) else ():
            for listener in (
                item for item in process.listeners if item.kind in ("http", "websocket") and not item.path
            ):
                name = "_".join((*map(names.unit_part, (app, process.name)), listener.kind)).replace(".", "_")
                host = ANYWHERE.get(listener.host, listener.host)
                while name in used:
                    name += "_"
                used.add(name)
                upstreams.append(Upstream(name, Listener("", host, listener.port, False).address))
                if listener.kind == "http":
                    http.append(Route(app, name))
                else:
                    websocket.append(Route(app, name, _path(ecosystem, app, process.name)))
    page = default_page(ecosystem)
    folder, page, certificate, key = files(ecosystem, page if page and facts.path(page).kind == "file" else None)
    lua = facts.package_folder / "omnitron/gateway"
    redis = _redis(infra)
    port = gateway.port + offset_of(stack, ecosystem.config.stacks[stack], names.GATEWAY)
    return Site(
        gateway,
        _provider(gateway, redis, facts),
        port,
        tuple(upstreams),
        _first(http),
        _first(websocket),
        redis,
        folder,
        page,
        certificate,
        key,
        lua,
    )


def _provider(gateway: Gateway, redis: Redis | None, facts: HostFacts) -> Provider:
    """Return who runs it; the host's own nginx where neither is there, which is then what is missing."""
    if "image" in gateway.model_fields_set:
        return Provider("docker", "the definition names an image")
    missing = _missing(redis, facts)
    if missing and "docker" in (facts.programs or ()):
        return Provider("docker", f"the host has no {' '.join(missing)}, but a container engine")
    return Provider("native", "the host has nginx" if facts.programs else "")


def _missing(redis: Redis | None, facts: HostFacts) -> list[str]:
    """Return the packages that the host's own nginx would take."""
    needed = [name for name in PACKAGES if name == "nginx" or redis]
    return [PACKAGES[name] for name in needed if facts.programs is not None and name not in facts.programs]


def _first(routes: list[Route]) -> tuple[Route, ...]:
    """Return the first of each app: it has one path."""
    return tuple({route.app: route for route in reversed(routes)}.values())[::-1]


def _path(ecosystem: Ecosystem, app: str, name: str) -> str:
    of_app = ecosystem.by_name[app]
    own = [item for item in of_app.system.processes if item.name == name] if of_app.system else []
    transports = (own[0] if own else of_app.entry).transports
    return transports.websocket.path if transports and transports.websocket else "/"


def _redis(infra: Infra) -> Redis | None:
    """Return where maintenance mode is read: nginx asks addresses alone, no names."""
    server = infra.shared_redis
    if server is None or not _is_address(server.host):
        return None
    password = infra.passwords.get(server.name)
    return Redis(server.host, server.port, infra.numbers[GATEWAY], password)


def _is_address(host: str) -> bool:
    if "%" in host:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def config_name(stack_stem: str) -> str:
    """Return the name of nginx's configuration, below the folder of policies."""
    return f"{stack_stem}.gateway/nginx.conf"


def process_of(ecosystem: Ecosystem, stack: str, site: Site, facts: HostFacts) -> PlannedProcess:
    """Return the process of a gateway."""
    return (_container if site.contained else _native)(ecosystem, stack, site, facts)


def _container(ecosystem: Ecosystem, stack: str, site: Site, facts: HostFacts) -> PlannedProcess:
    requirement = ServiceRequirement(docker=DockerService(), startup_timeout=STARTUP_TIMEOUT_MS)
    service = Service(names.GATEWAY, "custom", requirement, ecosystem.source, ecosystem.gateway_at)
    placement = ServicePlacement(service, site.provider, site.gateway.host, {})
    configuration = facts.specs / config_name(names.unit_stem(ecosystem.config.unit_prefix, stack))
    plain = recipe(placement, {}, container.place_of(ecosystem, stack), STOP_TIMEOUT_MS)
    probe, listener = _probe(site)
    return container.runner(
        ecosystem,
        stack,
        names.GATEWAY,
        openresty.container(plain, site, configuration),
        facts,
        asks=True,
        probe=probe,
        listeners=(listener,),
        reads=tuple(path for path in (site.certificate, site.key) if path),
    )


def _probe(site: Site) -> tuple[Probe, Listener]:
    """Return how it is asked whether it is healthy, and where it listens."""
    host_name = ANYWHERE.get(site.gateway.host, site.gateway.host)
    address = Listener("", host_name, site.port, activated=False).address
    rules = 5_000, 15_000, 3
    # Over HTTPS the certificate is for a name that the probe does not know: that it listens will do.
    probe = (
        Probe("tcp", (address,), *rules) if site.certificate else Probe("http", (f"http://{address}/health",), *rules)
    )
    return probe, Listener("tcp", site.gateway.host, site.port, activated=False)


def _native(ecosystem: Ecosystem, stack: str, site: Site, facts: HostFacts) -> PlannedProcess:
    stem = names.unit_stem(ecosystem.config.unit_prefix, stack)
    helper = (str(facts.helper_python), "-I", "-S", str(facts.package_folder / "omnitron/programs/servers/nginx.py"))
    credential = site.redis.credential if site.redis else None
    settings = NginxSpec(
        config=str(facts.specs / config_name(stem)),
        credential=credential,
        page=PAGE,
        listen=site.listen,
        tls=CertificateSpec(str(site.certificate), str(site.key)) if site.certificate else None,
        is_handed=not facts.is_user,
    )
    # systemd reads what it hands on as root: only root's own definitions may say what that is.
    handed = _handed(site) if not facts.is_user else ()
    spec = ServerSpec(
        settings,
        setup=None,
        stop_signal="SIGQUIT",
        credentials=(credential,) if credential else (),
        files=handed,
        notifies=False,
    )
    path = str(facts.specs / spec_name(stem, names.GATEWAY, names.SINGLE_PROCESS, spec))
    spec = replace(
        spec,
        reload=(*helper, "reload", path),
        before_reload=(*helper, "hand", path) if handed else None,
    )
    reads = files_of(site)
    probe, listener = _probe(site)
    return server(
        ecosystem,
        stack,
        names.GATEWAY,
        Program((*helper, "run", path), reads),
        spec,
        probe=probe,
        listeners=(listener,),
        user=site.gateway.user,
        startup_timeout=STARTUP_TIMEOUT_MS,
        stop_timeout=STOP_TIMEOUT_MS,
        paths=Paths(cache=True),
    )


def _handed(site: Site) -> tuple[tuple[str, Path], ...]:
    pairs = (("tls-certificate", site.certificate), ("tls-key", site.key))
    return tuple((name, path) for name, path in pairs if path)


def files_of(site: Site) -> tuple[Path, ...]:
    """Return the files and folders of the project that a gateway reads."""
    return tuple(path for path in (site.folder, site.page, site.certificate, site.key) if path)


def wrong(ecosystem: Ecosystem, infra: Infra, site: Site, facts: HostFacts) -> Iterator[Problem]:
    """Yield what keeps a gateway from being run as it is declared."""
    source = ecosystem.source
    for placement in infra.services:
        if placement.name == names.GATEWAY and site.contained:
            message = "cannot name its container: it would be that of the gateway"
            yield placement.service.source.problem(placement.service.at, message, "rename the service")
    missing_files = [path for path in files_of(site) if facts.path(path).kind == "none"]
    for at, message, cure in problems(site, missing_files if facts.accounts is not None else ()):
        yield source.problem((*ecosystem.gateway_at, *at), message, cure)
    if site.contained:
        yield from container.problems_of_engine(source, ecosystem.gateway_at, facts)
        return
    if missing := " ".join(_missing(site.redis, facts)):
        message = f"cannot run the gateway: this host has no {missing}"
        yield source.problem(ecosystem.gateway_at, message, f"apt install {missing}")
    if not facts.is_user and facts.accounts is not None and site.gateway.user not in facts.accounts:
        message = f"cannot run as {site.gateway.user!r}: this host has no such user"
        yield source.problem(("gateway", "user"), message)
