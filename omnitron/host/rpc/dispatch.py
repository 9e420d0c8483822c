"""JSON-RPC 2.0: from a message to its answer, whatever transport carried it."""

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
"""Calls at once in one process; more are refused, for a queue without end helps nobody."""
MAX_BATCH = 100
"""Calls in one batch."""
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for what is no JSON."""
UNKNOWN = "unknown"
"""The method under which calls of what does not exist are counted."""

Id = str | int | float | None
Observer = Callable[[str, str, float], None]
"""Told of every call: its method, `ok` or the error's code, and the seconds that it took."""


class Request(msgspec.Struct):
    """A request or notification as it arrives; members of later versions are passed over."""

    method: str
    jsonrpc: str = ""
    params: msgspec.Raw = msgspec.Raw(b"")
    id: Id | msgspec.UnsetType = msgspec.UNSET
    deadline: float | None = None
    """Seconds that the caller waits: a member of ours."""
    traceparent: str | None = None
    """W3C trace context: a member of ours."""


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


# What is beyond the last field is read over: a list of whatever a client sends would take 40 times its size.
_Batch = msgspec.defstruct(
    "_Batch", [(f"call_{number}", msgspec.Raw, msgspec.Raw(b"")) for number in range(MAX_BATCH + 1)], array_like=True
)

_request = msgspec.json.Decoder(Request)
_batch = msgspec.json.Decoder(_Batch)


def _plain(value: Any) -> Any:
    """Return what JSON has for a value that msgspec does not know: a read-only mapping is an object."""
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError  # msgspec's word for "nor do I": it then says what type it was


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
        """Take the table; `longest_s` bounds every call, whatever the caller says; `around` is what each runs in."""
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
            answer = await self._one(message, call)
            return None if answer is None else _encode(answer)
        try:
            items = [item for item in msgspec.structs.astuple(_batch.decode(message)) if item]
        except UNREADABLE:
            return _encode(_failure(None, RpcError(errors.PARSE_ERROR)))
        if not items or len(items) > MAX_BATCH:
            what = "an empty batch" if not items else f"a batch holds at most {MAX_BATCH} calls"
            return _encode(_failure(None, RpcError(errors.INVALID_REQUEST, what)))
        # Tasks of their own: a call's context (its deadline, its trace) is not its neighbour's.
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(bytes(item), call)) for item in items]
        said = [answer for task in tasks if (answer := task.result()) is not None]
        return _encode(said) if said else None

    async def _one(self, message: bytes, call: Call) -> _Success | _Failure | None:
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
        """Serve inside of a span, which becomes the call's own."""
        own = request.traceparent if TRACEPARENT.fullmatch(request.traceparent or "") else call.traceparent
        with tracer.serving(method.name if method else UNKNOWN, own) as span:
            request.traceparent = None
            call = Call(call.identity, call.deadline, span.traceparent, call.transport)
            return await self._serve(request, params, method, call)

    async def _serve(self, request: Request, params: bytes, method: Method | None, call: Call) -> Any:
        if method is None:
            # Who sits on this machine may know what there is; for anybody else it would be a map.
            known = {"methods": sorted(self.methods)} if call.identity and call.identity.trusted else None
            raise RpcError(errors.METHOD_NOT_FOUND, f"no such method: {request.method[:200]}", known)
        _permit(call, method)
        positional, named = _arguments(method, params)
        if self.pending >= self._max_pending:
            raise RpcError(errors.BUSY)
        deadline = _earliest(call.deadline, request.deadline, self._longest_s)
        if deadline is not None and deadline <= time.monotonic():
            raise RpcError(errors.DEADLINE_EXCEEDED)  # nobody waits for it any more
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
    except Exception as error:  # of a `__post_init__` or an Enum's `_missing_`
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
        # Encoded here, while it can still be told what was wrong with it.
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
        raise _internal(method, error) from None  # of something that the method waited for
    except (Exception, SystemExit) as error:
        raise _internal(method, error) from None


def _sendable(method: Method, error: RpcError) -> RpcError:
    """Return an error of the app's as it can be sent; an internal one where it is none of JSON-RPC's."""
    try:
        code, message = msgspec.convert((error.code, error.message), tuple[int, str])
        _encode(message)
        return RpcError(code, message, None if error.data is None else msgspec.Raw(_encode(error.data)))
    except Exception as wrong:
        return _internal(method, wrong)


def _internal(method: Method, error: BaseException) -> RpcError:
    """Return what the caller may know of a failure: a number to look for in the log, where the rest is."""
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


def _earliest(deadline: float | None, wanted_s: float | None, longest_s: float | None) -> float | None:
    """Return the first of the deadlines; the last two are in seconds from now."""
    spans = [seconds for seconds in (wanted_s, longest_s) if seconds is not None]
    moments = [time.monotonic() + max(min(spans), 0.0)] if spans else []
    return min([*moments, *([deadline] if deadline is not None else [])], default=None)


def _failure(id: Any, error: RpcError) -> _Failure:
    return _Failure(_Error(error.code, error.message, error.data), id)


def _not_a_request(message: bytes, error: msgspec.ValidationError) -> _Failure:
    """Return the answer to what is no request, with its id as far as it has one."""
    id: Id = None
    try:
        msgspec.json.decode(message, type=msgspec.Raw)  # to the end, where there may be more amiss
        id = msgspec.json.decode(message, type=_OnlyId).id
    except msgspec.ValidationError:
        pass
    except UNREADABLE:
        return _failure(None, RpcError(errors.PARSE_ERROR))
    return _failure(id, RpcError(errors.INVALID_REQUEST, f"not a request: {error}"))


class _OnlyId(msgspec.Struct):
    id: Id = None
