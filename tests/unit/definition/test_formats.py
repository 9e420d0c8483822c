"""One definition says the same in every format and key style."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnitron.definition.authoring import define_ecosystem, define_system
from omnitron.definition.loader import load
from tests.support.build import FORMATS, loaded, loaded_system, write

RICH = {
    "project": "shop",
    "unitPrefix": "acme",
    "supervision": {"strategy": "rest_for_one", "window": "2min", "backoff": {"type": "linear", "factor": 1.5}},
    "logging": {"level": "debug", "maxSize": "10mb", "compress": False},
    "stacks": {
        "dev": {"type": "local", "settings": {"env": {"A": "1"}, "logLevel": "trace"}},
        "prod": {"type": "local", "apps": ["api"]},
    },
    "apps": [
        {
            "name": "api",
            "command": ["/bin/echo", "two words", 'quote" \\ ünï %d $HOME', ""],
            "env": {"PORT": 3000, "WORDS": "a  b", "_x": "é\t'"},
            "transports": {"http": {"port": 3000, "cors": {"origin": ["*"]}}},
            "health": {"probe": {"type": "http", "target": "/healthz"}, "timeout": "2s"},
            "restartPolicy": {"enabled": True, "maxRestarts": 3},
            "limits": {"memoryMax": "1gb", "cpuQuota": "150%"},
            "systemd": {"service": {"Nice": 5, "ExecReload": ["/bin/true", "/bin/true"]}},
        },
        {"name": "worker", "command": ["/bin/true"], "dependsOn": ["api"], "startupTimeout": "1min", "watch": False},
    ],
}
SYSTEM = {
    "name": "api",
    "version": "1.0.0",
    "shutdown": {"timeout": "5s"},
    "processes": [
        {"name": "http", "module": "./http.py", "transports": {"http": {"port": 3000}}, "health": {"enabled": True}},
        {"name": "worker", "command": ["/bin/true"], "instances": 3, "scaling": {"targetCPU": 50}},
    ],
}


@pytest.mark.parametrize("suffix", FORMATS[1:])
def test_the_ecosystem_is_the_same_in_every_format(tmp_path: Path, suffix: str) -> None:
    yaml, other = loaded(tmp_path / "yaml", RICH), loaded(tmp_path / "other", RICH, suffix)
    assert other.config == yaml.config
    assert other.config.model_fields_set == yaml.config.model_fields_set


@pytest.mark.parametrize("suffix", FORMATS[1:])
def test_the_system_is_the_same_in_every_format(tmp_path: Path, suffix: str) -> None:
    paths = [write(tmp_path, SYSTEM, each, "bootstrap", "system") for each in (".yaml", suffix)]
    assert loaded_system(paths[0]) == loaded_system(paths[1])


def test_python_takes_keywords_in_snake_case_and_mappings_in_either(tmp_path: Path) -> None:
    text = """
from pathlib import Path
from omnitron import define_ecosystem

ROOT = Path(__file__).parent
ecosystem = define_ecosystem(
    project="shop",
    unit_prefix="acme",
    apps=(
        dict(name="api", command=["/bin/true", str(ROOT)], startup_timeout=5000),
        {"name": "worker", "command": ("/bin/true",), "dependsOn": ["api"], "env": {"HOME": ROOT}},
    ),
)
"""
    data = {
        "project": "shop",
        "unit_prefix": "acme",
        "apps": [
            {"name": "api", "command": ["/bin/true", str(tmp_path)], "startupTimeout": 5000},
            {"name": "worker", "command": ["/bin/true"], "depends_on": ["api"], "env": {"HOME": str(tmp_path)}},
        ],
    }
    assert load(write(tmp_path, text, ".py")).config == loaded(tmp_path / "yaml", data).config


def test_an_app_of_python_names_its_hooks_by_the_functions_themselves(tmp_path: Path) -> None:
    text = """
import os.path
from omnitron import define_system
def warm(app): ...
system = define_system(name="api", processes=[{"name": "http", "module": "m.py"}],
                       hooks={"after_start": warm, "beforeStop": os.path.basename})
"""
    hooks = loaded_system(write(tmp_path, text, ".py", "bootstrap")).hooks
    assert hooks and (hooks.after_start, hooks.before_stop) == ("bootstrap.py:warm", "posixpath:basename")


def test_yaml_merge_keys(tmp_path: Path) -> None:
    text = """
project: shop
apps:
- &base {name: api, command: [/bin/true], startupTimeout: 1, env: {A: base}}
- &other {name: other, command: [/bin/false], startupTimeout: 2, user: www-data}
- {name: mine, <<: [*base, *other]}
"""
    entry = load(write(tmp_path, text)).config.apps[2]
    assert (entry.name, entry.command, entry.startup_timeout, entry.user) == ("mine", ["/bin/true"], 1, "www-data")


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    for suffix in FORMATS:
        path = write(tmp_path, RICH, suffix)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert load(path).config.project == "shop"


def test_what_a_declaration_takes_down() -> None:
    declared = define_ecosystem({"project": "a", "apps": []}, project="b")
    assert (declared.kind, declared.values) == ("ecosystem", {"project": "b", "apps": []})
    assert define_system(**SYSTEM).values == SYSTEM  # type: ignore[arg-type]


def test_numbers_that_yaml_reads_as_others_are_text(tmp_path: Path) -> None:
    """`0644` is 420 to YAML 1.1, and `12:30:45` is 45045."""
    values = {"MODE": "0644", "TIME": "12:30:45", "HEX": "0x1F", "LONG": "1_000", "PLAIN": "42", "MINUS": "-7"}
    lines = "".join(f"      {name}: {value}\n" for name, value in values.items())
    text = f"project: shop\napps:\n  - name: a\n    command: [x]\n    user: games\n    env:\n{lines}"
    (app,) = loaded(tmp_path, text).apps
    assert app.entry.env == values
