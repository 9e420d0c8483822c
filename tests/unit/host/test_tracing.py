from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_tracer_provider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from omnitron.host.decorators import service
from omnitron.host.failure import FailureError
from omnitron.host.process import Process
from omnitron.host.rpc import errors
from omnitron.host.rpc.calls import Call, current_call
from omnitron.host.rpc.client import Client
from omnitron.host.rpc.dispatch import Dispatcher
from omnitron.host.rpc.errors import RpcError
from omnitron.host.rpc.methods import table
from omnitron.host.telemetry import tracing
from omnitron.host.transports.topics import Hub
from omnitron.host.transports.unix import UnixServer
from omnitron.host.transports.web import Web
from omnitron.policy.codec import unmarshal
from omnitron.policy.host_spec import HostSpec, Tracing
from tests.support.build import bootstrap, planned, problems, shop, write

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNWANTED = TRACE[:-2] + "00"
JAEGER = {b"uber-trace-id": b"af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1"}


class Traced:
    """A tracing whose spans stay here, and are told by their names."""

    def __init__(self, sampler: str | None = None, propagator: Any = None) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(tracing.sampler(sampler), shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = tracing.Tracing(self.provider, propagator or TraceContextTextMapPropagator())

    def spans(self) -> dict[tuple[str, SpanKind], ReadableSpan]:
        return {(span.name, span.kind): span for span in self.exporter.get_finished_spans()}

    def one(self) -> ReadableSpan:
        (span,) = self.exporter.get_finished_spans()
        return span


def told(span: ReadableSpan) -> str:
    """The trace context of a span."""
    context = span.get_span_context()
    assert context
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def parent(span: ReadableSpan) -> str | None:
    """The span that it is a part of, with its trace."""
    return span.parent and f"00-{span.parent.trace_id:032x}-{span.parent.span_id:016x}-{span.parent.trace_flags:02x}"


@service
class Prices:
    async def of(self, what: str) -> int:
        return len(what)

    async def own(self) -> str | None:
        call = current_call()
        return call.traceparent if call else None

    async def fail(self) -> None:
        raise ValueError("hunter2")

    async def refuse(self) -> None:
        raise RpcError(7, "sold out")


@service
class Front:
    def __init__(self, client: Client) -> None:
        self.client = client

    async def ask(self) -> Any:
        return await self.client.call("Prices.of", ["apple"])


def message(method: str, params: Any = (), **more: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params, **more}).encode()


def answer(dispatcher: Dispatcher, data: bytes, call: Call | None = None) -> Any:
    return json.loads(asyncio.run(dispatcher.answer(data, call or Call())) or b"null")


@contextlib.asynccontextmanager
async def listening(path: Path, dispatcher: Dispatcher) -> AsyncIterator[None]:
    with socket.socket(socket.AF_UNIX) as server_socket:
        server_socket.bind(str(path))
        server_socket.listen()
        server_socket.setblocking(False)
        server = UnixServer(dispatcher, server_socket, may_call=lambda uid: True)
        server.start()
        yield
        await server.drain(1)


def test_a_call_over_a_socket_is_part_of_the_one_that_makes_it(tmp_path: Path) -> None:
    front, back = Traced(), Traced()

    async def live() -> Any:
        behind = Dispatcher(table({"Prices": Prices()}), tracer=back.tracer)
        client = Client(str(tmp_path / "s"), front.tracer)
        before = Dispatcher(table({"Front": Front(client)}), tracer=front.tracer)
        async with listening(tmp_path / "s", behind):
            said = await before.answer(message("Front.ask", traceparent=TRACE), Call())
            client.close()
        return json.loads(said or b"")

    assert asyncio.run(live())["result"] == 5
    served, called = front.spans()["Front.ask", SpanKind.SERVER], front.spans()["Prices.of", SpanKind.CLIENT]
    behind = back.one()
    assert (behind.name, behind.kind) == ("Prices.of", SpanKind.SERVER)
    assert [parent(span) for span in (served, called, behind)] == [TRACE, told(served), told(called)]
    assert dict(called.attributes or {}) == {
        "rpc.system": "jsonrpc",
        "rpc.method": "Prices.of",
        "server.address": str(tmp_path / "s"),
    }
    assert dict(behind.attributes or {}) == {"rpc.system": "jsonrpc", "rpc.method": "Prices.of"}
    assert {span.status.status_code for span in (served, called, behind)} == {StatusCode.UNSET}


def test_what_a_service_traces_itself_is_part_of_its_call() -> None:
    traced = Traced()

    @service
    class App:
        async def work(self) -> None:
            with traced.provider.get_tracer("app").start_as_current_span("inside"):
                await asyncio.sleep(0)

    answer(Dispatcher(table({"App": App()}), tracer=traced.tracer), message("App.work"))
    served = traced.spans()["App.work", SpanKind.SERVER]
    assert parent(served) is None
    assert parent(traced.spans()["inside", SpanKind.INTERNAL]) == told(served)


def test_a_service_is_told_its_own_span() -> None:
    traced = Traced()
    said = answer(Dispatcher(table({"Prices": Prices()}), tracer=traced.tracer), message("Prices.own"))
    assert said["result"] == told(traced.one())


@pytest.mark.parametrize(
    ("given", "of_call", "expected"),
    [
        (TRACE, None, TRACE),
        (None, TRACE, TRACE),
        (TRACE, UNWANTED.replace("b7", "c8"), TRACE),
        ("00-nonsense", TRACE, TRACE),
        ("00-" + "0" * 32 + TRACE[35:], None, None),
        (None, None, None),
    ],
)
def test_whose_part_a_served_call_is(given: str | None, of_call: str | None, expected: str | None) -> None:
    traced = Traced()
    more = {"traceparent": given} if given else {}
    data = message("Prices.of", ["x"], **more)
    answer(Dispatcher(table({"Prices": Prices()}), tracer=traced.tracer), data, Call(traceparent=of_call))
    assert parent(traced.one()) == expected


def test_calls_of_a_batch_have_spans_of_their_own() -> None:
    traced = Traced()
    batch = b"[" + message("Prices.own", traceparent=TRACE) + b"," + message("Prices.own") + b"]"
    said = answer(Dispatcher(table({"Prices": Prices()}), tracer=traced.tracer), batch)
    assert {one["result"] for one in said} == {told(span) for span in traced.exporter.get_finished_spans()}
    assert {parent(span) for span in traced.exporter.get_finished_spans()} == {TRACE, None}


@pytest.mark.parametrize(
    ("method", "params", "name", "code", "what"),
    [
        ("Prices.fail", [], "Prices.fail", errors.INTERNAL_ERROR, "internal error"),
        ("Prices.refuse", [], "Prices.refuse", 7, "sold out"),
        ("Prices.of", [1], "Prices.of", errors.INVALID_PARAMS, "wrong parameters: "),
        ("a" * 1000, [], "unknown", errors.METHOD_NOT_FOUND, "no such method: "),
    ],
)
def test_an_error_is_that_of_its_span(method: str, params: Any, name: str, code: int, what: str) -> None:
    traced = Traced()
    answer(Dispatcher(table({"Prices": Prices()}), tracer=traced.tracer), message(method, params))
    span = traced.one()
    about = span.attributes or {}
    assert (span.name, about["rpc.jsonrpc.error_code"], about["error.type"]) == (name, code, str(code))
    assert span.status.status_code is StatusCode.ERROR
    assert str(span.status.description).startswith(what)


def test_a_service_that_is_not_there_is_an_error_of_the_caller(tmp_path: Path) -> None:
    traced = Traced()
    with pytest.raises(RpcError):
        asyncio.run(Client(str(tmp_path / "none"), traced.tracer).call("Prices.of", ["x"]))
    span = traced.one()
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.ERROR)
    assert (span.attributes or {})["error.type"] == str(errors.UNAVAILABLE)


# HTTP


def exchange(web: Web, method: str, path: str, body: bytes, headers: dict[bytes, bytes]) -> tuple[int, bytes]:
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(event: Any) -> None:
        said.append(event)

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers.items()), "query_string": b""}
    with contextlib.suppress(ValueError):
        asyncio.run(web(scope, receive, send))
    return said[0]["status"], b"".join(event.get("body", b"") for event in said)


def hello(request: Any) -> str:
    call = current_call()
    return (call.traceparent if call else None) or ""


def broken(request: Any) -> None:
    raise ValueError("hunter2")


ROUTES = [("GET", "/hello/{name}", hello), ("GET", "/broken", broken)]


@pytest.mark.parametrize(
    ("method", "path", "name", "status", "is_error"),
    [
        ("GET", "/hello/you", "GET /hello/{name}", 200, False),
        ("POST", "/hello/you", "POST /hello/{name}", 405, False),
        ("GET", "/broken", "GET /broken", 500, True),
        ("GET", "/" + "x" * 1000, "GET", 404, False),
        ("GET", "/rpc", "GET /rpc", 405, False),
    ],
)
def test_the_span_of_a_request(method: str, path: str, name: str, status: int, is_error: bool) -> None:
    traced = Traced()
    web = Web(Dispatcher({}), Hub(), routes=ROUTES, tracer=traced.tracer)
    code, body = exchange(web, method, path, b"", {b"traceparent": TRACE.encode()})
    span = traced.one()
    route = {"http.route": name.partition(" ")[2]} if " " in name else {}
    error = {"error.type": "500"} if is_error else {}
    assert (code, span.name, span.kind, parent(span)) == (status, name, SpanKind.SERVER, TRACE)
    assert dict(span.attributes or {}) == {
        "http.request.method": method,
        "url.path": path[: tracing.LONGEST_PATH],
        "http.response.status_code": status,
        **route,
        **error,
    }
    assert (span.status.status_code is StatusCode.ERROR) is is_error
    if status == 200:
        assert body.decode() == told(span)


def test_a_call_over_http_is_part_of_its_request() -> None:
    traced = Traced()
    web = Web(Dispatcher(table({"Prices": Prices()}), tracer=traced.tracer), Hub(), tracer=traced.tracer)
    status, body = exchange(web, "POST", "/rpc", message("Prices.own"), {b"traceparent": TRACE.encode()})
    request, call = traced.spans()["POST /rpc", SpanKind.SERVER], traced.spans()["Prices.own", SpanKind.SERVER]
    assert (status, json.loads(body)["result"]) == (200, told(call))
    assert (parent(request), parent(call)) == (TRACE, told(request))
    assert call.parent and not call.parent.is_remote


def test_calls_over_a_websocket_are_part_of_what_opened_it() -> None:
    traced = Traced()
    web = Web(
        Dispatcher(table({"Prices": Prices()}), tracer=traced.tracer), Hub(), websocket_path="/ws", tracer=traced.tracer
    )

    async def live() -> None:
        done = asyncio.Event()
        events = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": message("Prices.own").decode()}]

        async def receive() -> Any:
            if events:
                return events.pop(0)
            await done.wait()
            return {"type": "websocket.disconnect", "code": 1000}

        async def send(event: Any) -> None:
            if event["type"] == "websocket.send":
                done.set()

        await web({"type": "websocket", "path": "/ws", "headers": [(b"traceparent", TRACE.encode())]}, receive, send)

    asyncio.run(live())
    assert parent(traced.one()) == TRACE


# Jaeger's header


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (JAEGER[b"uber-trace-id"], TRACE),
        (JAEGER[b"uber-trace-id"].replace(b":", b"%3A"), TRACE),
        (JAEGER[b"uber-trace-id"].upper(), TRACE),
        (b"0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:b7ad6b7169203331:3", TRACE),
        (b"af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:0", UNWANTED),
        (b"a:b:0:1", "00-" + "a".zfill(32) + "-" + "b".zfill(16) + "-01"),
        (b"0:0:0:1", None),
        (b"a:b:0", None),
        (b"a" * 33 + b":b:0:1", None),
        (b"\xff", None),
        (TRACE.encode(), None),
    ],
)
def test_jaegers_header_is_understood(header: bytes, expected: str | None) -> None:
    traced = Traced(propagator=tracing.Jaeger())
    assert traced.tracer.parent({b"traceparent": TRACE.encode(), b"uber-trace-id": header}) == expected


def test_jaegers_header_is_written() -> None:
    headers: dict[str, str] = {}
    traced, jaeger = Traced(), tracing.Jaeger()
    jaeger.inject(headers)
    assert headers == {}
    with traced.tracer.server_span("x", TRACE, {}):
        jaeger.inject(headers)
    own = told(traced.one())
    assert headers == {"uber-trace-id": f"{own[3:35]}:{own[36:52]}:0:1"}
    assert set(headers) == jaeger.fields
    assert traced.tracer.parent({b"traceparent": own.encode()}) == own


# Which traces are kept

SAMPLERS: list[tuple[Any, str]] = [
    (True, "ParentBased{root:AlwaysOnSampler"),
    ({}, "ParentBased{root:AlwaysOnSampler"),
    ({"propagator": "jaeger"}, "ParentBased{root:AlwaysOnSampler"),
    ({"sampler": True}, "ParentBased{root:AlwaysOnSampler"),
    ({"sampler": 1}, "ParentBased{root:TraceIdRatioBased{1.0}"),
    ({"sampler": 0.25}, "ParentBased{root:TraceIdRatioBased{0.25}"),
    ({"sampler": 0}, "ParentBased{root:TraceIdRatioBased{0.0}"),
    ({"sampler": "always_on"}, "AlwaysOnSampler"),
    ({"sampler": "always_off"}, "AlwaysOffSampler"),
    ({"sampler": "traceidratio:0.1"}, "TraceIdRatioBased{0.1}"),
    ({"sampler": "parentbased_always_on"}, "ParentBased{root:AlwaysOnSampler"),
    ({"sampler": "parentbased_always_off"}, "ParentBased{root:AlwaysOffSampler"),
    ({"sampler": "parentbased_traceidratio:1e-3"}, "ParentBased{root:TraceIdRatioBased{0.001}"),
]


def compiled(folder: Path, **observability: Any) -> Tracing | None:
    """What the file for the host says of an app's tracing."""
    folder = folder / str(len(list(folder.iterdir())))
    write(folder, "", ".py", "m")
    said = {"observability": observability} if observability else {}
    file = bootstrap(folder, {"name": "b", "module": "m.py"}, **said)
    plan = planned(folder, shop({"name": "a", "bootstrap": file}, stacks={"dev": {"type": "local"}}))
    (process,) = plan.stacks[0].apps["a"]
    assert process.hosted and not plan.warnings
    assert isinstance(process.hosted.document, HostSpec)
    return process.hosted.document.tracing


def test_what_a_definition_says_becomes_a_sampler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_TRACES_SAMPLER", raising=False)
    for said, expected in SAMPLERS:
        settings = compiled(tmp_path, tracing=said)
        assert settings
        provider = TracerProvider(tracing.sampler(settings.sampler), shutdown_on_exit=False)
        assert provider.sampler.get_description().startswith(expected), said
        assert settings.propagator == ("jaeger" if isinstance(said, dict) and "propagator" in said else "w3c")
    assert compiled(tmp_path) is compiled(tmp_path, tracing=False) is compiled(tmp_path, metrics=True) is None


WRONG = [
    1.5,
    -1,
    False,
    "",
    "ratio",
    "always_on:1",
    "traceidratio",
    "traceidratio:",
    "traceidratio:2",
    "traceidratio:nan",
]
WRONG += ["parentbased_", "parentbased_jaeger_remote", ["always_on"], "parentbased_parentbased_always_on"]


def test_a_sampler_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    for number, wrong in enumerate(WRONG):
        folder = tmp_path / str(number)
        file = bootstrap(folder, {"name": "b", "module": "m"}, observability={"tracing": {"sampler": wrong}})
        found = problems(write(folder, shop({"name": "a", "bootstrap": file})))
        assert [line for line in found if "must be a ratio from 0 to 1, or " in line], (wrong, found)
        if isinstance(wrong, str):
            with pytest.raises(tracing.TracingError, match="there is no sampler"):
                tracing.sampler(wrong)


def test_a_caller_that_is_not_traced_is_heeded_and_goes_on(tmp_path: Path) -> None:
    for sampler, kept in ((None, 0), ("parentbased_always_on", 0), ("always_on", 1)):
        traced = Traced(sampler)
        serving = Dispatcher(table({"Prices": Prices()}), tracer=traced.tracer)
        own = answer(serving, message("Prices.own", traceparent=UNWANTED))["result"]
        assert len(traced.exporter.get_finished_spans()) == kept
        assert (own[:36], own[-2:]) == (UNWANTED[:36], f"0{kept}")
        assert own != UNWANTED


def test_tracing_that_the_environment_switches_off_serves_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    traced = Traced()
    serving = Dispatcher(table({"Prices": Prices()}), tracer=traced.tracer)

    async def live() -> bytes:
        client = Client(str(tmp_path / "s"), traced.tracer)
        async with listening(tmp_path / "s", serving):
            said = await client.call("Prices.own", [])
            client.close()
        return bytes(said)

    assert answer(serving, message("Prices.own", traceparent=TRACE))["result"] == TRACE
    assert answer(serving, message("Prices.own"))["result"] is None
    assert asyncio.run(live()).startswith(b'"00-')
    assert traced.exporter.get_finished_spans() == ()


# The collector


class Collector:
    """Takes what is exported by OTLP/HTTP."""

    def __init__(self) -> None:
        taken: list[tuple[str, dict[str, str], ExportTraceServiceRequest]] = []
        self.taken = taken

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                taken.append((self.path, dict(self.headers), ExportTraceServiceRequest.FromString(body)))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def spans(self) -> list[tuple[dict[str, str], Any]]:
        """Each span with what is said of where it comes from."""
        return [
            ({one.key: one.value.string_value for one in group.resource.attributes}, span)
            for _, _, request in self.taken
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    it = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", it.url)
    yield it
    it.server.shutdown()
    it.server.server_close()


Configure = Callable[..., tracing.Tracing]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Configure:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setattr(tracing._SELDOM, "_next", 0.0)

    def make(**more: Any) -> tracing.Tracing:
        who = {"service": "app", "version": None, "stack": "shop/dev", "process": "api", "instance": None}
        return tracing.configure(Tracing(), **{**who, **more})

    return make


def test_the_end_sends_what_is_left(
    collector: Collector, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")

    async def live() -> None:
        tracer = configure(version="1.2", instance=3)
        serving = Dispatcher(table({"Prices": Prices()}), tracer=tracer)
        for _ in range(3):
            await serving.answer(message("Prices.of", ["x"], traceparent=TRACE), Call())
        assert collector.taken == []
        began = time.monotonic()
        await tracer.shutdown()
        assert time.monotonic() - began < 10  # the batch would wait longer

    asyncio.run(live())
    ((path, headers, _),) = collector.taken
    assert (path, headers["x-key"]) == ("/v1/traces", "secret")
    assert len(collector.spans()) == 3
    for resource, span in collector.spans():
        assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == ("Prices.of", TRACE[3:35], TRACE[36:52])
        ours = {key: value for key, value in resource.items() if key.startswith("service.")}
        assert ours == {
            "service.name": "app",
            "service.version": "1.2",
            "service.namespace": "shop/dev",
            "service.instance.id": f"{socket.gethostname()}/api@3",
        }


def down(kind: str) -> socket.socket:
    """A socket behind whose address nothing answers: it refuses connections, or takes them and is silent."""
    it = socket.socket()
    it.bind(("127.0.0.1", 0))
    if kind == "silent":
        it.listen()
    return it


@pytest.mark.parametrize("kind", ["refusing", "silent"])
def test_a_collector_that_is_down_holds_nothing_up(
    kind: str, configure: Configure, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")  # time for one more attempt, a second later

    async def live(tracer: tracing.Tracing) -> tuple[float, float, int]:
        serving = Dispatcher(table({"Prices": Prices()}), tracer=tracer)
        began = time.monotonic()
        for _ in range(500):
            await serving.answer(message("Prices.of", ["x"]), Call())
            await asyncio.sleep(0)
        calls = time.monotonic() - began
        ticks = 0
        ending = asyncio.create_task(tracer.shutdown(0.2))
        while not ending.done():
            await asyncio.sleep(0.005)
            ticks += 1
        return calls, time.monotonic() - began - calls, ticks

    with down(kind) as it:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{it.getsockname()[1]}")
        with caplog.at_level(logging.WARNING):
            calls, end, ticks = asyncio.run(live(configure()))
    assert calls < 0.8  # one export takes longer
    assert 0.2 <= end < 1.2
    assert ticks >= 10
    assert [record.message for record in caplog.records if record.name == tracing.__name__] == [
        "the last spans are lost: the collector did not take them within 0.2 s"
    ]
    assert len([record for record in caplog.records if "exporter" in record.name]) <= 1


def test_one_complaint_a_minute_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(tracing.time, "monotonic", lambda: now)
    seldom, record = tracing._Seldom(), logging.makeLogRecord({})
    seen = []
    for now in (1000.0, 1001.0, 1059.0, 1060.0, 1061.0):  # noqa: B007 - the clock above reads it
        seen.append(bool(seldom.filter(record)))
    assert seen == [True, False, False, True, False]


def test_an_environment_that_cannot_be_used_is_an_error(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1")
    with pytest.raises(tracing.TracingError, match=r"^cannot export traces: max_export_batch_size "):
        configure()


# The process


def spec(folder: Path, **more: Any) -> dict[str, Any]:
    own = {"app": "app", "process": "api", "folder": str(folder), "folders": [str(folder)], "module": "m.py"}
    return {"version": 1, "project": "shop", "stack": "dev", **own, **more}


def test_packages_that_are_missing_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    monkeypatch.delitem(sys.modules, "omnitron.host.telemetry.tracing")
    process = Process(unmarshal(HostSpec, json.dumps(spec(tmp_path, tracing={})), "it"))
    with pytest.raises(FailureError) as caught:
        asyncio.run(process.run())
    sentence = caught.value.sentence([tmp_path])
    assert sentence.startswith("cannot trace its calls: cannot use OpenTelemetry: ")
    assert sentence.endswith("; install the extra: pip install 'omnitron[tracing]'")


MODULE = """\
import sys
from omnitron import service
from opentelemetry import trace
@service("It")
class It:
    async def inside(self) -> None:
        with trace.get_tracer("app").start_as_current_span("inside"):
            pass
"""


def test_a_process_sends_its_spans_before_it_ends(collector: Collector, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(MODULE)
    (tmp_path / "spec.json").write_text(json.dumps(spec(tmp_path, tracing={}, appVersion="2", metrics=False)))
    environment = {**os.environ, "RUNTIME_DIRECTORY": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-m", "omnitron.host", str(tmp_path / "spec.json")]

    async def call(own: Path) -> None:
        client, until = Client(str(own)), time.monotonic() + 20
        while True:
            try:
                await client.call("It.inside", [])
                break
            except RpcError:
                assert process.poll() is None and time.monotonic() < until
                await asyncio.sleep(0.02)
        client.close()

    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        asyncio.run(call(tmp_path / "control.sock"))
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
    named = {span.name: (resource, span) for resource, span in collector.spans()}
    assert set(named) == {"It.inside", "inside"}
    assert named["inside"][1].parent_span_id == named["It.inside"][1].span_id
    assert named["It.inside"][0]["service.version"] == "2"


def test_who_is_not_traced_imports_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("def stop(app):\n    import os, signal\n    os.kill(os.getpid(), signal.SIGTERM)\n")
    http = {"host": "127.0.0.1", "port": 0}
    (tmp_path / "spec.json").write_text(json.dumps(spec(tmp_path, http=http, hooks={"afterStart": "m.py:stop"})))
    code = (
        "import runpy, sys; sys.exit = lambda status: print(status)\n"
        "runpy.run_module('omnitron.host', run_name='__main__')\n"
        "print([name for name in sys.modules if 'opentelemetry' in name or name == 'omnitron.host.telemetry.tracing'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", code, str(tmp_path / "spec.json")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20)
    assert done.stdout == "0\n[]\n", done.stderr


def test_nothing_global_is_changed_by_what_is_traced_here(configure: Configure) -> None:
    before = get_tracer_provider()
    asyncio.run(configure().shutdown())
    assert get_tracer_provider() is before
