"""The listeners of a process: its own Unix socket, the exposed one, HTTP and WebSocket."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from omnitron.host.auth import hooks
from omnitron.host.loading import Loader
from omnitron.host.rpc.dispatch import Dispatcher
from omnitron.host.rpc.methods import Method
from omnitron.host.telemetry.metrics import Registry, process_metrics
from omnitron.host.transports import sockets
from omnitron.host.transports.topics import Hub
from omnitron.host.transports.unix import UnixServer, only
from omnitron.policy.host_spec import HostSpec, Http

if TYPE_CHECKING:
    from omnitron.host.auth.hooks import Around
    from omnitron.host.telemetry.tracing import Tracing
    from omnitron.host.transports.http_server import HttpServer
    from omnitron.host.transports.web import Observe, Verify, Web

CONTROL = "control.sock"
"""A process's own socket in its runtime directory: for its metrics, and for `omnitron exec`."""


class Transports:
    """All transports of a process."""

    def __init__(self, spec: HostSpec) -> None:
        """Take over what systemd holds for this process; nothing is served yet."""
        self._spec = spec
        self._inherited = sockets.inherited()
        self.registry = Registry()
        self.hub = Hub()
        self._unix: list[UnixServer] = []
        self._http: list[HttpServer] = []
        self._web: list[Web] = []
        self._tracer: Tracing | None = None
        self._verify: Verify | None = None

    @property
    def _servers(self) -> list[UnixServer | HttpServer]:
        return [*self._unix, *self._http]

    def open(
        self,
        methods: Mapping[str, Method],
        loader: Loader,
        tracer: Tracing | None = None,
        verify: Verify | None = None,
    ) -> None:
        """Begin to serve; `verify` is the app's own check of tokens, which overrides that of the definition."""
        self._tracer = tracer
        self._verify = verify
        around = hooks.around(self._spec.auth, loader)
        dispatcher = self._dispatcher(methods, around)
        runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
        if runtime:
            own = sockets.listen_unix(Path(runtime) / CONTROL)
            self._unix.append(UnixServer(dispatcher, own, may_call=only(frozenset()), pages=self._page))
        for listening in self._inherited.pop("rpc", []) if self._spec.expose else []:
            may_call = only(frozenset(self._spec.callers))
            self._unix.append(UnixServer(dispatcher, listening, may_call=may_call))
        if self._spec.http or self._spec.websocket:
            self._open_web(dispatcher, loader)
        for server in self._servers:
            server.start()

    def problem(self) -> str | None:
        """Return the problem of a transport, None when all accept connections."""
        closed = [server for server in self._servers if not server.is_accepting]
        return "it accepts no connections: too many files are open" if closed else None

    async def drain(self, timeout_s: float) -> None:
        """Accept no more, finish running calls within the time, and close everything."""
        deadline = time.monotonic() + timeout_s
        for server in self._servers:
            server.stop()
        await asyncio.gather(
            *(web.close_sockets(deadline) for web in self._web),
            *(server.drain(timeout_s) for server in self._unix),
            *(server.drain(deadline) for server in self._http),
        )

    def _dispatcher(self, methods: Mapping[str, Method], around: Around | None) -> Dispatcher:
        spec = self._spec
        longest_s = spec.http.request_timeout / 1000 if spec.http else None
        if not spec.metrics:
            return Dispatcher(methods, longest_s=longest_s, tracer=self._tracer, around=around)
        process_metrics(self.registry)
        calls = self.registry.counter("omnitron_rpc_calls_total", "Calls served.", ("method", "outcome"))
        seconds = self.registry.histogram("omnitron_rpc_seconds", "Time that calls took.", ("method",))

        def observe(method: str, outcome: str, took: float) -> None:
            calls.inc(method, outcome)
            seconds.observe(took, method)

        dispatcher = Dispatcher(methods, longest_s=longest_s, observe=observe, tracer=self._tracer, around=around)
        self.registry.gauge("omnitron_rpc_pending", "Calls being served.", value=lambda: dispatcher.pending)
        return dispatcher

    def _page(self, path: str) -> str | None:
        return self.registry.render() if path == "/metrics" and self._spec.metrics else None

    def _open_web(self, dispatcher: Dispatcher, loader: Loader) -> None:
        # 24 ms: a process without these transports does not pay for them.
        from omnitron.host.transports.http_server import HttpServer
        from omnitron.host.transports.web import Web

        spec, verify = self._spec, self._verify or self._verifier()
        limits = spec.http or Http("", 0)
        observe = self._observer() if spec.metrics else None
        if spec.http:
            web = Web(
                dispatcher,
                self.hub,
                verify=verify,
                routes=[(route.method, route.pattern, loader.function(route.handler)) for route in spec.routes],
                request_s=limits.request_timeout / 1000,
                longest_body=limits.max_request_size,
                cors=limits.cors,
                version=limits.app_version,
                observe=observe,
                tracer=self._tracer,
            )
            self._serve(HttpServer, web, "http", spec.http.host, spec.http.port, None)
        if spec.websocket:
            listener = spec.websocket
            web = Web(
                dispatcher,
                self.hub,
                verify=verify,
                http=False,
                websocket_path=listener.path,
                observe=observe,
                tracer=self._tracer,
            )
            ping = (_seconds(listener.ping_interval), _seconds(listener.ping_timeout))
            self._serve(HttpServer, web, "websocket", listener.host, listener.port, ping)

    def _serve(
        self,
        server: type[HttpServer],
        web: Web,
        kind: str,
        host: str,
        port: int,
        ping: tuple[float | None, float | None] | None,
    ) -> None:
        limits = self._spec.http or Http(host, port)
        self._web.append(web)
        listeners: list[socket.socket] = self._inherited.pop(kind, []) or [sockets.listen_tcp(host, port)]
        for listening in listeners:
            keep_alive_s, headers_s = limits.keep_alive_timeout / 1000, limits.headers_timeout / 1000
            self._http.append(server(web.app, listening, keep_alive_s=keep_alive_s, headers_s=headers_s, ping=ping))

    def _observer(self) -> Observe:
        requests = self.registry.counter("omnitron_http_requests_total", "Requests.", ("method", "route", "status"))
        seconds = self.registry.histogram("omnitron_http_seconds", "Time that requests took.", ("route",))

        def observe(method: str, route: str, status: int, took: float) -> None:
            requests.inc(method, route, str(status))
            seconds.observe(took, route)

        return observe

    def _verifier(self) -> Verify | None:
        jwt = self._spec.jwt
        if jwt is None:
            return None
        # 2 ms, and PyJWT with it: a process that checks no tokens does not pay for it.
        from omnitron.host.auth.keys import load_key
        from omnitron.host.auth.tokens import JwtVerifier

        folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
        path = Path(folder) / jwt.credential if jwt.credential and folder else Path(jwt.key_file or "")
        verifier = JwtVerifier(
            load_key(path),
            algorithm=jwt.algorithm,
            issuer=jwt.issuer,
            audience=jwt.audience,
            roles_claim=jwt.roles_claim,
            cache_ttl_s=jwt.token_cache_ttl,
        )
        return verifier.verify


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
