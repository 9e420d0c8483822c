from __future__ import annotations

from typing import Any

import pytest

from omnitron.host.decorators import Topology, name_of, service, topology


def test_a_service_has_the_name_of_its_class_or_its_own() -> None:
    @service
    class Orders:
        pass

    @service("Bills")
    class Invoices:
        pass

    assert (name_of(Orders), name_of(Invoices)) == ("Orders", "Bills")


def test_a_mark_is_not_inherited() -> None:
    @service
    class Base:
        pass

    class Derived(Base):
        pass

    assert name_of(Derived) is None
    assert name_of(service("Other")(Derived)) == "Other"
    assert name_of(Base) == "Base"


@pytest.mark.parametrize("value", [None, 1, "Orders", object(), int, topology("Orders")])
def test_only_marked_classes_have_a_name(value: object) -> None:
    assert name_of(value) is None


@pytest.mark.parametrize("name", ["", "a.b", 3, None, "rpc", type("rpc", (), {})])
def test_names_that_no_call_could_use_are_refused(name: Any) -> None:
    with pytest.raises(TypeError, match="cannot name a service"):
        service(name)


def test_only_classes_are_services() -> None:
    async def place() -> None:
        pass

    with pytest.raises(TypeError, match="it is not a class"):
        service("Orders")(place)


def test_a_topology_is_a_value() -> None:
    assert topology("Prices") == Topology("Prices")
