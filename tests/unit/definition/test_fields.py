from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from omnitron.definition import fields
from omnitron.definition.process import Limits

DAY = 86_400_000

READ = [
    (fields.parse_duration, 500, 500),
    (fields.parse_duration, 1.5, 2),
    (fields.parse_duration, "500", 500),
    (fields.parse_duration, "30s", 30_000),
    (fields.parse_duration, " 1.5 H ", 5_400_000),
    (fields.parse_duration, "5min", 300_000),
    (fields.parse_duration, "5m", 300_000),
    (fields.parse_duration, "2d", 2 * DAY),
    (fields.parse_duration, 0, 0),
    (fields.parse_seconds, 60, 60.0),
    (fields.parse_seconds, "500ms", 0.5),
    (fields.parse_seconds, "1min", 60.0),
    (fields.parse_size, 17, 17),
    (fields.parse_size, "17", 17),
    (fields.parse_size, "50mb", 50 << 20),
    (fields.parse_size, "50M", 50 << 20),
    (fields.parse_size, "2GiB", 2 << 30),
    (fields.parse_size, "1.5k", 1536),
    (fields.parse_size, "1tb", 1 << 40),
    (fields.parse_size, "7b", 7),
    (fields.parse_name, "a", "a"),
    (fields.parse_name, "_a-b.C9_", "_a-b.C9_"),
    (fields.parse_name, "x" * 40, "x" * 40),
    (fields.parse_environment_value, 8080, "8080"),
    (fields.parse_environment_value, "a\tb\nc", "a\tb\nc"),
    (fields.parse_environment_name, "_PATH2", "_PATH2"),
    (fields.parse_function, "hooks/my-app.py:warm", "hooks/my-app.py:warm"),
    (fields.parse_function, "shop.hooks:Cache.warm", "shop.hooks:Cache.warm"),
    (fields.parse_argv, ["node", ""], ["node", ""]),
    (fields.parse_argv, ("./run", "-x", "$HOME"), ["./run", "-x", "$HOME"]),
    (fields.parse_folder, True, True),
    (fields.parse_folder, "uploads/new-1", "uploads/new-1"),
    (fields.parse_environment_value, "echo ${SECRET:-x} ${sct:y}", "echo ${SECRET:-x} ${sct:y}"),
]


@pytest.mark.parametrize(("parse", "given", "meant"), READ)
def test_what_is_read(parse: Callable[[Any], Any], given: Any, meant: Any) -> None:
    assert parse(given) == meant


REFUSED = [
    (fields.parse_duration, -1, "must be between 0 and ten years, not -1"),
    (fields.parse_duration, float("nan"), "must be between 0 and ten years, not nan"),
    (fields.parse_duration, float("inf"), "must be between 0 and ten years, not inf"),
    (fields.parse_duration, "3661d", "must be between 0 and ten years, not '3661d'"),
    (fields.parse_duration, True, 'must be a duration: a number, or text such as "30s"'),
    (fields.parse_duration, None, 'must be a duration: a number, or text such as "30s"'),
    (fields.parse_duration, "-5s", 'must be a duration such as 500, "30s" or "5min", not \'-5s\''),
    (fields.parse_duration, "5 weeks", 'must be a duration such as 500, "30s" or "5min", not \'5 weeks\''),
    (fields.parse_duration, "", 'must be a duration such as 500, "30s" or "5min", not \'\''),
    (fields.parse_size, True, 'must be a size: a number of bytes, or text such as "50mb"'),
    (fields.parse_size, 1.5, 'must be a size: a number of bytes, or text such as "50mb"'),
    (fields.parse_size, "50 megabytes", 'must be a size such as 1048576, "50mb" or "2gb", not \'50 megabytes\''),
    (fields.parse_size, -1, "must be between 0 and 8 exabytes, not -1"),
    (fields.parse_size, 1 << 63, f"must be between 0 and 8 exabytes, not {1 << 63}"),
    (fields.parse_name, 5, "must be text"),
    (fields.parse_name, "", "'' is not a name: it is empty"),
    (fields.parse_name, "x" * 41, f"'{'x' * 41}' is not a name: it is longer than 40 characters"),
    (fields.parse_text, 5, "must be text, not int; put it in quotes"),
    (fields.parse_text, "a\0b", "may not hold a NUL character"),
    (fields.parse_text, "\udcff", "is not valid Unicode"),
    (fields.parse_environment_value, True, "must be text, not bool; put it in quotes"),
    (fields.parse_environment_value, "\x1b", "holds the control character U+001B, which systemd does not pass on"),
    (fields.parse_environment_value, "\x7f", "holds the control character U+007F, which systemd does not pass on"),
    (fields.parse_environment_value, "x${secrt:k}", "refers to ${secrt:…}; did you mean ${secret:…}?"),
    (fields.parse_environment_name, "A-B", "'A-B' is not the name of an environment variable"),
    (fields.parse_environment_name, "1A", "'1A' is not the name of an environment variable"),
    (fields.parse_environment_name, "A\n", "'A\\n' is not the name of an environment variable"),
    *(
        (fields.parse_function, given, "must name a function as `file.py:function` or `package.module:function`, not ")
        for given in ("hooks.py", ":warm", "hooks.py:", "hooks.py:not a name", "hooks.py:a..b", "")
    ),
    (fields.parse_argv, "node x", 'must be a list, one item per argument, such as ["node", "server.js"]'),
    (fields.parse_argv, [], "must be a list with at least the program"),
    (fields.parse_argv, ["x", 1], "must be text, not int; put it in quotes"),
    (fields.parse_folder, 5, "must be true, false or the name of a folder, not 5"),
    (fields.parse_folder, "a/../b", "'a/../b' is not the name of a folder: '..' may hold letters"),
    (fields.parse_folder, "/a", "'/a' is not the name of a folder: '' is empty"),
    (fields.parse_folder, "a:b", "'a:b' is not the name of a folder: 'a:b' may hold letters"),
]


@pytest.mark.parametrize(("parse", "given", "why"), REFUSED)
def test_what_is_refused_and_why(parse: Callable[[Any], Any], given: Any, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(given)
    assert str(caught.value).startswith(why)


@pytest.mark.parametrize("program", ["", "-x", "@x", "+x", "!x", ":x", "|x", "a\nb", "a\\b", "a$b", "it's", 'a"b', "é"])
def test_no_program_whose_path_systemd_reads_otherwise(program: str) -> None:
    with pytest.raises(ValueError, match="cannot be the path or name of a program in a unit file"):
        fields.parse_argv([program])


@pytest.mark.parametrize("given", [1, 0, -1])
def test_a_process_has_the_tasks_that_note_its_crash(given: int) -> None:
    with pytest.raises(ValidationError, match=f"must be at least 2, for so many programs note a crash, not {given}"):
        Limits.model_validate({"tasksMax": given})
    assert Limits.model_validate({"tasksMax": 2}).tasks_max == 2
