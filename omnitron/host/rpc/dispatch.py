"""JSON-RPC 2.0: from a message to its answer, for every transport."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from omnitron.host.auth.identity import Forbidden, Unauthenticated, check
from omnitron.host.rpc import errors
from omnitron.host.rpc.calls import TRACEPARENT, Call, child_span, enter, is_cancelled
from omnitron.host.rpc.errors import RpcError
from omnitron.host.rpc.methods import Method

if TYPE_CHECKING:
    from omnitron.host.auth.hooks import Around
    from omnitron.host.telemetry.tracing import Tracing

log = logging.getLogger(__name__)

MAX_PENDING = 1000
"""Calls at once in one process; further calls are refused, because a queue would only grow."""
MAX_BATCH = 100
"""Calls in one batch."""
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The errors of the decoder for a text that is not JSON."""
UNKNOWN = "unknown"
"""The method name in metrics for calls of methods that do not exist."""

Id = str | int | float | None
Observer = Callable[[str, str, float], None]
"""Called after every call with its method, `ok` or the error's code, and its seconds."""


class Request(msgspec.Struct):
    """A request or notification as it arrives; unknown members are ignored."""

    method: str
    jsonrpc: str = ""
    params: msgspec.Raw = msgspec.Raw(b"")
    id: Id | msgspec.UnsetType = msgspec.UNSET
    deadline: float | None = None
    """Seconds that the caller waits: an extension of omnitron's."""
    traceparent: str | None = None
    """W3C trace context: an extension of omnitron's."""


class _Error(msgspec.Struct, omit_defaults=True):
    code: int
    message: str
    data: Any = None


class _Success(msgspec.Struct):
    result: Any
    id: Id
    jsonrpc: str = "2.0"


class _Failure(msgspec.Struct):
    error: _Error
    id: Id
    jsonrpc: str = "2.0"


# A struct of limited size: a list of all that a client sends would take 40 times the memory of the text.
_Batch = msgspec.defstruct(
    "_Batch", [(f"call_{number}", msgspec.Raw, msgspec.Raw(b"")) for number in range(MAX_BATCH + 1)], array_like=True
)

_request = msgspec.json.Decoder(Request)
_batch = msgspec.json.Decoder(_Batch)


def _plain(value: Any) -> Any:
    """Convert a value that msgspec cannot encode: a read-only mapping becomes an object."""
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError  # msgspec then raises its own error, which names the type


_encode = msgspec.json.Encoder(enc_hook=_plain).encode


class Dispatcher:
    """Answers messages from a table of methods."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        *,
        observe: Observer = lambda method, outcome, seconds: None,
        max_pending: int = MAX_PENDING,
        longest_s: float | None = None,
        tracer: Tracing | None = None,
        around: Around | None = None,
    ) -> None:
        """Take the table; `longest_s` limits every call, whatever its own deadline; `around` runs each call."""
        self.methods = methods
        self.pending = 0
        """Calls that are being served now."""
        self._observe = observe
        self._max_pending = max_pending
        self._longest_s = longest_s
        self._tracer = tracer
        self._around = around

    async def answer(self, message: bytes, call: Call) -> bytes | None:
        """Return the answer to a message: a call or a batch of them; None when all of it was notifications."""
        if message.lstrip()[:1] != b"[":
            answer = await self._answer_request(message, call)
            return None if answer is None else _encode(answer)
        try:
            items = [item for item in msgspec.structs.astuple(_batch.decode(message)) if item]
        except UNREADABLE:
            return _encode(_failure(None, RpcError(errors.PARSE_ERROR)))
        if not items or len(items) > MAX_BATCH:
            what = "an empty batch" if not items else f"a batch holds at most {MAX_BATCH} calls"
            return _encode(_failure(None, RpcError(errors.INVALID_REQUEST, what)))
        # One task for each call: contexts (deadline, trace) must not be shared.
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._answer_request(bytes(item), call)) for item in items]
        answers = [answer for task in tasks if (answer := task.result()) is not None]
        return _encode(answers) if answers else None

    async def _answer_request(self, message: bytes, call: Call) -> _Success | _Failure | None:
        try:
            request = _request.decode(message)
        except msgspec.ValidationError as error:
            return _not_a_request(message, error)
        except UNREADABLE:
            return _failure(None, RpcError(errors.PARSE_ERROR))
        id = request.id
        params = bytes(request.params)
        if request.jsonrpc != "2.0" or params[:1] not in (b"", b"{", b"["):
            what = '"jsonrpc" must be "2.0"' if request.jsonrpc != "2.0" else '"params" must be an object or an array'
            wrong = RpcError(errors.INVALID_REQUEST, f"not a JSON-RPC 2.0 request: {what}")
            return _failure(None if id is msgspec.UNSET else id, wrong)
        began = time.perf_counter()
        method = self.methods.get(request.method)
        outcome = "ok"
        try:
            if self._tracer is None:
                result = await self._serve(request, params, method, call)
            else:
                result = await self._traced(request, params, method, call, self._tracer)
            return None if id is msgspec.UNSET else _Success(result, id)
        except RpcError as error:
            outcome = str(error.code)
            return None if id is msgspec.UNSET else _failure(id, error)
        finally:
            self._observe(method.name if method else UNKNOWN, outcome, time.perf_counter() - began)

    async def _traced(self, request: Request, params: bytes, method: Method | None, call: Call, tracer: Tracing) -> Any:
        """Serve inside a span, which becomes that of the call."""
        own = request.traceparent if TRACEPARENT.fullmatch(request.traceparent or "") else call.traceparent
        with tracer.serving(method.name if method else UNKNOWN, own) as span:
            request.traceparent = None
            call = Call(call.identity, call.deadline, span.traceparent, call.transport)
            return await self._serve(request, params, method, call)

    async def _serve(self, request: Request, params: bytes, method: Method | None, call: Call) -> Any:
        if method is None:
            # Only callers on this host get the list of methods: it could help an attacker.
            registered = {"methods": sorted(self.methods)} if call.identity and call.identity.trusted else None
            raise RpcError(errors.METHOD_NOT_FOUND, f"no such method: {request.method[:200]}", registered)
        _permit(call, method)
        positional, named = _arguments(method, params)
        if self.pending >= self._max_pending:
            raise RpcError(errors.BUSY)
        deadline = _earliest(call.deadline, request.deadline, self._longest_s)
        if deadline is not None and deadline <= time.monotonic():
            raise RpcError(errors.DEADLINE_EXCEEDED)  # the caller no longer waits for it
        enter(Call(call.identity, deadline, child_span(request.traceparent) or call.traceparent, call.transport))
        self.pending += 1
        try:
            return await _run(method, positional, named, deadline, self._around)
        finally:
            self.pending -= 1


def _arguments(method: Method, params: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
    try:
        return method.arguments(params)
    except msgspec.ValidationError as error:
        raise RpcError(errors.INVALID_PARAMS, f"wrong parameters: {error}") from None
    except UNREADABLE:
        raise RpcError(errors.INVALID_PARAMS) from None
    except Exception as error:  # raised by a `__post_init__` or an Enum's `_missing_`
        raise _internal(method, error) from None


async def _run(
    method: Method,
    positional: tuple[Any, ...],
    named: dict[str, Any],
    deadline: float | None,
    around: Around | None,
) -> Any:
    running = around(method, positional, named) if around else method.function(*positional, **named)
    try:
        if deadline is None:
            result = await running
        else:
            async with asyncio.timeout(deadline - time.monotonic()) as limit:
                result = await running
        value = method.checked(result)
        # Encoded here, where an error still belongs to the method.
        return msgspec.Raw(_encode(value))
    except RpcError as error:
        raise _sendable(method, error) from None
    except TimeoutError as error:
        if deadline is not None and limit.expired():
            raise RpcError(errors.DEADLINE_EXCEEDED) from None
        raise _internal(method, error) from None
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        raise _internal(method, error) from None  # raised by something that the method awaited
    except (Exception, SystemExit) as error:
        raise _internal(method, error) from None


def _sendable(method: Method, error: RpcError) -> RpcError:
    """Return an error of the app's in a form that can be sent; an internal error when that is not possible."""
    try:
        code, message = msgspec.convert((error.code, error.message), tuple[int, str])
        _encode(message)
        return RpcError(code, message, None if error.data is None else msgspec.Raw(_encode(error.data)))
    except Exception as wrong:
        return _internal(method, wrong)


def _internal(method: Method, error: BaseException) -> RpcError:
    """Log a failure, and return an error for the caller with nothing but the id of the log entry."""
    mark = os.urandom(6).hex()
    log.error("%s failed [%s]", method.name, mark, exc_info=error, extra={"error_id": mark})
    return RpcError(errors.INTERNAL_ERROR, data={"errorId": mark})


def _permit(call: Call, method: Method) -> None:
    if method.roles is None:
        return
    try:
        check(call.identity, method.roles)
    except Unauthenticated as error:
        raise RpcError(errors.UNAUTHENTICATED, str(error)) from None
    except Forbidden as error:
        raise RpcError(errors.FORBIDDEN, str(error)) from None


def _earliest(deadline: float | None, requested_s: float | None, longest_s: float | None) -> float | None:
    """Return the first of the deadlines; the last two are in seconds from now."""
    spans = [seconds for seconds in (requested_s, longest_s) if seconds is not None]
    moments = [time.monotonic() + max(min(spans), 0.0)] if spans else []
    return min([*moments, *([deadline] if deadline is not None else [])], default=None)


def _failure(id: Any, error: RpcError) -> _Failure:
    return _Failure(_Error(error.code, error.message, error.data), id)


def _not_a_request(message: bytes, error: msgspec.ValidationError) -> _Failure:
    """Return the answer to a message that is not a request, with its id if it has one."""
    id: Id = None
    try:
        msgspec.json.decode(message, type=msgspec.Raw)  # the whole message, which may have an error further on
        id = msgspec.json.decode(message, type=_OnlyId).id
    except msgspec.ValidationError:
        pass
    except UNREADABLE:
        return _failure(None, RpcError(errors.PARSE_ERROR))
    return _failure(id, RpcError(errors.INVALID_REQUEST, f"not a request: {error}"))


class _OnlyId(msgspec.Struct):
    id: Id = None
