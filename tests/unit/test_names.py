from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitron import names
from omnitron.names import Address, parse_address, shortest

NAME = st.from_regex(names.NAME, fullmatch=True).filter(lambda name: len(name) <= names.MAX_LENGTH)
CHARACTERS = "may hold letters, digits, '_', '-' and '.', and must begin and end with a letter, digit or '_'"


@pytest.mark.parametrize("name", ["a", "A", "7", "_", "a-b", "a.b", "a--b", "x" * 40])
def test_what_is_a_name(name: str) -> None:
    assert names.why_not_a_name(name) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is empty"),
        ("x" * 41, "is longer than 40 characters"),
        *(
            (name, CHARACTERS)
            for name in ("-a", "a-", ".a", "a.", "a b", "a/b", "a@b", "a:b", "ä", "a\n", "a%b", "a\\b")
        ),
    ],
)
def test_what_is_no_name(name: str, why: str) -> None:
    assert names.why_not_a_name(name) == why


def test_names_become_parts_without_a_dash() -> None:
    assert names.unit_stem("omnitron", "my-stack", "a.b", "c--d") == "omnitron-my_stack-a.b-c__d"


def test_instances_have_their_number_in_the_name_of_the_template() -> None:
    assert names.instance_name("a-b@.service", 2) == "a-b@2.service"
    assert names.pool_pattern("a-b@.service") == "a-b@*.service"
    assert names.template_of("a.b@2.service") == "a.b@.service"
    units = ["a@1.service", "a@.service", "a.service", "ab@1.service", "a@12.service", "a@1.socket"]
    assert names.instances_among(units, "a@.service") == {"a@1.service", "a@12.service"}
    assert names.instances_among(units, "a.service") == set()


def test_a_unit_that_is_no_template_is_its_only_one() -> None:
    assert names.instance_name("a.service", 2) == names.pool_pattern("a.service") == "a.service"
    assert names.template_of("a.b.service") == "a.b.service"


@pytest.mark.parametrize(
    ("unit", "number"),
    [("a@2.service", 2), ("a.b@12.slice", 12), ("a.service", None), ("a@.service", None), ("a@b.service", None)],
)
def test_the_number_of_an_instance(unit: str, number: int | None) -> None:
    assert names.instance_of(unit) == number


@given(st.lists(NAME, min_size=1, max_size=5))
def test_a_stem_is_a_unit_name_that_keeps_its_parts_apart(parts: list[str]) -> None:
    stem = names.unit_stem(*parts)
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", stem)
    assert stem.count("-") == len(parts) - 1
    assert len(f"{stem}-hold@1000.service") <= 255


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("api", Address(None, "api")),
        ("dev/api", Address("dev", "api")),
        ("api:worker", Address(None, "api", "worker")),
        ("api@2", Address(None, "api", None, 2)),
        ("dev/api:worker@2", Address("dev", "api", "worker", 2)),
        ("dev/api:worker@02", Address("dev", "api", "worker", 2)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "/api", "a/b/c", "api:", "api@", "api@x", "api@-1", "a:b:c", "a@1@2", "dev/"])
def test_what_is_no_address(text: str) -> None:
    assert parse_address(text) is None


@given(st.none() | NAME, NAME, st.none() | NAME, st.none() | st.integers(1, 1000))
def test_an_address_reads_as_it_is_written(
    stack: str | None, app: str, process: str | None, instance: int | None
) -> None:
    address = Address(stack, app, process, instance)
    assert parse_address(str(address)) == address
    assert str(address.of_app) == str(address).partition(":")[0].partition("@")[0]


def test_an_address_matches_what_it_does_not_rule_out() -> None:
    full = Address("dev", "api", "worker", 2)
    for text in ("api", "dev/api", "api:worker", "api@2", "dev/api:worker@2"):
        address = parse_address(text)
        assert address and address.matches(full)
    for text in ("web", "prod/api", "api:http", "api@1", "dev/api:worker@1"):
        address = parse_address(text)
        assert address and not address.matches(full)
    assert not full.matches(Address("dev", "api"))


@pytest.mark.parametrize(
    ("variable", "secret"),
    [
        ("DB_PASSWORD", True),
        ("apiKey", True),
        ("AUTH_URL", True),
        ("MY_TOKEN", True),
        ("CLIENT_SECRET", True),
        *((name, False) for name in ("PATH", "HOME", "PORT")),
    ],
)
def test_variables_whose_names_say_secret(variable: str, secret: bool) -> None:
    assert names.is_secret(variable) is secret


def test_the_shortest_name_that_means_one_alone() -> None:
    apps = [("x", "dev", "api"), ("x", "prod", "api"), ("y", "dev", "web"), ("y", "dev", "db"), ("x", "dev", "db")]
    assert shortest(apps) == ["dev/api", "prod/api", "web", "y/dev/db", "x/dev/db"]


@pytest.mark.parametrize("text", ["a@" + "1" * 5000, "a" * 1000, "a@1234567890"])
def test_an_address_has_an_end(text: str) -> None:
    assert parse_address(text) is None
