from __future__ import annotations

import asyncio
import datetime
import json
import logging
import time
import tracemalloc
import uuid
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitron.host.auth.identity import Identity, requires
from omnitron.host.decorators import service
from omnitron.host.rpc import errors
from omnitron.host.rpc.calls import Call, current_call
from omnitron.host.rpc.dispatch import MAX_BATCH, Dispatcher
from omnitron.host.rpc.errors import RpcError
from omnitron.host.rpc.methods import table

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER_TRACE = "00-11111111111111111111111111111111-2222222222222222-00"
SECRET = "hunter2"
NOBODY = Call()


def serving(*services: object, **how: Any) -> Dispatcher:
    return Dispatcher(table({str(number): one for number, one in enumerate(services)}), **how)


async def answer(dispatcher: Dispatcher, message: Any, call: Call = NOBODY) -> Any:
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    said = await dispatcher.answer(raw, call)
    assert dispatcher.pending == 0
    return None if said is None else json.loads(said)


def ask(dispatcher: Dispatcher, message: Any, call: Call = NOBODY) -> Any:
    return asyncio.run(answer(dispatcher, message, call))


def request(method: str, params: Any = None, **more: Any) -> dict[str, Any]:
    given = {} if params is None else {"params": params}
    return {"jsonrpc": "2.0", "method": method, **given, "id": 1, **more}


def result(dispatcher: Dispatcher, method: str, params: Any = None, call: Call = NOBODY, **more: Any) -> Any:
    said = ask(dispatcher, request(method, params, **more), call)
    assert "error" not in said, said
    return said["result"]


def error(dispatcher: Dispatcher, method: str, params: Any = None, call: Call = NOBODY, **more: Any) -> tuple[int, str]:
    said = ask(dispatcher, request(method, params, **more), call)
    assert SECRET not in json.dumps(said)
    return said["error"]["code"], said["error"]["message"]


def kind(said: Any) -> Any:
    """An answer with nothing of an error but its code."""
    if isinstance(said, list):
        return [kind(one) for one in said]
    return {**said, "error": said["error"]["code"]} if said and "error" in said else said


# The examples of the specification


@service
class Example:
    async def subtract(self, minuend: int, subtrahend: int) -> int:
        return minuend - subtrahend

    async def sum(self, a: int, b: int, c: int) -> int:
        return a + b + c

    async def get_data(self) -> tuple[str, int]:
        return "hello", 5

    async def update(self, a: int, b: int, c: int, d: int, e: int) -> None: ...

    async def notify_hello(self, a: int) -> None: ...


EXAMPLE = Dispatcher({name.removeprefix("Example."): one for name, one in table({"": Example()}).items()})


def ok(value: Any, id: Any) -> Any:
    return {"jsonrpc": "2.0", "result": value, "id": id}


def bad(code: int, id: Any = None) -> Any:
    return {"jsonrpc": "2.0", "error": code, "id": id}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}', ok(19, 1)),
        ('{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}', ok(-19, 2)),
        (
            '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
            ok(19, 3),
        ),
        (
            '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
            ok(19, 4),
        ),
        ('{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', None),
        ('{"jsonrpc": "2.0", "method": "foobar"}', None),
        ('{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', bad(-32601, "1")),
        ('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', bad(-32700)),
        ('{"jsonrpc": "2.0", "method": 1, "params": "bar"}', bad(-32600)),
        (
            '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"',
            bad(-32700),
        ),
        ("[]", bad(-32600)),
        ("[1]", [bad(-32600)]),
        ("[1,2,3]", [bad(-32600)] * 3),
        (
            """[
                {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
                {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
                {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
                {"foo": "boo"},
                {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
                {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
            ]""",
            [ok(7, "1"), ok(19, "2"), bad(-32600), bad(-32601, "5"), ok(["hello", 5], "9")],
        ),
        (
            """[
                {"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
                {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}
            ]""",
            None,
        ),
    ],
)
def test_the_examples_of_the_specification(message: str, expected: Any) -> None:
    assert kind(ask(EXAMPLE, message.encode())) == expected


# The rest of its rules


@pytest.mark.parametrize("id", [0, 1, -7, 2**64, 1.5, "", "a", 'q"\n☃', None])
def test_an_answer_has_the_id_of_its_request(id: Any) -> None:
    assert ask(EXAMPLE, request("get_data", id=id)) == ok(["hello", 5], id)
    assert ask(EXAMPLE, request("nothing", id=id))["id"] == id
    assert ask(EXAMPLE, {"id": id, "method": "get_data"})["id"] == id


@pytest.mark.parametrize("id", [True, [], {}, [1], {"a": 1}])
def test_an_id_of_another_type_is_refused(id: Any) -> None:
    assert kind(ask(EXAMPLE, request("get_data", id=id))) == bad(-32600)


@pytest.mark.parametrize(
    "message",
    [
        b'"a request"',
        b"null",
        b"{}",
        b'{"jsonrpc":"2.0","id":1}',
        b'{"method":"get_data","id":1}',
        b'{"jsonrpc":"1.0","method":"get_data","id":1}',
        b'{"jsonrpc":2.0,"method":"get_data","id":1}',
        b'{"jsonrpc":"2.0","method":null,"id":1}',
        b'{"jsonrpc":"2.0","method":"get_data","params":"text","id":1}',
        b'{"jsonrpc":"2.0","method":"get_data","params":null,"id":1}',
        b'{"jsonrpc":"2.0","method":"get_data","params":3,"id":1}',
        b'{"jsonrpc":"2.0","method":"get_data","deadline":"soon","id":1}',
        b'{"jsonrpc":"2.0","method":"get_data","traceparent":5,"id":1}',
    ],
)
def test_json_that_is_no_request_is_told_so(message: bytes) -> None:
    id = 1 if b'"id":1' in message else None
    assert kind(ask(EXAMPLE, message)) == bad(-32600, id)
    assert kind(ask(EXAMPLE, b"[" + message + b"]")) == [bad(-32600, id)]


@pytest.mark.parametrize("message", [b'{"method":"get_data"}', b'{"jsonrpc":"2.0","method":"get_data","params":1}'])
def test_an_invalid_notification_is_answered(message: bytes) -> None:
    assert kind(ask(EXAMPLE, message)) == bad(-32600)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"  ",
        b"{",
        b"nil",
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"jsonrpc":"2.0","method":"\xff","id":1}',
        b'{"jsonrpc":"2.0","method":"\\ud800","id":1}',
        b'{"jsonrpc":"2.0","method":1,"id":1',
        b'{"jsonrpc":"2.0","method":"get_data","id":1} {}',
        b"1 2",
        b"[1",
        b"[1,]",
        b"[1]]",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda message: repr(message[:40]),
)
def test_what_is_no_json_is_told_so(message: bytes) -> None:
    assert kind(ask(EXAMPLE, message)) == bad(-32700)


def test_space_around_a_message_is_of_no_interest() -> None:
    assert ask(EXAMPLE, b' \r\n\t{"jsonrpc":"2.0","method":"get_data","id":1}\n')["result"] == ["hello", 5]
    assert len(ask(EXAMPLE, b'\n [ {"jsonrpc":"2.0","method":"get_data","id":1} ]\r\n')) == 1


def test_a_batch_in_a_batch_is_no_request() -> None:
    assert kind(ask(EXAMPLE, [[request("get_data")]])) == [bad(-32600)]


def test_a_batch_has_a_limit_and_costs_no_more_beyond_it() -> None:
    full = [request("get_data", id=number) for number in range(MAX_BATCH)]
    assert [one["id"] for one in ask(EXAMPLE, full)] == list(range(MAX_BATCH))
    assert kind(ask(EXAMPLE, [*full, 1])) == bad(-32600)
    flood = b"[" + b"0," * 500_000 + b"0]"
    tracemalloc.start()
    assert kind(ask(EXAMPLE, flood)) == bad(-32600)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * len(flood)


# Parameters and results


class Order(msgspec.Struct, forbid_unknown_fields=True):
    item: str
    count: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1


@dataclass
class Point:
    x: float
    y: float = 0.0


class Address(TypedDict):
    city: str


class Color(Enum):
    RED = "red"

    @classmethod
    def _missing_(cls, value: object) -> Any:
        raise KeyError(SECRET)


class Picky(msgspec.Struct):
    a: int

    def __post_init__(self) -> None:
        if self.a == 1:
            raise ValueError("a must not be 1")
        if self.a == 2:
            raise LookupError(SECRET)


@service
class Typed:
    async def defaults(self, a: int, b: int = 2) -> list[int]:
        return [a, b]

    async def words(self, a: int, *, b: int = 2, c: int) -> list[int]:
        return [a, b, c]

    async def order(self, order: Order) -> Order:
        return order

    async def point(self, point: Point) -> Point:
        return point

    async def address(self, address: Address) -> Address:
        return address

    async def choice(self, choice: Literal["a", "b"]) -> str:
        return choice

    async def moment(self, at: datetime.datetime) -> datetime.datetime:
        return at + datetime.timedelta(hours=1)

    async def id(self, id: uuid.UUID) -> uuid.UUID:
        assert isinstance(id, uuid.UUID)
        return id

    async def bounded(self, text: Annotated[str, msgspec.Meta(max_length=3)]) -> str:
        return text

    async def many(self, orders: dict[str, list[Order]]) -> int:
        return sum(order.count for orders in orders.values() for order in orders)

    async def maybe(self, value: int | None = None) -> int | None:
        return value

    async def number(self, value: float) -> float:
        assert isinstance(value, float)
        return value

    async def picky(self, picky: Picky) -> int:
        return picky.a

    async def color(self, color: Color) -> Color:
        return color

    async def anything(self, value: Any) -> Any:
        return value


TYPED = serving(Typed())
MOMENT = "2024-02-29T12:00:00Z"
ID = "b6d7c5a0-f8c1-4ec9-a8f5-d9d1f2a4c7e3"


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        ("defaults", [1], [1, 2]),
        ("defaults", [1, 3], [1, 3]),
        ("defaults", {"a": 1}, [1, 2]),
        ("defaults", {"b": 3, "a": 1}, [1, 3]),
        ("words", {"a": 1, "c": 3}, [1, 2, 3]),
        ("words", {"c": 3, "b": 4, "a": 1}, [1, 4, 3]),
        ("words", [1, 4, 3], [1, 4, 3]),
        ("order", [{"item": "pear"}], {"item": "pear", "count": 1}),
        ("order", {"order": {"item": "pear", "count": 10}}, {"item": "pear", "count": 10}),
        ("point", [{"x": 1, "y": 2}], {"x": 1.0, "y": 2.0}),
        ("address", [{"city": "Bern"}], {"city": "Bern"}),
        ("choice", ["b"], "b"),
        ("moment", [MOMENT], "2024-02-29T13:00:00Z"),
        ("id", [ID], ID),
        ("bounded", ["abc"], "abc"),
        ("many", [{"a": [{"item": "x", "count": 2}], "b": [{"item": "y"}]}], 3),
        ("maybe", [], None),
        ("maybe", [None], None),
        ("maybe", {"value": 3}, 3),
        ("number", [1], 1.0),
        ("picky", [{"a": 3}], 3),
        ("color", ["red"], "red"),
        ("anything", [{"a": [1, None, "x"]}], {"a": [1, None, "x"]}),
    ],
)
def test_parameters_that_fit(method: str, params: Any, expected: Any) -> None:
    assert result(TYPED, f"Typed.{method}", params) == expected


@pytest.mark.parametrize(
    ("method", "params", "why"),
    [
        ("defaults", None, "`a`"),
        ("defaults", {}, "`a`"),
        ("defaults", [], "1"),
        ("defaults", [1, 2, 3], "2"),
        ("defaults", {"a": 1, "c": 3}, "`c`"),
        ("defaults", {"a": "1"}, "$.a"),
        ("defaults", ["1"], "$[0]"),
        ("defaults", [True], "$[0]"),
        ("defaults", [1.5], "$[0]"),
        ("defaults", [None], "$[0]"),
        ("words", [1], "3"),
        ("words", {"a": 1}, "`c`"),
        ("order", ["pear"], "$[0]"),
        ("order", [{"item": "pear", "count": 0}], "$[0].count"),
        ("order", [{"item": "pear", "count": 11}], "$[0].count"),
        ("order", [{"item": "pear", "price": 0}], "`price`"),
        ("point", [{"y": 1}], "`x`"),
        ("address", [{"city": 1}], "$[0].city"),
        ("choice", ["c"], "$[0]"),
        ("moment", ["yesterday"], "$[0]"),
        ("id", ["7"], "$[0]"),
        ("bounded", ["abcd"], "$[0]"),
        ("many", [{"a": [{"item": 1}]}], "$[0]"),
        ("number", ["1"], "$[0]"),
        ("picky", [{"a": 1}], "a must not be 1"),
        ("anything", [], "1"),
    ],
)
def test_parameters_that_do_not_fit(method: str, params: Any, why: str) -> None:
    code, message = error(TYPED, f"Typed.{method}", params)
    assert code == errors.INVALID_PARAMS
    assert message.startswith("wrong parameters: ")
    assert why in message


@pytest.mark.parametrize("params", [b'["\xff"]', b'["\\ud800"]', b"[" + b"[" * 100_000 + b"]" * 100_001])
def test_parameters_that_are_no_text(params: bytes) -> None:
    message = b'{"jsonrpc":"2.0","method":"Typed.anything","params":%b,"id":1}' % params
    assert ask(TYPED, message)["error"]["code"] in (errors.INVALID_PARAMS, errors.PARSE_ERROR)


@pytest.mark.parametrize(("method", "params"), [("picky", [{"a": 2}]), ("color", ["blue"])])
def test_a_type_of_the_app_that_fails_is_its_fault(method: str, params: Any) -> None:
    assert error(TYPED, f"Typed.{method}", params)[0] in (errors.INTERNAL_ERROR, errors.INVALID_PARAMS)


def giving(value: Any, annotation: Any) -> Dispatcher:
    async def it(self: object) -> Any:
        return value

    it.__annotations__["return"] = annotation
    return serving(service("S")(type("S", (), {"it": it}))())


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        ((1, 2), list[int], [1, 2]),
        (None, None, None),
        ({"city": "Bern", "secret": SECRET}, Address, {"city": "Bern"}),
        (Order("pear"), Order, {"item": "pear", "count": 1}),
        ({"x": 1, "y": 2}, Point, {"x": 1.0, "y": 2.0}),
        (Point(1), Point, {"x": 1, "y": 0.0}),
        (Color.RED, Any, "red"),
        ({1: 2}, Any, {"1": 2}),
        (b"abc", Any, "YWJj"),
        (float("nan"), float, None),
    ],
)
def test_results_that_fit(value: Any, annotation: Any, expected: Any) -> None:
    assert result(giving(value, annotation), "S.it") == expected


def circle() -> list[Any]:
    around: list[Any] = []
    around.append(around)
    return around


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (SECRET, int),
        ([SECRET], list[int]),
        (None, str),
        ({"x": SECRET}, Point),
        (object(), Any),
        ("\ud800", Any),
        ({(1, 2): 3}, Any),
        (10**5000, Any),
        (circle(), Any),
        (lambda: SECRET, Any),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_result_that_breaks_its_promise_is_an_internal_error(value: Any, annotation: Any) -> None:
    assert error(giving(value, annotation), "S.it") == (errors.INTERNAL_ERROR, "internal error")


# Errors


def failing(raised: BaseException, **how: Any) -> Dispatcher:
    @service
    class S:
        async def it(self) -> None:
            raise raised

    return serving(S(), **how)


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "raised",
    [
        ValueError(SECRET),
        KeyError(SECRET),
        UnprintableError(),
        TimeoutError(SECRET),
        ExceptionGroup(SECRET, [ValueError(SECRET)]),
        SystemExit(SECRET),
        asyncio.CancelledError(SECRET),
        msgspec.ValidationError(SECRET),
        RecursionError(SECRET),
        StopAsyncIteration(SECRET),
    ],
    ids=lambda raised: type(raised).__name__,
)
@pytest.mark.parametrize("more", [{}, {"deadline": 5}])
def test_a_failure_shows_the_caller_nothing_but_a_number_for_the_log(
    raised: BaseException, more: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    said = ask(failing(raised), request("S.it", **more))
    mark = said["error"]["data"].pop("errorId")
    assert said["error"] == {"code": errors.INTERNAL_ERROR, "message": "internal error", "data": {}}
    [record] = caplog.records
    assert record.getMessage() == f"S.it failed [{mark}]"
    assert record.exc_info and record.exc_info[1] is raised


def test_a_failure_in_a_batch_is_no_others_business() -> None:
    both = Dispatcher({**TYPED.methods, **failing(SystemExit(1)).methods})
    said = ask(both, [request("S.it"), request("Typed.defaults", [1], id=2)])
    assert [said[0]["error"]["code"], said[1]["result"]] == [errors.INTERNAL_ERROR, [1, 2]]


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (RpcError(7, "sold out", {"left": 0}), {"code": 7, "message": "sold out", "data": {"left": 0}}),
        (RpcError(7, "sold out"), {"code": 7, "message": "sold out"}),
        (RpcError(errors.FORBIDDEN), {"code": errors.FORBIDDEN, "message": "not permitted"}),
        (RpcError(7, "x", Order("pear")), {"code": 7, "message": "x", "data": {"item": "pear", "count": 1}}),
        (RpcError(7, "x", False), {"code": 7, "message": "x", "data": False}),
    ],
)
def test_an_error_of_the_app_passes_as_it_is(raised: RpcError, expected: Any) -> None:
    dispatcher = failing(raised)
    for _ in range(2):
        assert ask(dispatcher, request("S.it"))["error"] == expected


@pytest.mark.parametrize(
    "raised",
    [
        RpcError(7, "x", object()),
        RpcError(7, "x", circle()),
        RpcError(7, "\ud800"),
        RpcError("7", "x"),  # type: ignore[arg-type]
        RpcError(7, ValueError(SECRET)),  # type: ignore[arg-type]
        RpcError(None),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_an_error_that_cannot_be_sent_is_an_internal_one(raised: RpcError, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)  # pytest-xdist cannot send half a surrogate pair either
    assert error(failing(raised), "S.it") == (errors.INTERNAL_ERROR, "internal error")


def test_every_code_has_its_sentence() -> None:
    codes = [value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)]
    assert sorted(codes) == sorted(errors.MESSAGES)
    assert all(RpcError(code).message == errors.MESSAGES[code] for code in codes)


def test_a_notification_is_never_answered() -> None:
    for raised in (ValueError(), RpcError(7), SystemExit()):
        message = request("S.it")
        del message["id"]
        assert ask(failing(raised), message) is None


# Deadlines


@service
class Slow:
    def __init__(self) -> None:
        self.begun = 0

    async def sleep(self, seconds: float = 10) -> str:
        self.begun += 1
        await asyncio.sleep(seconds)
        return "woke"

    async def left(self) -> float | None:
        self.begun += 1
        call = current_call()
        return call.remaining() if call else None

    async def stubborn(self) -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            raise ValueError(SECRET) from None
        return ""


def test_a_call_ends_at_its_deadline() -> None:
    began = time.monotonic()
    for how, call, more in (
        ({}, NOBODY, {"deadline": 0.02}),
        ({}, Call(deadline=time.monotonic() + 0.02), {}),
        ({"longest_s": 0.02}, NOBODY, {}),
        ({"longest_s": 0.02}, NOBODY, {"deadline": 1e308}),
        ({"longest_s": 5}, Call(deadline=time.monotonic() + 9), {"deadline": 0.02}),
    ):
        said = error(serving(Slow(), **how), "Slow.sleep", call=call, **more)
        assert said == (errors.DEADLINE_EXCEEDED, "not done within the deadline")
    assert time.monotonic() - began < 9


@pytest.mark.parametrize("deadline", [0, -0.0, -1, -1e308])
def test_a_call_for_which_nobody_waits_does_not_begin(deadline: float) -> None:
    slow = Slow()
    assert error(serving(slow), "Slow.left", deadline=deadline)[0] == errors.DEADLINE_EXCEEDED
    assert error(serving(slow), "Slow.left", call=Call(deadline=time.monotonic()))[0] == errors.DEADLINE_EXCEEDED
    assert slow.begun == 0


@pytest.mark.parametrize("deadline", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_a_deadline_that_is_no_number_of_json_is_refused(deadline: bytes) -> None:
    message = b'{"jsonrpc":"2.0","method":"Slow.left","id":1,"deadline":%b}' % deadline
    assert ask(serving(Slow()), message)["error"]["code"] in (errors.PARSE_ERROR, errors.INVALID_REQUEST)


@pytest.mark.parametrize(
    ("longest_s", "call_s", "deadline", "expected"),
    [
        (None, None, None, None),
        (30, None, None, 30),
        (None, 20, None, 20),
        (None, None, 10, 10),
        (30, 20, 10, 10),
        (10, 20, 30, 10),
        (30, 10, 20, 10),
        (30, None, 1e308, 30),
    ],
)
def test_a_service_sees_the_earliest_deadline(longest_s: Any, call_s: Any, deadline: Any, expected: Any) -> None:
    call = Call(deadline=None if call_s is None else time.monotonic() + call_s)
    left = result(serving(Slow(), longest_s=longest_s), "Slow.left", call=call, deadline=deadline)
    assert left == (None if expected is None else pytest.approx(expected, abs=1))


def test_a_method_that_fails_when_its_time_is_over_has_failed() -> None:
    assert error(serving(Slow()), "Slow.stubborn", deadline=0.02)[0] == errors.INTERNAL_ERROR


# What travels with a call


@service
class Who:
    async def trace(self) -> str | None:
        await asyncio.sleep(0)
        call = current_call()
        return call.traceparent if call else None

    async def transport(self) -> str:
        call = current_call()
        return call.transport if call else ""

    @requires("admin")
    async def admin(self) -> str:
        call = current_call()
        return call.identity.subject if call and call.identity else ""

    @requires()
    async def anybody(self) -> str:
        return "somebody"


def test_a_trace_goes_on_with_a_span_of_its_own() -> None:
    own = result(serving(Who()), "Who.trace", traceparent=TRACE)
    assert (own[:36], own[52:]) == (TRACE[:36], TRACE[52:])
    assert own != TRACE


@pytest.mark.parametrize(
    "malformed",
    [
        None,
        "",
        "x",
        TRACE.upper(),
        TRACE + "\n",
        TRACE + "-",
        "01" + TRACE[2:],
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"00-{'1' * 32}-{'0' * 16}-01",
        "0" * 100_000,
    ],
)
def test_a_malformed_trace_is_ignored(malformed: str | None) -> None:
    assert result(serving(Who()), "Who.trace", traceparent=malformed) is None
    assert result(serving(Who()), "Who.trace", call=Call(traceparent=TRACE), traceparent=malformed) == TRACE


def test_calls_of_a_batch_do_not_see_each_other() -> None:
    batch = [request("Who.trace", id=1, traceparent=TRACE), request("Who.trace", id=2)]
    batch += [request("Who.trace", id=3, traceparent=OTHER_TRACE), request("Slow.left", id=4, deadline=9)]
    batch += [request("Slow.left", id=5)]
    said = [one["result"] for one in ask(serving(Who(), Slow()), batch)]
    assert [one and one[3:35] for one in said[:3]] == [TRACE[3:35], None, OTHER_TRACE[3:35]]
    assert [one is None for one in said[3:]] == [False, True]


def test_a_call_is_not_seen_outside() -> None:
    async def main() -> None:
        await answer(serving(Who()), [request("Who.trace", traceparent=TRACE)])
        await asyncio.create_task(answer(serving(Who()), request("Who.trace", traceparent=TRACE)))
        assert current_call() is None

    asyncio.run(main())


def test_a_service_knows_the_transport() -> None:
    assert result(serving(Who()), "Who.transport", call=Call(transport="unix")) == "unix"


ADMIN = Identity("ada", frozenset({"admin"}))


@pytest.mark.parametrize(
    ("method", "identity", "expected"),
    [
        ("admin", None, errors.UNAUTHENTICATED),
        ("admin", Identity("bob"), errors.FORBIDDEN),
        ("admin", Identity("bob", frozenset({"Admin", "user"})), errors.FORBIDDEN),
        ("admin", ADMIN, "ada"),
        ("admin", Identity("uid:0", trusted=True), "uid:0"),
        ("anybody", None, errors.UNAUTHENTICATED),
        ("anybody", Identity("bob"), "somebody"),
    ],
)
def test_roles(method: str, identity: Identity | None, expected: Any) -> None:
    said = ask(serving(Who()), request(f"Who.{method}"), Call(identity))
    assert said.get("result", said.get("error", {}).get("code")) == expected


def test_parameters_are_not_looked_at_before_roles() -> None:
    assert error(serving(Who()), "Who.admin", [1, 2, 3])[0] == errors.UNAUTHENTICATED


# Load


def test_too_many_calls_are_refused_and_not_queued() -> None:
    async def main() -> None:
        slow = Slow()
        dispatcher = serving(slow, max_pending=2)
        message = json.dumps(request("Slow.sleep", [0.05])).encode()
        tasks = [asyncio.create_task(dispatcher.answer(message, NOBODY)) for _ in range(5)]
        await asyncio.sleep(0.01)
        assert (dispatcher.pending, slow.begun) == (2, 2)
        said = [json.loads(raw) for raw in await asyncio.gather(*tasks) if raw]
        assert [one.get("result", one.get("error", {}).get("code")) for one in said] == ["woke"] * 2 + [errors.BUSY] * 3
        assert (await answer(dispatcher, request("Slow.sleep", [0])))["result"] == "woke"

    asyncio.run(main())


@pytest.mark.parametrize("batch", [False, True])
def test_a_call_that_is_cancelled_leaves_nothing_behind(batch: bool) -> None:
    async def main() -> None:
        dispatcher = serving(Slow())
        one = request("Slow.sleep")
        message = json.dumps([one, one] if batch else one).encode()
        task = asyncio.create_task(dispatcher.answer(message, NOBODY))
        await asyncio.sleep(0.01)
        assert dispatcher.pending == (2 if batch else 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert dispatcher.pending == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_every_call_is_told_to_the_observer() -> None:
    told: list[tuple[str, str, float]] = []
    dispatcher = serving(
        Typed(), Slow(), Who(), observe=lambda method, outcome, seconds: told.append((method, outcome, seconds))
    )
    for method, params, more in (
        ("Typed.defaults", [1], {}),
        ("Typed.defaults", [], {}),
        ("Typed.nothing" + "x" * 1000, [], {}),
        ("Slow.sleep", [], {"deadline": 0.02}),
        ("Who.admin", [], {}),
    ):
        ask(dispatcher, request(method, params, **more))
    assert [(method, outcome) for method, outcome, _ in told] == [
        ("Typed.defaults", "ok"),
        ("Typed.defaults", "-32602"),
        ("unknown", "-32601"),
        ("Slow.sleep", "-32001"),
        ("Who.admin", "-32002"),
    ]
    assert 0.02 <= told[3][2] < 2
    assert all(0 <= seconds < 2 for _, _, seconds in told)


def test_what_can_be_called_is_told_to_this_machine_alone() -> None:
    callers = [Identity("uid:0", trusted=True), ADMIN, None]
    said = [ask(serving(Who()), request("Who.none"), Call(identity))["error"].get("data") for identity in callers]
    assert said == [{"methods": ["Who.admin", "Who.anybody", "Who.trace", "Who.transport"]}, None, None]


def test_an_unknown_method_does_not_make_the_answer_grow() -> None:
    code, message = error(TYPED, "x" * 1_000_000)
    assert (code, len(message) < 300) == (errors.METHOD_NOT_FOUND, True)


# Whatever comes


@service
class Strict:
    """Notes what reaches it and should not have."""

    wrong: list[Any] = []

    async def add(self, a: int, b: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0) -> int:
        self.wrong += [value for value in (a, b) if type(value) is not int]
        self.wrong += [b] if not 0 <= b <= 100 else []
        return a + b

    async def join(self, words: list[str], *, by: Literal[" ", "-"] = " ") -> str:
        self.wrong += [value for value in words if type(value) is not str]
        self.wrong += [by] if by not in (" ", "-") else []
        return by.join(words)

    async def order(self, order: Order) -> Order:
        good = type(order) is Order and type(order.item) is str and type(order.count) is int and 1 <= order.count <= 10
        self.wrong += [] if good else [order]
        return order

    async def anything(self, value: Any = None) -> Any:
        return value


STRICT = serving(Strict())
VALID = [
    request("Strict.add", [1, 2]),
    request("Strict.add", {"a": 1, "b": 2}, id="x", deadline=5, traceparent=TRACE),
    request("Strict.join", {"words": ["a", "b"], "by": "-"}),
    request("Strict.order", [{"item": "pear", "count": 3}]),
    request("Strict.anything", [{"a": [1.5, None, True, "é"]}], id=None),
    {"jsonrpc": "2.0", "method": "Strict.add", "params": [1]},
    [request("Strict.add", [1, 2]), request("Strict.anything"), request("Strict.order", [{"item": "x"}])],
]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["2.0", "Strict.add", "Strict.order", "jsonrpc", "method", "params", "id"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


def is_answer(said: Any) -> bool:
    if isinstance(said, list):
        return bool(said) and not any(isinstance(one, list) for one in said) and all(map(is_answer, said))
    assert said["jsonrpc"] == "2.0" and len(said) == 3
    assert said["id"] is None or (isinstance(said["id"], str | int | float) and not isinstance(said["id"], bool))
    if "error" in said:
        assert type(said["error"]["code"]) is int and said["error"]["message"]
        assert said["error"]["code"] != errors.INTERNAL_ERROR
    return "error" in said or "result" in said


def check_answer(message: bytes) -> None:
    said = ask(STRICT, message)
    assert said is None or is_answer(said)
    assert Strict.wrong == []


@given(st.binary())
def test_fuzz_bytes(message: bytes) -> None:
    check_answer(message)


@given(json_values)
def test_fuzz_json(value: Any) -> None:
    check_answer(json.dumps(value).encode())


@given(st.sampled_from(VALID), st.data())
def test_fuzz_members(valid: Any, data: st.DataObject) -> None:
    """A valid request in which one value, however deep, is another."""
    copy = json.loads(json.dumps(valid))
    at: Any = copy
    while True:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            break
        at = at[key]
    at[key] = data.draw(json_values)
    check_answer(json.dumps(copy).encode())


@given(
    st.sampled_from(VALID),
    st.lists(st.tuples(st.integers(0, 300), st.sampled_from("ird"), st.binary(max_size=3)), min_size=1, max_size=4),
)
def test_fuzz_mutations(valid: Any, changes: list[tuple[int, str, bytes]]) -> None:
    """A valid request with bytes inserted, replaced or deleted."""
    message = json.dumps(valid, ensure_ascii=False).encode()
    for place, how, new in changes:
        place %= len(message) + 1
        message = message[:place] + (b"" if how == "d" else new) + message[place + (0 if how == "i" else len(new)) :]
    check_answer(message)
