"""The gateway of a stack as a process: nginx, with a configuration made from what the stack's apps serve."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from pathlib import Path

from omnitron import names
from omnitron.definition.loader import Ecosystem
from omnitron.definition.process import Paths
from omnitron.errors import Problem
from omnitron.gateway.routes import Redis, Route, Site, Upstream, files, problems
from omnitron.infra.ports import offset_of
from omnitron.infra.redis_numbers import GATEWAY
from omnitron.infra.resolved import Infra
from omnitron.planner.facts import HostFacts
from omnitron.planner.groups import Apps
from omnitron.planner.processes import Listener, Native, PlannedProcess, Probe
from omnitron.planner.programs import Program
from omnitron.planner.servers import server
from omnitron.planner.told import spec_name

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
    gateway = ecosystem.config.gateway
    if gateway is None:
        return None
    upstreams, http, websocket = [], [], []
    taken: set[str] = set()
    for app, processes in apps.items():
        for process in processes if not names.is_own(app) else ():
            for listener in (one for one in process.listeners if one.kind in ("http", "websocket") and not one.path):
                name = "_".join((*map(names.unit_part, (app, process.name)), listener.kind)).replace(".", "_")
                host = ANYWHERE.get(listener.host, listener.host)
                while name in taken:
                    name += "_"
                taken.add(name)
                upstreams.append(Upstream(name, Listener("", host, listener.port, False).address))
                if listener.kind == "http":
                    http.append(Route(app, name))
                else:
                    websocket.append(Route(app, name, _path(ecosystem, app, process.name)))
    folder, page, certificate, key = files(ecosystem)
    lua = facts.package_folder / "omnitron/gateway"
    port = gateway.port + offset_of(stack, ecosystem.config.stacks[stack], names.GATEWAY)
    return Site(
        gateway,
        port,
        tuple(upstreams),
        _first(http),
        _first(websocket),
        _redis(infra),
        folder,
        page,
        certificate,
        key,
        lua,
    )


def _first(routes: list[Route]) -> tuple[Route, ...]:
    """Return the first of each app: it has one path."""
    return tuple({route.app: route for route in reversed(routes)}.values())[::-1]


def _path(ecosystem: Ecosystem, app: str, name: str) -> str:
    of_app = ecosystem.by_name[app]
    own = [one for one in of_app.system.processes if one.name == name] if of_app.system else []
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
    stem = names.unit_stem(ecosystem.config.unit_prefix, stack)
    helper = (str(facts.helper_python), "-I", "-S", str(facts.package_folder / "omnitron/gateway/serve.py"))
    credential = site.redis.credential if site.redis else None
    settings = {
        "config": str(facts.specs / config_name(stem)),
        "credential": credential,
        # Another address takes a start: a reload goes on with the one before.
        "listen": site.listen,
        "tls": _tls(site, ecosystem, facts),
    }
    # systemd reads what it hands on as root: only root's own definitions may say what that is.
    handed = _handed(site) if _is_handed(ecosystem, facts) else ()
    told = Native(
        json.dumps(settings, indent=1) + "\n",
        setup=None,
        stop_signal="SIGQUIT",
        credentials=(credential,) if credential else (),
        files=handed,
        notifies=False,
    )
    spec = str(facts.specs / spec_name(stem, names.GATEWAY, names.SINGLE_PROCESS, told))
    told = Native(**{**vars(told), "reload": (*helper, "reload", spec)})
    reads = tuple(path for path in (site.folder, site.page, site.certificate, site.key) if path)
    asked = ANYWHERE.get(site.gateway.host, site.gateway.host)
    listener = Listener("tcp", site.gateway.host, site.port, activated=False)
    address = Listener("", asked, site.port, activated=False).address
    # Over HTTPS the certificate is for a name that the probe does not know: that it listens will do.
    probe = ("tcp", address) if site.certificate else ("http", f"http://{address}/health")
    return server(
        ecosystem,
        stack,
        names.GATEWAY,
        Program((*helper, "run", spec), reads),
        told,
        probe=Probe(probe[0], (probe[1],), 5_000, 15_000, 3),  # type: ignore[arg-type] # one of the two
        listeners=(listener,),
        user=site.gateway.user,
        startup_timeout=STARTUP_TIMEOUT_MS,
        stop_timeout=STOP_TIMEOUT_MS,
        paths=Paths(cache=True),
    )


def _is_handed(ecosystem: Ecosystem, facts: HostFacts) -> bool:
    return not facts.is_user and ecosystem.owner_is_root


def _handed(site: Site) -> tuple[tuple[str, Path], ...]:
    found = (("tls-certificate", site.certificate), ("tls-key", site.key))
    return tuple((name, path) for name, path in found if path)


def _tls(site: Site, ecosystem: Ecosystem, facts: HostFacts) -> dict[str, str | None] | None:
    """Return where nginx finds certificate and key: None for those that systemd hands to it."""
    if site.certificate is None:
        return None
    if _is_handed(ecosystem, facts):
        return {"certificate": None, "key": None}
    return {"certificate": str(site.certificate), "key": str(site.key)}


def wrong(ecosystem: Ecosystem, site: Site, facts: HostFacts) -> Iterator[Problem]:
    """Yield what keeps a gateway from being run as it is declared."""
    source = ecosystem.source
    for at, message, cure in problems(site, checks_files=facts.accounts is not None):
        yield source.problem(("gateway", *at), message, cure)
    if facts.programs is not None:
        needed = [name for name in PACKAGES if name == "nginx" or site.redis]
        missing = [PACKAGES[name] for name in needed if name not in facts.programs]
        if missing:
            message = f"cannot run the gateway: this host has no {' '.join(missing)}"
            yield source.problem(("gateway",), message, f"apt install {' '.join(missing)}")
    if not facts.is_user and facts.accounts is not None and site.gateway.user not in facts.accounts:
        message = f"cannot run as {site.gateway.user!r}: this host has no such user"
        yield source.problem(("gateway", "user"), message)
    if facts.accounts is not None and not ecosystem.owner_is_root and site.gateway.user in ("root", "0"):
        message = "cannot run as root: a file that defines it belongs to another user; chown it to root"
        yield source.problem(("gateway", "user"), message)
