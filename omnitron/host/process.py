"""The life of one process: create, start, serve, drain, stop; each step is reported to systemd."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnitron.errors import OmnitronError
from omnitron.host.auth.hooks import verifier
from omnitron.host.config import Config, ConfigSource
from omnitron.host.container import build, service_classes
from omnitron.host.context import Context
from omnitron.host.failure import FailureError
from omnitron.host.health import Health
from omnitron.host.hooks import HookTable, run_guarded
from omnitron.host.loading import Loader
from omnitron.host.rpc.calls import current_call
from omnitron.host.rpc.client import Client
from omnitron.host.rpc.methods import table
from omnitron.host.rpc.proxy import Missing, Proxy
from omnitron.host.transports.listeners import Transports
from omnitron.policy.host_spec import HostSpec
from omnitron.supervision import notify
from omnitron.supervision.status_line import encode

if TYPE_CHECKING:
    from omnitron.host.telemetry.tracing import Tracing

log = logging.getLogger(__name__)

RESERVE = 0.15
"""Share of the stop timeout that is reserved for the hooks; draining gets the rest."""
FLUSH_USEC = 3_000_000
"""Time asked of systemd to send the last spans: a little more than the longest that it can take."""
FIRST_CHECKS_S = 0.2
"""Pause between health checks until the first good one."""


class Process:
    """One process. `run` lives its whole life and returns its exit status."""

    def __init__(self, spec: HostSpec) -> None:
        """Take what the process is to be; nothing has happened yet."""
        self.spec = spec
        self.folders = [Path(folder) for folder in spec.folders]
        self._stopping = asyncio.Event()
        self._clients: dict[str, Client] = {}
        self._tracer: Tracing | None = None
        self._transports = Transports(spec)
        self._hooks: HookTable | None = None
        self._context: Context | None = None
        self._sending: asyncio.Task[None] | None = None
        """The task that sends its metrics to StatsD."""

    async def run(self) -> int:
        """Run until a stop; return 0 for a requested stop, raise FailureError for a failure."""
        try:
            return await self._live()
        finally:
            if self._tracer:
                notify.send(f"EXTEND_TIMEOUT_USEC={FLUSH_USEC}")
                await self._tracer.shutdown()

    async def _live(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        starting = asyncio.create_task(self._start())
        stop = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({starting, stop}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            context, health = await starting
            await self._serve(context, health, stop)
        else:
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError, FailureError):
                await starting
        await self._stop()
        return 0

    # --- start ---

    async def _start(self) -> tuple[Context, Health]:
        spec, startup_s = self.spec, self.spec.startup_timeout / 1000
        self._say("loading its configuration")
        try:
            config = self._config()
        except OmnitronError as error:
            raise FailureError("read its configuration", error) from error
        self._tracer = self._trace()
        loader = Loader(self.folders)
        hooks = self._hooks = HookTable(spec.hooks, loader)
        await self._hook("before_create", None, startup_s)
        self._say(f"importing {spec.module}")
        try:
            module = loader.module(spec.module)
        except Exception as error:
            raise FailureError(f"import {spec.module}", error) from error
        context = self._context = self._make_context(config)
        context.failed = asyncio.get_running_loop().create_future()
        try:
            services = build(service_classes(module), context)
            methods = table(services)
        except Exception as error:
            raise FailureError("make its services", error) from error
        context.services = services
        await self._hook("after_create", context, startup_s)
        await self._hook("before_start", context, startup_s)
        setup = getattr(module, "setup", None)
        if setup is not None:
            self._say("running setup")
            notify.send(f"EXTEND_TIMEOUT_USEC={spec.startup_timeout * 1000}")
            await run_guarded("run setup", partial(setup, context), startup_s)
        verify = await verifier(spec.auth, loader, context)
        self._say("opening its sockets")
        try:
            self._transports.open(methods, loader, self._tracer, verify)
        except FailureError:
            raise
        except Exception as error:
            raise FailureError("open its sockets", error) from error
        if spec.statsd and spec.metrics:
            from omnitron.host.telemetry import statsd  # 0.3 ms, and most processes do without

            prefix = ".".join(
                (spec.project, spec.stack, spec.app, spec.process, *([str(n)] if (n := _instance()) else []))
            )
            sending = statsd.send(self._transports.registry, prefix, spec.statsd / 1000)
            self._sending = asyncio.create_task(sending)
        await self._hook("after_start", context, startup_s)
        health = Health(
            hooks.get("on_health_check", context) if spec.health.enabled else None,
            [self._transports.problem],
            timeout_s=spec.health.timeout / 1000,
            retries=spec.health.retries,
            start_period_s=spec.health.start_period / 1000,
        )
        await self._first_check(health, startup_s)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
        return context, health

    def _config(self) -> Config:
        sources = [ConfigSource(s.type, s.path, s.prefix, s.optional) for s in self.spec.sources]
        return Config(sources, env_prefix=self.spec.env_prefix, folder=Path(self.spec.folder))

    def _trace(self) -> Tracing | None:
        spec = self.spec
        if spec.tracing is None:
            return None
        try:
            # 51 ms: a process without tracing saves them, and need not have OpenTelemetry.
            from omnitron.host.telemetry.tracing import configure

            tracer = configure(
                spec.tracing,
                service=spec.app,
                version=spec.app_version,
                stack=f"{spec.project}/{spec.stack}",
                process=spec.process,
                instance=_instance(),
            )
        except OmnitronError as error:
            raise FailureError("trace its calls", error) from error
        tracer.make_global()
        return tracer

    def _make_context(self, config: Config) -> Context:
        spec = self.spec
        return Context(
            project=spec.project,
            stack=spec.stack,
            app=spec.app,
            process=spec.process,
            instance=_instance(),
            version=spec.app_version,
            config=config,
            metrics=self._transports.registry,
            topology=self._proxy,
            publish=self._transports.hub.publish,
        )

    def _proxy(self, service: str, interface: Any) -> Any:
        path = self.spec.access.get(service)
        if path is None:
            return Missing(service, self.spec.access)
        path = path.replace("%t", _runtime_root(), 1)
        client = self._clients.setdefault(path, Client(path, self._tracer))
        return Proxy(client, service, interface)

    async def _first_check(self, health: Health, startup_s: float) -> None:
        self._say("waiting for its first healthy check")
        deadline = time.monotonic() + startup_s
        while await health.check() == "unhealthy":
            if time.monotonic() > deadline:
                raise FailureError("start", HealthError(health.message))
            self._say(encode(health.status, health.message))
            await asyncio.sleep(FIRST_CHECKS_S)

    # --- serve ---

    async def _serve(self, context: Context, health: Health, stop: asyncio.Task[Any]) -> None:
        notify.send("READY=1", f"STATUS={encode(health.status, health.message)}")
        # The objects that exist now live as long as the process: take them out of garbage collection.
        gc.freeze()
        gc.enable()
        assert context.failed is not None
        watching = asyncio.create_task(self._watch(health))
        try:
            await asyncio.wait({stop, context.failed, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
        if context.failed.done() and not stop.done():
            raise FailureError("continue: a background task has failed", context.failed.result())
        if watching.done() and not watching.cancelled() and not stop.done():
            await watching

    async def _watch(self, health: Health) -> None:
        """Check at every interval; the ping of the watchdog stops after too many failures, so that systemd acts."""
        interval_s = self.spec.health.interval / 1000
        while True:
            await asyncio.sleep(interval_s)
            await health.check()
            ping = () if health.has_failed else ("WATCHDOG=1",)
            notify.send(*ping, f"STATUS={encode(health.status, health.message)}")
            if health.status != "healthy":
                log.warning("%s: %s", health.status, health.message or "its health check gave no reason")

    def _reload(self) -> None:
        assert self._context is not None
        try:
            changed = self._context.config.reload()
        except OmnitronError as error:
            log.error("its configuration stays as it was: %s", "; ".join(error.lines()))
            return
        log.info("its configuration was read again: %s", "changed" if changed else "nothing has changed")

    # --- stop ---

    async def _stop(self) -> None:
        spec, context = self.spec, self._context
        stop_s = spec.stop_timeout / 1000
        notify.send("STOPPING=1", "STATUS=finishing running calls")
        await self._transports.drain(stop_s * (1 - RESERVE) if spec.drain else 0.0)
        await self._stop_hook("before_stop", context, stop_s)
        if context:
            await context.cancel_tasks()
        await self._stop_hook("after_stop", context, stop_s)
        for client in self._clients.values():
            client.close()
        if self._sending:
            self._sending.cancel()

    async def _stop_hook(self, moment: str, context: Context | None, timeout_s: float) -> None:
        # A hook that fails must not prevent the end of running calls.
        try:
            await self._hook(moment, context, timeout_s)
        except FailureError as error:
            log.error("%s", error.sentence(self.folders))

    async def _hook(self, moment: str, context: Context | None, timeout_s: float) -> None:
        if self._hooks is None or self._hooks.get(moment) is None:
            return
        self._say(f"running {moment}")
        # A hook may take as long as the whole start or stop.
        notify.send(f"EXTEND_TIMEOUT_USEC={int(timeout_s * 1_000_000) + 1_000_000}")
        await self._hooks.run(moment, context, timeout_s)

    def _say(self, status: str) -> None:
        notify.send(f"STATUS={status}")


class HealthError(Exception):
    """A process that never became healthy."""


def _instance() -> int | None:
    number = os.environ.get("OMNITRON_INSTANCE", "")
    return int(number) if number.isdigit() else None


def _runtime_root() -> str:
    """Return the folder that systemd calls `%t`; this process's own folder below it is `PREFIX/STACK/NAME`."""
    own = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return str(Path(own).parents[2]) if own else "/run"


class TraceFilter(logging.Filter):
    """Adds the trace of the current call to each log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Accept every record."""
        call = current_call()
        if call and call.trace_id:
            record.trace_id = call.trace_id
        return True
