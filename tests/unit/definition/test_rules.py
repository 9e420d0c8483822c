"""What `define_system` refuses, in exactly the words of the reference, wherever a system is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from omnitron import DefineSystemError, define_system
from omnitron.errors import DefinitionError
from tests.support.build import FORMATS, loaded_system, write

HTTP = {"name": "web", "module": "m"}

RULES: list[tuple[dict[str, Any], str]] = [
    ({"processes": [HTTP]}, "System name must be a non-empty string"),
    ({"name": "", "processes": [HTTP]}, "System name must be a non-empty string"),
    ({"name": 5, "processes": [HTTP]}, "System name must be a non-empty string"),
    ({"name": "a"}, "At least one process must be defined"),
    ({"name": "a", "processes": []}, "At least one process must be defined"),
    ({"name": "a", "processes": [{"module": "m"}]}, "Every process must have a name"),
    ({"name": "a", "processes": [{"name": "", "module": "m"}]}, "Every process must have a name"),
    ({"name": "a", "processes": [{"name": "web"}]}, "Process web must have a module path"),
    ({"name": "a", "processes": [{"name": "web", "module": ""}]}, "Process web must have a module path"),
    ({"name": "a", "processes": [HTTP, HTTP]}, "Duplicate process name web"),
    *(
        (
            {"name": "a", "processes": [{**HTTP, "transports": {kind: {"port": port}}}]},
            f"Process web has invalid {title} port {port}",
        )
        for kind, title in (("http", "HTTP"), ("websocket", "WebSocket"))
        for port in (0, 65536, -1, 1.5, "3000", True)
    ),
]


@pytest.mark.parametrize(("definition", "message"), RULES)
def test_a_broken_rule_is_raised_at_once(definition: dict[str, Any], message: str) -> None:
    with pytest.raises(DefineSystemError) as caught:
        define_system(definition)
    assert str(caught.value) == message
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(("definition", "message"), RULES)
def test_a_broken_rule_is_one_problem_of_a_file(tmp_path: Path, definition: dict[str, Any], message: str) -> None:
    for suffix in FORMATS[:3]:
        with pytest.raises(DefinitionError) as caught:
            loaded_system(write(tmp_path, definition, suffix, "bootstrap"))
        assert [problem.message for problem in caught.value.problems] == [message]


def test_in_python_it_has_the_line_of_the_call(tmp_path: Path) -> None:
    text = "from omnitron import define_system\n\nsystem = define_system(\n    name='a',\n    processes=[])\n"
    path = write(tmp_path, text, ".py", "bootstrap")
    with pytest.raises(DefinitionError) as caught:
        loaded_system(path)
    assert str(caught.value) == f"{path}:3: At least one process must be defined"


def test_rules_are_broken_in_the_order_of_the_reference() -> None:
    port = {"transports": {"http": {"port": 0}}}
    processes: list[dict[str, Any]] = [{**HTTP, **port}, {"module": "m", **port}, {"name": "b", **port}, HTTP]
    for cured, message in (
        (1, "Every process must have a name"),
        (1, "Process b must have a module path"),
        (1, "Duplicate process name web"),
        (0, "Process web has invalid HTTP port 0"),
        (None, "At least one process must be defined"),
    ):
        with pytest.raises(DefineSystemError, match=f"^{message}$"):
            define_system(name="a", processes=processes)
        if cured is not None:
            del processes[cured]


def test_edges_of_a_port_and_a_command_are_fine() -> None:
    for port in (1, 65535, None):
        define_system(name="a", processes=[{**HTTP, "transports": {"http": {"port": port}, "websocket": {}}}])
    define_system(name="a", processes=[{"name": "web", "command": ["x"]}])
