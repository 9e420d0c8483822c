"""Spans of the calls that a process serves and makes, exported by OTLP; needs the extra `omnitron[tracing]`."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from omnitron.errors import OmnitronError
from omnitron.host.rpc.errors import RpcError
from omnitron.policy.host_spec import Tracing as Settings


class TracingError(OmnitronError):
    """Tracing that is configured and cannot work."""


try:
    from opentelemetry.context import Context, attach, detach, get_current
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.propagate import set_global_textmap
    from opentelemetry.propagators.textmap import (
        CarrierT,
        Getter,
        Setter,
        TextMapPropagator,
        default_getter,
        default_setter,
    )
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        SpanKind,
        Status,
        StatusCode,
        TraceFlags,
        get_current_span,
        set_span_in_context,
        set_tracer_provider,
    )
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as missing:
    raise TracingError(
        f"cannot use OpenTelemetry: {missing}", hint="install the extra: pip install 'omnitron[tracing]'"
    ) from missing

log = logging.getLogger(__name__)

FLUSH_S = 2.0
"""Longest time at the end of a process to send its last spans."""
SELDOM_S = 60.0
"""Pause between two log messages about a collector."""
LONGEST_PATH = 200
"""Characters of a request's path in its span."""

ALWAYS = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF}

Headers = Mapping[bytes, bytes]
Attributes = Mapping[str, str | int]


def configure(
    settings: Settings, *, service: str, version: str | None, stack: str, process: str, instance: int | None
) -> Tracing:
    """Return the tracing of a process, with its exporter started; raises TracingError.

    The standard variables OTEL_EXPORTER_OTLP_* name the collector, OTEL_BSP_* the intervals.
    """
    attributes = {
        "service.name": service,
        "service.namespace": stack,
        "service.instance.id": f"{socket.gethostname()}/{process}" + (f"@{instance}" if instance else ""),
        **({"service.version": version} if version else {}),
    }
    try:
        # The process shuts it down itself: the SDK's exit handler would wait without a limit.
        provider = TracerProvider(sampler(settings.sampler), Resource.create(attributes), shutdown_on_exit=False)
        exporter = OTLPSpanExporter()
        provider.add_span_processor(BatchSpanProcessor(exporter))
    except (ValueError, OSError) as error:
        raise TracingError(
            f"cannot export traces: {error}", hint="check the variables OTEL_* in its environment"
        ) from error
    logging.getLogger(type(exporter).__module__).addFilter(_SELDOM)
    return Tracing(provider, Jaeger() if settings.propagator == "jaeger" else TraceContextTextMapPropagator())


def sampler(setting: str | None) -> Sampler | None:
    """Return the sampler with a name as in OTEL_TRACES_SAMPLER, with `:ratio` where it has one.

    None leaves the choice to the SDK: by that variable, else every trace that the caller samples.
    """
    if setting is None:
        return None
    base = setting.removeprefix("parentbased_")
    name, _, ratio = base.partition(":")
    try:
        base_sampler = TraceIdRatioBased(float(ratio)) if name == "traceidratio" else ALWAYS[base]
    except (KeyError, ValueError):
        raise TracingError(f"cannot trace: there is no sampler {setting!r}") from None
    return base_sampler if base == setting else ParentBased(base_sampler)


class Tracing:
    """Makes the spans of one process."""

    def __init__(self, provider: TracerProvider, propagator: TextMapPropagator) -> None:
        """Take the destination of spans, and the format of trace contexts in HTTP headers."""
        self._provider = provider
        self._propagator = propagator
        self._tracer = provider.get_tracer("omnitron")

    def make_global(self) -> None:
        """Let the app's own code and OpenTelemetry's instrumentation of libraries trace the same way."""
        set_tracer_provider(self._provider)
        set_global_textmap(self._propagator)

    def parent(self, headers: Headers) -> str | None:
        """Return the W3C trace context in these headers, None without one."""
        return _traceparent(get_current_span(self._propagator.extract(headers, Context(), _FROM_HEADERS)))

    def server_span(self, name: str, parent: str | None, attributes: Attributes) -> Span:
        """Return a span for a call served here, as a child of `parent` (a well-formed trace context) or as a root."""
        return Span(self._tracer.start_span(name, _context_of(parent), SpanKind.SERVER, attributes), parent)

    def client_span(self, name: str, attributes: Attributes) -> Span:
        """Return a span for a call to another process, as a child of the current span."""
        return Span(self._tracer.start_span(name, None, SpanKind.CLIENT, attributes))

    def serving(self, method: str, parent: str | None) -> Span:
        """Return the span of a call that is served."""
        return self.server_span(method, parent, {"rpc.system": "jsonrpc", "rpc.method": method})

    def calling(self, method: str, path: str) -> Span:
        """Return the span of a call to the socket at `path`."""
        return self.client_span(method, {"rpc.system": "jsonrpc", "rpc.method": method, "server.address": path})

    def request(self, method: str, path: str, headers: Headers) -> Span:
        """Return the span of an HTTP request."""
        about = {"http.request.method": method, "url.path": path[:LONGEST_PATH]}
        return self.server_span(method, self.parent(headers), about)

    async def shutdown(self, timeout_s: float = FLUSH_S) -> None:
        """Export the remaining spans; those that are not sent within the time are lost."""
        # Not in the loop's executor: asyncio.run would wait for its end without a limit.
        thread = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        thread.start()
        until = time.monotonic() + timeout_s
        while thread.is_alive():
            if time.monotonic() >= until:
                log.warning("the last spans are lost: the collector did not take them within %.3g s", timeout_s)
                return
            await asyncio.sleep(0.01)


class Span:
    """One span, which lasts as long as its `with` block, and is the current span inside it."""

    __slots__ = ("_span", "_token", "traceparent")

    def __init__(self, span: Any, parent: str | None = None) -> None:
        """Take a started span of OpenTelemetry's, and its parent."""
        self._span = span
        self.traceparent = _traceparent(span) or parent
        """Its W3C trace context; that of its parent where OTEL_SDK_DISABLED switches spans off."""

    def __enter__(self) -> Span:
        self._token = attach(set_span_in_context(self._span))
        return self

    def answered(self, method: str, route: str | None, status: int) -> None:
        """Record the end of an HTTP request: the pattern of its route, if any, and the status, 0 without a response."""
        if route:
            self._span.update_name(f"{method} {route}")
            self._span.set_attribute("http.route", route)
        if status:
            self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._failed(str(status), "")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        detach(self._token)
        if isinstance(error, RpcError):
            self._span.set_attribute("rpc.jsonrpc.error_code", error.code)
            self._failed(str(error.code), error.message)
        elif error is not None:
            self._failed(type(error).__name__, str(error))
        self._span.end()

    def _failed(self, kind: str, message: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR, message or None))


def _traceparent(span: Any) -> str | None:
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _context_of(parent: str | None) -> Context:
    """Return the context for a W3C trace context: the current context if that is the same span."""
    if parent is None:
        return Context()
    trace_id, span_id, flags = int(parent[3:35], 16), int(parent[36:52], 16), int(parent[53:55], 16)
    here = get_current_span().get_span_context()
    if (here.trace_id, here.span_id) == (trace_id, span_id):
        return get_current()
    remote = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return set_span_in_context(NonRecordingSpan(remote), Context())


class _FromHeaders(Getter[Headers]):
    def get(self, carrier: Headers, key: str) -> list[str] | None:
        value = carrier.get(key.encode())
        return None if value is None else [value.decode("latin-1")]

    def keys(self, carrier: Headers) -> list[str]:
        return [key.decode("latin-1") for key in carrier]


_FROM_HEADERS = _FromHeaders()


class Jaeger(TextMapPropagator):
    """The format of Jaeger's own clients: the header `uber-trace-id`, without baggage."""

    HEADER = "uber-trace-id"
    FORM = re.compile(r"([0-9a-f]{1,32}):([0-9a-f]{1,16}):[0-9a-f]{1,16}:([0-9a-f]{1,2})", re.IGNORECASE)

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """Return `context` with the span of the caller."""
        context = Context() if context is None else context
        match = self.FORM.fullmatch("".join(getter.get(carrier, self.HEADER) or ()).replace("%3A", ":"))
        if match is None:
            return context
        # The second bit (debug) means "sampled" too.
        flags = TraceFlags(TraceFlags.SAMPLED if int(match[3], 16) & 3 else TraceFlags.DEFAULT)
        caller = SpanContext(int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=flags)
        return set_span_in_context(NonRecordingSpan(caller), context) if caller.is_valid else context

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        """Write the current span into headers."""
        here = get_current_span(context).get_span_context()
        if here.is_valid:
            sampled = int(here.trace_flags.sampled)
            setter.set(carrier, self.HEADER, f"{here.trace_id:032x}:{here.span_id:016x}:0:{sampled}")

    @property
    def fields(self) -> set[str]:
        """The headers that it writes."""
        return {self.HEADER}


class _Seldom(logging.Filter):
    """Passes one message in SELDOM_S seconds: a collector that is down must not fill the journal."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + SELDOM_S
        return True


_SELDOM = _Seldom()
