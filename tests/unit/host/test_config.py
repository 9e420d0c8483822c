import datetime
import itertools
import json
import os
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitron.errors import OmnitronError
from omnitron.host import config_files
from omnitron.host.config import Config, ConfigError, ConfigSource, merge

SECRET = "hunter2"

Write = Callable[[str, str | bytes], ConfigSource]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file into the folder and gives the source that reads it."""

    def file(name: str, content: str | bytes) -> ConfigSource:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return ConfigSource("file", path=name)

    return file


def plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def from_environment(environ: dict[str, str], base: dict[str, Any], tmp_path: Path) -> Any:
    (tmp_path / "base.json").write_text(json.dumps(base))
    return plain(Config([ConfigSource("file", "base.json")], env_prefix="SHOP", folder=tmp_path, environ=environ))


def refused(tmp_path: Path, *sources: ConfigSource, **environ: str) -> str:
    """The message of a configuration that cannot be read; it and its traceback hold no secret."""
    with pytest.raises(ConfigError) as caught:
        Config(sources, folder=tmp_path, environ=environ)
    shown = "".join(traceback.format_exception(caught.value)) + "\n".join(caught.value.lines())
    assert SECRET not in shown
    return caught.value.brief.replace(f"{tmp_path}/", "")


# The mapping


def test_nothing_is_an_empty_mapping() -> None:
    assert dict(Config(environ={"SHOP_A": "1"})) == {}


def test_read_only_all_the_way_down(write: Write, tmp_path: Path) -> None:
    source = write("a.json", '{"database": {"hosts": ["a", {"name": "b"}]}}')
    read = Config([source], folder=tmp_path, environ={})
    assert isinstance(read["database"], MappingProxyType)
    assert read["database"]["hosts"] == ("a", {"name": "b"})
    with pytest.raises(TypeError):
        read["database"]["hosts"] = ()
    with pytest.raises(TypeError):
        read["database"]["hosts"][1]["name"] = "c"
    with pytest.raises(TypeError):
        read["database"] = {}  # type: ignore[index]
    assert (list(read), len(read), "database" in read, read.get("other")) == (["database"], 1, True, None)
    assert SECRET not in repr(Config([write("b.json", f'{{"password": "{SECRET}"}}')], folder=tmp_path))


def test_at(write: Write, tmp_path: Path) -> None:
    source = write("a.json", '{"database": {"pool": {"max": 5, "min": null}, "hosts": ["a"]}}')
    read = Config([source], folder=tmp_path, environ={})
    assert read.at("database.pool.max") == 5
    assert read.at("database.pool") == {"max": 5, "min": None}
    assert read.at("database.pool.min", 1) is None
    assert read.at("database.pool.other", 7) == 7
    assert read.at("database.pool.max.of", None) is None


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("cache", "no configuration at 'cache': the configuration has no key 'cache'"),
        ("database.pool.max", "no configuration at 'database.pool.max': 'database' has no key 'pool'"),
        ("database.hosts.0", "no configuration at 'database.hosts.0': 'database.hosts' is not a mapping"),
        ("", "no configuration at '': the configuration has no key ''"),
    ],
)
def test_at_says_what_is_missing(write: Write, tmp_path: Path, path: str, message: str) -> None:
    source = write("a.json", f'{{"database": {{"hosts": ["{SECRET}"]}}}}')
    with pytest.raises(KeyError) as caught:
        Config([source], folder=tmp_path, environ={}).at(path)
    assert caught.value.args == (message,)


# Merging


@pytest.mark.parametrize(
    ("base", "over", "result"),
    [
        ({}, {}, {}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": 2}),
        ({"a": 2}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": [{"b": 1}]}, {"a": [{"c": 2}]}, {"a": [{"c": 2}]}),
    ],
)
def test_merge(base: dict[str, Any], over: dict[str, Any], result: dict[str, Any]) -> None:
    before = json.dumps([base, over])
    assert merge(base, over) == result
    assert json.dumps([base, over]) == before


LEAVES = st.none() | st.integers() | st.lists(st.integers(), max_size=2)
# A name in lower case is always a leaf, one in upper case always a mapping: nothing changes its kind.
TREES = st.recursive(
    st.dictionaries(st.sampled_from("abc"), LEAVES),
    lambda inner: st.dictionaries(st.sampled_from("ABC"), inner),
    max_leaves=8,
)
ANY_TREES = st.recursive(
    st.dictionaries(st.sampled_from("abc"), LEAVES),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner | LEAVES),
    max_leaves=8,
)


def leaves(tree: Any, *above: str) -> dict[tuple[str, ...], Any]:
    if not isinstance(tree, dict):
        return {above: tree}
    return {path: leaf for key, item in tree.items() for path, leaf in leaves(item, *above, key).items()}


@settings(max_examples=50)
@given(TREES, TREES, TREES)
def test_merge_is_associative(one: dict[str, Any], two: dict[str, Any], three: dict[str, Any]) -> None:
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


@settings(max_examples=50)
@given(st.lists(TREES, max_size=4))
def test_the_last_writer_of_a_leaf_wins(trees: list[dict[str, Any]]) -> None:
    merged: dict[str, Any] = {}
    expected: dict[tuple[str, ...], Any] = {}
    for tree in trees:
        merged = merge(merged, tree)
        expected |= leaves(tree)
    assert leaves(merged) == expected


@settings(max_examples=50)
@given(ANY_TREES, ANY_TREES)
def test_what_is_on_top_is_all_there(base: dict[str, Any], over: dict[str, Any]) -> None:
    merged = leaves(merge(base, over))
    assert leaves(over).items() <= merged.items()
    assert merged.items() <= (leaves(base) | leaves(over)).items()
    assert merge(merge(base, over), over) == merge(base, over)


# Environment variables


@pytest.mark.parametrize(
    ("base", "environ", "result"),
    [
        ({}, {"SHOP_DATABASE__POOL__MAX": "5"}, {"database": {"pool": {"max": 5}}}),
        ({}, {"SHOPPING_A": "1", "OTHER_A": "2", "SHOP": "3", "SHOP_": "4", "SHOP___": "5", "shop_b": "6"}, {}),
        ({}, {"SHOP__DATABASE__URL": "x"}, {"database": {"url": "x"}}),
        ({}, {"SHOP_A____B": "x", "SHOP_C__": "y", "SHOP_D___E": "z"}, {"a": {"b": "x"}, "c": "y", "d": {"e": "z"}}),
        ({}, {"SHOP_MAX_CONNECTIONS": "5"}, {"max_connections": 5}),
        ({"maxConnections": 1}, {"SHOP_MAX_CONNECTIONS": "5"}, {"maxConnections": 5}),
        ({"max_connections": 1}, {"SHOP_MAXCONNECTIONS": "5"}, {"max_connections": 5}),
        ({"maxSize": 1, "max_size": 2}, {"SHOP_MAX_SIZE": "5"}, {"maxSize": 1, "max_size": 5}),
        (
            {"mainDb": {"maxPool": 1, "x": 2}},
            {"SHOP_MAIN_DB__MAX_POOL": "5", "SHOP_MAINDB__NEW_KEY": "6"},
            {"mainDb": {"maxPool": 5, "x": 2, "new_key": 6}},
        ),
        ({"a": {"b": 1}}, {"SHOP_A": "2"}, {"a": 2}),
        ({"a": 1}, {"SHOP_A__B": "2"}, {"a": {"b": 2}}),
        ({"a": {"c": 3}}, {"SHOP_A": "1", "SHOP_A__B": "2"}, {"a": {"b": 2, "c": 3}}),
        ({"a": {"c": 3}}, {"SHOP_A": '{"maxSize": 1}', "SHOP_A__MAX_SIZE": "2"}, {"a": {"c": 3, "maxSize": 2}}),
        ({}, {"SHOP_LSCOLORS": "1", "SHOP_LS_COLORS": "2"}, {"lscolors": 1, "ls_colors": 2}),
        ({"lsColors": 0}, {"SHOP_LSCOLORS": "1", "SHOP_LS_COLORS": "2"}, {"lsColors": 2}),
        ({"aB": 0}, {"SHOP_AB__C": "1", "SHOP_A_B": "2", "SHOP_A_B__D__E": "3"}, {"aB": {"c": 1, "d": {"e": 3}}}),
    ],
)
def test_environment(base: dict[str, Any], environ: dict[str, str], result: dict[str, Any], tmp_path: Path) -> None:
    for order in itertools.islice(itertools.permutations(environ), 24):
        assert from_environment({name: environ[name] for name in order}, base, tmp_path) == result


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-1.5e3", -1500.0),
        ("true", True),
        ("false", False),
        ("null", None),
        ("[1, [2]]", [1, [2]]),
        ('{"a": {"B": 1}}', {"a": {"B": 1}}),
        ('"5"', "5"),
        ("", ""),
        ("shop", "shop"),
        ("True", "True"),
        ("007", "007"),
        ("1e999", "1e999"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("[1, NaN]", "[1, NaN]"),
        ("9" * 5000, "9" * 5000),
        ("[1", "[1"),
        ("a: 1", "a: 1"),
    ],
)
def test_a_value_is_json_or_text(text: str, value: Any) -> None:
    read = plain(Config(env_prefix="SHOP", environ={"SHOP_A": text}))["a"]
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("prefix", ["SHOP", "SHOP_", "SHOP__"])
def test_a_prefix_may_end_in_underscores(prefix: str) -> None:
    assert dict(Config(env_prefix=prefix, environ={"SHOP_A": "1"})) == {"a": 1}


def test_env_source_without_a_prefix_takes_all() -> None:
    environ = {"_": "/bin/x", "HOME": "/root", "DATABASE__URL": "x"}
    assert plain(Config([ConfigSource("env")], environ=environ)) == {"home": "/root", "database": {"url": "x"}}


def test_env_prefix_comes_last(write: Write, tmp_path: Path) -> None:
    sources = [ConfigSource("env", prefix="FIRST"), write("a.json", '{"a": 2, "b": 2, "c": 2}')]
    environ = {"FIRST_A": "1", "FIRST_D": "1", "SHOP_B": "3"}
    read = Config(sources, env_prefix="SHOP", folder=tmp_path, environ=environ)
    assert dict(read) == {"a": 2, "b": 3, "c": 2, "d": 1}


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNITRON_TEST_A", "1")
    read = Config(env_prefix="OMNITRON_TEST")
    monkeypatch.setenv("OMNITRON_TEST_A", "2")
    assert (read.reload(), dict(read)) == (True, {"a": 2})


# Files

DAY = datetime.date(2020, 1, 2)


@pytest.mark.parametrize(
    ("name", "content", "data"),
    [
        ("a.json", '\ufeff{"a": {"b": [1, 1.5, true, null]}}', {"a": {"b": [1, 1.5, True, None]}}),
        ("a.JSON", "{}", {}),
        ("a.toml", '[a]\nb = [1, "x"]\r\nc.d = 2020-01-02', {"a": {"b": [1, "x"], "c": {"d": DAY}}}),
        ("a.toml", "", {}),
        ("a.yaml", "", {}),
        ("a.yml", "# nothing\n", {}),
        ("a.yaml", "a: 2020-01-02\nb: ~\nc: !!binary aGk=", {"a": DAY, "b": None, "c": b"hi"}),
        ("a.yaml", "8080: yes\non: 0x10\nx: =\n", {"8080": True, "on": 16, "x": "="}),
        ("a.yaml", "a: &a {x: 1}\nb: *a\n", {"a": {"x": 1}, "b": {"x": 1}}),
        ("a.yaml", "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}),
        ("a.yaml", "a: &a {x: 1}\nb: {<<: [*a, {x: 2, y: 2}]}", {"a": {"x": 1}, "b": {"x": 1, "y": 2}}),
    ],
)
def test_formats(write: Write, tmp_path: Path, name: str, content: str, data: dict[str, Any]) -> None:
    assert plain(Config([write(name, content)], folder=tmp_path, environ={})) == data


def test_one_alias_in_two_places_is_changed_in_one(write: Write, tmp_path: Path) -> None:
    source = write("a.yaml", "a: &a {x: {y: 1}}\nb: *a")
    read = Config([source], folder=tmp_path, env_prefix="SHOP", environ={"SHOP_A__X__Y": "2"})
    assert plain(read) == {"a": {"x": {"y": 2}}, "b": {"x": {"y": 1}}}


def test_a_prefix_nests_a_file(write: Write, tmp_path: Path) -> None:
    source = ConfigSource("file", write("a.toml", "max = 5").path, prefix="database.pool")
    assert Config([source], folder=tmp_path, environ={}).at("database.pool.max") == 5


def test_an_absolute_path_is_kept(write: Write, tmp_path: Path) -> None:
    write("a.json", '{"a": 1}')
    source = ConfigSource("file", str(tmp_path / "a.json"))
    assert dict(Config([source], folder=Path("/nowhere"), environ={})) == {"a": 1}


@pytest.mark.parametrize("path", ["missing.json", "no/folder.yaml", "a.toml/below.json"])
def test_a_missing_file(write: Write, tmp_path: Path, path: str) -> None:
    write("a.toml", "")
    assert dict(Config([ConfigSource("file", path, optional=True)], folder=tmp_path, environ={})) == {}
    with pytest.raises(ConfigError) as caught:
        Config([ConfigSource("file", path)], folder=tmp_path, environ={})
    assert isinstance(caught.value, OmnitronError)
    assert caught.value.lines() == [
        f"cannot read {tmp_path / path}: no such file",
        "create it, or mark the source as optional",
    ]


SUFFIX = "its name ends in none of .json, .toml, .yaml, .yml"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (ConfigSource("file"), "cannot read a source of the type 'file': it has no path"),
        (ConfigSource("http"), "cannot read a source of the type 'http': the types are 'file' and 'env'"),  # type: ignore[arg-type]
        (ConfigSource("file", "a.ini", optional=True), f"cannot read a.ini: {SUFFIX}"),
        (ConfigSource("file", "a\0.json", optional=True), "cannot read a\\x00.json: its path holds a NUL character"),
        (ConfigSource("file", "a" * 300 + ".json"), f"cannot read {'a' * 300}.json: file name too long"),
    ],
)  # fmt: skip
def test_a_source_that_is_none(tmp_path: Path, source: ConfigSource, message: str) -> None:
    assert refused(tmp_path, source) == message


DEEP = "nested more than 100 levels deep"
TAG = "an unknown tag; text that begins with '!' needs quotes"
DIGITS = "a number that is not finite, or has too many digits"
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "", "a.json:1: …"),
        ("a.json", f'{{"a": 1,\n "b": "{SECRET}" x}}', "a.json:2: …"),
        ("a.json", f'{{"a": "{SECRET}", "a": 2}}', "a.json: the key 'a' is there twice"),
        ("a.json", '{"\x1b[2J": 1, "\x1b[2J": 2}', "a.json:1: …"),
        ("a.json", '{"\\u001b": 1, "\\u001b": 2}', "a.json: the key '\\x1b' is there twice"),
        ("a.json", '{"a": NaN}', f"a.json: {DIGITS}"),
        ("a.json", f'{{"a": {"9" * 5000}}}', f"a.json: {DIGITS}"),
        ("a.json", '["hunter2"]', "a.json: it holds a list, not a mapping of keys to values"),
        ("a.json", '"hunter2"', "a.json: it holds a single value, not a mapping of keys to values"),
        ("a.json", b'{"a":\n"\xff"}', "a.json:2: not UTF-8 text"),
        ("a.json", '{"a":' * 101 + "1" + "}" * 101, f"a.json: {DEEP}"),
        ("a.json", "[" * 100_000, f"a.json: {DEEP}"),
        ("a.toml", f"a = 1\nb = {SECRET}", "a.toml:2: …"),
        ("a.toml", f'a = 1\na = "{SECRET}"', "a.toml:2: …"),
        ("a.toml", f'a = """{SECRET}\n\n', "a.toml:3: …"),
        ("a.toml", f"a = {'9' * 5000}", f"a.toml: {DIGITS}"),
        ("a.toml", "a = " + "[" * 5000, f"a.toml: {DEEP}"),
        ("a.toml", f"\n{'.'.join('a' * 100_000)} = 1", f"a.toml:2: {DEEP}"),
        ("a.toml", "[" + " . ".join(['"a"'] * 100_000) + "]", f"a.toml:1: {DEEP}"),
        ("a.toml", f"[{'.'.join('a' * 90)}]\n{'.'.join('a' * 20)} = 1", f"a.toml: {DEEP}"),
        ("a.yaml", f"a: 1\nb: {SECRET}: x", "a.yaml:2: …"),
        ("a.yaml", f"a: [{SECRET}\nb: 1", "a.yaml:2: …"),
        ("a.yaml", "a:\n\tb: 1", "a.yaml:2: a tab, or text that needs quotes because of its first character"),
        ("a.yaml", f"a: @{SECRET}", "a.yaml:1: a tab, or text that needs quotes because of its first character"),
        ("a.yaml", f"a: *{SECRET}", "a.yaml:1: an alias without an anchor; text that begins with '*' needs quotes"),
        ("a.yaml", f"a: !{SECRET} x", f"a.yaml:1: {TAG}"),
        ("a.yaml", f"a: !{SECRET} [x]", f"a.yaml:1: {TAG}"),
        ("a.yaml", "!!python/object/apply:os.abort []", f"a.yaml:1: {TAG}"),
        ("a.yaml", f"a: !{SECRET}!b x", "a.yaml:1: …"),
        ("a.yaml", f"a: !!int {SECRET}", "a.yaml:1: not a valid int"),
        ("a.yaml", f"a: !!bool {SECRET}", "a.yaml:1: not a valid bool"),
        ("a.yaml", f"a: !!timestamp {SECRET}", "a.yaml:1: not a valid timestamp"),
        ("a.yaml", f"a: !!binary {SECRET}", "a.yaml:1: not a valid binary"),
        ("a.yaml", "a: 1\nb: 2020-13-45", "a.yaml:2: not a valid timestamp"),
        ("a.yaml", f"a: 1{':59' * 1000}.5", "a.yaml:1: not a valid float"),
        ("a.yaml", f"a: 1{':1' * 100_000}", "a.yaml:1: a number with too many digits"),
        ("a.yaml", f"a: 1\nb: 2\na: {SECRET}", "a.yaml:3: the key 'a' is there twice"),
        ("a.yaml", "a: 1\n? [b]\n: 2", "a.yaml:2: a key must be plain text"),
        ("a.yaml", "a: {<<: 5}", "a.yaml:1: '<<' needs a mapping"),
        ("a.yaml", "a: 1\n---\nb: 2", "a.yaml:2: more than one document"),
        ("a.yaml", "a: \x01", "a.yaml: a control character, which YAML does not allow"),
        ("a.yaml", "~", "a.yaml: it holds a single value, not a mapping of keys to values"),
        ("a.yaml", "a: &a\n  b: *a", "a.yaml:1: an alias that contains itself"),
        ("a.yaml", "a: &a\n  <<: *a", "a.yaml:1: an alias that contains itself"),
        ("a.yaml", BOMB, "a.yaml:1: more than 200000 values, aliases included"),
        ("a.yaml", CHAIN, f"a.yaml:1: {DEEP}"),
        ("a.yaml", "[" * 2000, f"a.yaml:1: {DEEP}"),
        ("a.yaml", "- " * 2000, f"a.yaml:1: {DEEP}"),
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_a_file_that_cannot_be_parsed(
    write: Write, tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    started = time.monotonic()
    shown = refused(tmp_path, write(name, content))
    # An ellipsis stands for the parser's own words.
    assert shown == f"cannot read {message}" or (
        message.endswith("…") and shown.startswith(f"cannot read {message[:-1]}")
    )
    assert time.monotonic() - started < 9


def test_too_many_yaml_values(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_files, "MAX_YAML_NODES", 50)
    assert refused(tmp_path, write("a.yaml", "- x\n" * 100)) == "cannot read a.yaml: more than 50 values"


@pytest.mark.parametrize("text", [f"a: !{SECRET}!b x", f"a: *{SECRET}", f"a: [{SECRET}\nb: 1", "a: \x01", "[" * 200])
def test_without_libyaml(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.delattr("yaml.CSafeLoader")
    assert refused(tmp_path, write("a.yaml", text)).startswith("cannot read a.yaml")
    assert plain(Config([write("a.yaml", "a: [1]")], folder=tmp_path, environ={})) == {"a": [1]}


@pytest.mark.parametrize("name", ["SHOP_A" + "__A" * 200, "SHOP_A" + "__A" * 20_000])
def test_a_variable_that_nests_too_deeply(tmp_path: Path, name: str) -> None:
    message = f"cannot read the environment variable {name}: {DEEP}"
    assert refused(tmp_path, ConfigSource("env", prefix="SHOP"), **{name: SECRET}) == message


@pytest.mark.parametrize("text", ["[" * 99 + f'"{SECRET}"' + "]" * 99, "[" * 60_000])
def test_a_value_that_nests_too_deeply(tmp_path: Path, text: str) -> None:
    message = f"cannot read the environment variable SHOP_A__B: {DEEP}"
    assert refused(tmp_path, ConfigSource("env", prefix="SHOP"), SHOP_A__B=text) == message


def test_a_prefix_that_nests_too_deeply(write: Write, tmp_path: Path) -> None:
    source = ConfigSource("file", write("a.json", "{}").path, prefix="." * 5000)
    assert refused(tmp_path, source) == f"cannot read a.json: {DEEP}"


def test_as_deep_as_may_be(write: Write, tmp_path: Path) -> None:
    source = write("a.json", '{"a":' * 100 + "1" + "}" * 100)
    assert Config([source, source], folder=tmp_path, environ={}).at(".".join("a" * 100)) == 1


# What is no file


def test_a_large_file(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(config_files.MAX_BYTES + 1)
    assert refused(tmp_path, ConfigSource("file", "a.json")) == "cannot read a.json: larger than 10 MiB"


def test_a_file_that_is_larger_than_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_files, "MAX_BYTES", 10)
    (tmp_path / "a.json").symlink_to("/proc/self/status")
    assert refused(tmp_path, ConfigSource("file", "a.json")) == "cannot read a.json: larger than 0 MiB"


@pytest.mark.parametrize("optional", [False, True])
def test_not_a_regular_file(tmp_path: Path, optional: bool) -> None:
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "device.json").symlink_to("/dev/zero")
    (tmp_path / "loop.json").symlink_to("loop.json")
    for name, why in [
        ("fifo", "it is not a regular file"),
        ("folder", "it is a directory"),
        ("device", "it is not a regular file"),
        ("loop", "too many levels of symbolic links"),
    ]:
        source = ConfigSource("file", f"{name}.json", optional=optional)
        assert refused(tmp_path, source) == f"cannot read {name}.json: {why}"


def test_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket may have 108 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("a.json")
        assert refused(tmp_path, ConfigSource("file", "a.json")) == "cannot read a.json: no such device or address"


@pytest.fixture
def not_root() -> Iterator[None]:
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


def test_a_file_of_another_user(write: Write, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    source = write("a.json", "{}")
    (tmp_path / "a.json").chmod(0)
    request.getfixturevalue("not_root")
    assert refused(tmp_path, source) == "cannot read a.json: permission denied"


def test_no_descriptor_is_left_open(write: Write, tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    sources = [write("a.json", "{}"), write("b.json", "{"), ConfigSource("file", "folder.json")]
    before = len(list(Path("/proc/self/fd").iterdir()))
    for source in sources * 3:
        try:
            Config([source], folder=tmp_path)
        except ConfigError:
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# Reading again


def test_reload(write: Write, tmp_path: Path) -> None:
    environ = {"SHOP_A__B": "1"}
    source = write("a.json", '{"a": {"c": 1}}')
    read = Config([source], env_prefix="SHOP", folder=tmp_path, environ=environ)
    old = read["a"]
    assert not read.reload()
    environ["SHOP_A__B"] = "2"
    assert read.reload()
    write("a.json", "{}")
    assert read.reload()
    assert not read.reload()
    assert (old, read["a"]) == ({"b": 1, "c": 1}, {"b": 2})


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("{a: 1, b: 2}", "{b: 2, a: 1} # moved", False),
        ("a: .nan", "a: .nan", False),
        ("a: 1", "a: true", True),
        ("a: 1", "a: 1.0", True),
        ("a: [1, 2]", "a: [2, 1]", True),
        ("a: [1]", "a: [1, 2]", True),
        ("a: [{b: 1}]", "a: [{b: true}]", True),
        ("a: {}", "a: []", True),
        ("a: ~", "{}", True),
    ],
)
def test_what_a_change_is(write: Write, tmp_path: Path, before: str, after: str, changed: bool) -> None:
    read = Config([write("a.yaml", before)], folder=tmp_path, environ={})
    write("a.yaml", after)
    assert read.reload() is changed


@pytest.mark.parametrize("broken", ["a: [", "- a", "a: &a [*a]", None])
def test_reload_keeps_the_old_content_on_an_error(write: Write, tmp_path: Path, broken: str | None) -> None:
    environ = {"SHOP_B": "1"}
    read = Config([write("a.yaml", "a: 1")], env_prefix="SHOP", folder=tmp_path, environ=environ)
    environ["SHOP_B"] = "2"
    if broken is None:
        (tmp_path / "a.yaml").unlink()
    else:
        write("a.yaml", broken)
    for _ in range(2):
        with pytest.raises(ConfigError):
            read.reload()
        assert dict(read) == {"a": 1, "b": 1}
    write("a.yaml", "a: 3")
    assert read.reload()
    assert dict(read) == {"a": 3, "b": 2}


def test_parsers_are_imported_when_they_are_needed() -> None:
    code = "import sys, omnitron.host.config; print({'json', 'tomllib', 'yaml'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"
