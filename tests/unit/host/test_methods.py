from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from omnitron.host.auth.identity import requires
from omnitron.host.decorators import service
from omnitron.host.rpc.methods import Method, ServiceError, table

if TYPE_CHECKING:
    from decimal import Decimal


class Point(msgspec.Struct):
    x: int = 0


class Inherited:
    async def ping(self) -> str:
        return "pong"


@service
class Shapes(Inherited):
    scale = 2

    async def area(self, width: int, height: int = 1) -> int:
        return width * height

    async def untyped(self, value, other=3):  # type: ignore[no-untyped-def]
        return value

    async def _private(self) -> None: ...

    async def __secret(self) -> None: ...

    def sync(self) -> None: ...

    @staticmethod
    async def static() -> None: ...

    @classmethod
    async def of_class(cls) -> None: ...

    async def stream(self) -> Any:
        yield 1

    class Nested:
        async def inside(self) -> None: ...


@service("Other")
class Derived(Shapes):
    async def area(self, width: str) -> str:  # type: ignore[override]
        return width


def of(cls: type, name: str) -> Method:
    return table({"it": cls()})[name]


def test_public_coroutine_methods_are_served_those_of_bases_too() -> None:
    assert set(table({"a": Shapes(), "b": Derived()})) == {
        "Shapes.area",
        "Shapes.ping",
        "Shapes.untyped",
        "Other.area",
        "Other.ping",
        "Other.untyped",
    }


def test_a_public_method_that_cannot_be_served_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    table({"a": Shapes()})
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"Shapes.{name} cannot be called from outside: only an `async def` without `yield` can"
        for name in ("stream", "sync")
    ]


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("Shapes.area", b'{"width": 2}', (2, 1)),
        ("Shapes.area", b'{"height": 3, "width": 2}', (2, 3)),
        ("Shapes.area", b"[2]", (2, 1)),
        ("Shapes.area", b"[2, 3]", (2, 3)),
        ("Shapes.untyped", b'[{"any": ["thing"]}, null]', ({"any": ["thing"]}, None)),
        ("Shapes.ping", b"", ()),
        ("Shapes.ping", b"[]", ()),
        ("Shapes.ping", b"{}", ()),
    ],
)
def test_arguments_come_by_position_or_by_name(name: str, params: bytes, expected: tuple[Any, ...]) -> None:
    assert of(Shapes, name).arguments(params) == (expected, {})


def test_an_override_has_its_own_types() -> None:
    assert of(Derived, "Other.area").arguments(b'["wide"]') == (("wide",), {})


def test_what_can_be_changed_is_not_shared_between_calls() -> None:
    @service
    class Lists:
        async def add(
            self,
            a: list[int] = [1],  # noqa: B006
            b: dict[str, list[int]] = {"x": []},  # noqa: B006
            c: Point = Point(1),  # noqa: B008
        ) -> None: ...

    method = of(Lists, "Lists.add")
    (a, b, c), _ = method.arguments(b"{}")
    a.append(2)
    b["x"].append(2)
    c.x = 2
    assert method.arguments(b"[]") == (([1], {"x": []}, Point(1)), {})


def test_keyword_only_parameters_are_the_last_of_a_list() -> None:
    @service
    class Words:
        async def join(self, first: str, *, between: str = " ", last: str) -> None: ...

    method = of(Words, "Words.join")
    assert method.arguments(b'{"first": "a", "last": "b"}') == (("a",), {"between": " ", "last": "b"})
    assert method.arguments(b'["a", "-", "b"]') == (("a",), {"between": "-", "last": "b"})
    with pytest.raises(msgspec.ValidationError):
        method.arguments(b'["a", "-"]')


def test_roles_of_the_class_and_of_the_method_add_up() -> None:
    @requires("user")
    @service
    class Guarded:
        async def read(self) -> None: ...

        @requires("admin")
        async def write(self) -> None: ...

    @service
    class Open:
        async def read(self) -> None: ...

    methods = table({"a": Guarded(), "b": Open()})
    assert methods["Guarded.read"].roles == {"user"}
    assert methods["Guarded.write"].roles == {"user", "admin"}
    assert methods["Open.read"].roles is None


def elsewhere(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(function)
    async def wrapper(*args: Any) -> Any:
        return await function(*args)

    return wrapper


def test_a_decorated_method_is_described_by_what_it_wraps() -> None:
    @service
    class Decorated:
        @elsewhere
        async def area(self, width: int) -> int:
            return width

    method = of(Decorated, "Decorated.area")
    assert method.arguments(b"[2]") == ((2,), {})
    assert method.result is int


class Unreadable:
    async def it(self, price: Decimal) -> None: ...


class Many:
    async def it(self, *numbers: int) -> None: ...


class Named:
    async def it(self, **numbers: int) -> None: ...


class Mixed:
    async def it(self, point: Point | dict[str, int]) -> None: ...


class Gives:
    async def it(self) -> list[Point | dict[str, int]]: ...


class Wrapped:
    @elsewhere
    async def it(self, *numbers: int) -> None: ...


@pytest.mark.parametrize(
    ("cls", "why"),
    [
        (Unreadable, "its annotations cannot be read: name 'Decimal' is not defined"),
        (Many, "*numbers is not supported: every parameter must have a name"),
        (Named, "*numbers is not supported: every parameter must have a name"),
        (Mixed, "Type unions may not contain more than one dict-like type"),
        (Gives, "Type unions may not contain more than one dict-like type"),
        (Wrapped, "*numbers is not supported: every parameter must have a name"),
    ],
)
def test_what_cannot_be_described_is_told_with_its_place(cls: type, why: str) -> None:
    line = getattr(cls.it, "__wrapped__", cls.it).__code__.co_firstlineno  # type: ignore[attr-defined]
    with pytest.raises(ServiceError) as caught:
        table({"it": service("Bad")(cls)()})
    assert caught.value.brief.startswith(f"cannot serve Bad.it ({__file__}:{line}): {why}")


@pytest.mark.parametrize(
    ("result", "value", "fits"),
    [
        (int, 1, True),
        (int, "1", False),
        (int, True, False),
        (list[int], (1, 2), True),
        (list[int], ["a"], False),
        (Point, Point(1), True),
        (Point, {"x": "a"}, False),
        (None, None, True),
        (None, 0, False),
        (Any, object(), True),
    ],
)
def test_a_result_is_what_its_annotation_promises(result: Any, value: Any, fits: bool) -> None:
    async def it(self: Any) -> Any: ...

    it.__annotations__["return"] = result
    method = of(service("S")(type("S", (), {"it": it})), "S.it")
    if fits:
        method.checked(value)
    else:
        with pytest.raises(msgspec.ValidationError):
            method.checked(value)
