from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Optional

import pytest

from omnitron.host.config import Config
from omnitron.host.container import build, service_classes
from omnitron.host.context import Context
from omnitron.host.decorators import service, topology
from omnitron.host.rpc.methods import ServiceError
from tests.support.host_context import context

if TYPE_CHECKING:
    from decimal import Decimal


def module(**names: Any) -> ModuleType:
    made = ModuleType("made")
    vars(made).update(names)
    return made


def refused(*classes: type) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        build(classes, context())
    return caught.value


def line_of(cls: type) -> int:
    return inspect.getsourcelines(cls)[1]


class Unmarked:
    pass


@service
class Clock:
    pass


@service
class Prices:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock


@service
class Orders:
    def __init__(self, prices: Prices, *, clock: Clock) -> None:
        self.prices, self.clock = prices, clock


# Which


def test_the_services_are_the_marked_classes_of_a_namespace_in_its_order() -> None:
    class Derived(Clock):
        pass

    names = {"Orders": Orders, "Again": Orders, "Imported": Clock, "Unmarked": Unmarked, "one": Clock(), "D": Derived}
    assert service_classes(module(**names)) == [Orders, Clock]
    assert service_classes(module(x=1, y=None, z=[], t=topology("Orders"))) == []


def test_a_service_and_one_that_derives_from_it_are_two() -> None:
    @service("Better")
    class Better(Clock):
        pass

    made = build(service_classes(module(a=Clock, b=Better)), context())
    assert {name: type(one) for name, one in made.items()} == {"Clock": Clock, "Better": Better}


def test_two_of_one_name_are_told_with_their_places() -> None:
    @service("Clock")
    class Watch:
        pass

    with pytest.raises(ServiceError) as caught:
        service_classes(module(a=Clock, b=Watch))
    assert caught.value.brief == (
        f"cannot serve Clock: {Watch.__qualname__} ({__file__}:{line_of(Watch)}) and "
        f"Clock ({__file__}:{line_of(Clock)}) have this name"
    )


# What they are given


def test_each_is_made_once_and_after_what_it_needs() -> None:
    made: Any = build([Orders, Clock, Prices], context())
    assert list(made) == ["Orders", "Clock", "Prices"]
    assert made["Orders"].prices is made["Prices"]
    assert made["Orders"].clock is made["Prices"].clock is made["Clock"]


def test_everything_that_can_be_asked_for() -> None:
    @service
    class Everything:
        def __init__(
            self,
            context: Context,
            config: Config,
            logger: logging.Logger,
            prices: Annotated[Unmarked, topology("Prices")],
            clock: Annotated[Clock, "a remark"],
            perhaps: Optional[Config] = None,  # noqa: UP045
            either: Unmarked | Clock | None = None,
            own: int = 3,
            nothing: Unmarked | None = None,
            untyped: Any = "x",
            *args: Any,
            **more: Any,
        ) -> None:
            self.given = locals()

    here = context()
    made: Any = build([Everything, Clock], here)
    given = {key: value for key, value in made["Everything"].given.items() if key != "self"}
    assert given == {
        "context": here,
        "config": here.config,
        "logger": here.logger,
        "prices": ("proxy", "Prices", Unmarked),
        "clock": made["Clock"],
        "perhaps": here.config,
        "either": made["Clock"],
        "own": 3,
        "nothing": None,
        "untyped": "x",
        "args": (),
        "more": {},
    }


def test_a_dataclass_is_a_service_too() -> None:
    @service
    @dataclass
    class Data:
        clock: Clock
        size: int = 1

    made: Any = build([Clock, Data], context())
    assert made["Data"].clock is made["Clock"]


def test_an_inherited_constructor_is_used() -> None:
    @service
    class Cheap(Prices):
        pass

    made: Any = build([Cheap, Clock], context())
    assert made["Cheap"].clock is made["Clock"]


# What goes wrong


@service
class Wanting:
    def __init__(self, clock: Clock, size: int) -> None: ...


@service
class Untyped:
    def __init__(self, clock) -> None: ...  # type: ignore[no-untyped-def]


@service
class Unreadable:
    def __init__(self, price: Decimal) -> None: ...


@service
class Unserved:
    def __init__(self, one: Unmarked) -> None: ...


@pytest.mark.parametrize(
    ("cls", "why"),
    [
        (Wanting, "there is no value for its parameter 'size'"),
        (Untyped, "there is no value for its parameter 'clock'"),
        (Unserved, "there is no value for its parameter 'one'"),
        (Unreadable, "its annotations cannot be read: name 'Decimal' is not defined"),
    ],
)
def test_what_cannot_be_made_is_told_with_its_place(cls: type, why: str) -> None:
    assert refused(cls, Clock).brief == f"cannot make {cls.__name__} ({__file__}:{line_of(cls)}): {why}"


def test_a_class_without_a_text_is_told_by_its_module() -> None:
    def init(self: Any, size: int) -> None: ...

    made = service(type("Made", (), {"__init__": init, "__module__": "nowhere"}))
    assert refused(made).brief == "cannot make Made (nowhere): there is no value for its parameter 'size'"


@service
class Hen:
    def __init__(self, egg: Egg) -> None: ...


@service
class Egg:
    def __init__(self, nest: Nest) -> None: ...


@service
class Nest:
    def __init__(self, hen: Hen) -> None: ...


@service
class Farm:
    def __init__(self, hen: Hen) -> None: ...


@service
class Narcissus:
    def __init__(self, other: Narcissus) -> None: ...


@pytest.mark.parametrize(
    ("classes", "circle"),
    [
        ((Farm, Hen, Egg, Nest), "Hen needs Egg needs Nest needs Hen"),
        ((Narcissus,), "Narcissus needs Narcissus"),
    ],
)
def test_a_circle_is_told(classes: tuple[type, ...], circle: str) -> None:
    begins: type = globals()[circle.split()[0]]
    brief = f"cannot make the services: {circle} ({__file__}:{line_of(begins)})"
    assert refused(*classes).brief == brief


def test_an_error_of_a_constructor_passes() -> None:
    @service
    class Broken:
        def __init__(self) -> None:
            raise LookupError("no disk")

    with pytest.raises(LookupError, match="no disk"):
        build([Broken], context())
