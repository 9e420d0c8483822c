"""The base of every definition model, and the field types they share."""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from omnitron import names
from omnitron.secrets import references

SECRET = "secret"
LATER = "x-omnitron-later"
"""Key in a field's extra data: validated, but nothing is made of it yet."""

HOSTED = "x-omnitron-module-only"
"""Key in a field's extra data: it has an effect on processes that have a `module`."""

DURATION_UNITS = {
    "ms": 1,
    "s": 1000,
    "sec": 1000,
    "m": 60_000,
    "min": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
}
SIZE_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
MAX_DURATION_MS = 10 * 366 * 86_400_000

QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


class Model(BaseModel):
    """A frozen piece of a definition; keys are camelCase, snake_case is accepted too."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=True,
        protected_namespaces=(),
        # Only the roots are validated on their own: building each part alone too doubles the start.
        defer_build=True,
    )


def later(default: Any = None, **kwargs: Any) -> Any:
    """Declare a field that is checked but has no effect yet; setting it is reported."""
    key = "default_factory" if callable(default) else "default"
    return Field(**{key: default}, json_schema_extra={LATER: True}, **kwargs)


def hosted(default: Any = None, **kwargs: Any) -> Any:
    """Declare a field that only the process host acts on: setting it for another program is reported."""
    key = "default_factory" if callable(default) else "default"
    return Field(**{key: default}, json_schema_extra={HOSTED: True}, **kwargs)


def parse_duration(value: object) -> int:
    """Return milliseconds for a number of them or for `"30s"`, `"5min"`, `"1.5h"`.

    Raises ValueError for anything else, for negative values and beyond ten years.
    """
    return _duration(value, number_unit_ms=1)


def parse_seconds(value: object) -> float:
    """Return seconds for a number of them, or for the textual forms of `parse_duration`."""
    return _duration(value, number_unit_ms=1000) / 1000


def _duration(value: object, number_unit_ms: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError('must be a duration: a number, or text such as "30s"')
    if isinstance(value, str):
        match = QUANTITY.fullmatch(value)
        factor = DURATION_UNITS.get((match[2] or "ms").lower()) if match else None
        if match is None or factor is None:
            raise ValueError(f'must be a duration such as 500, "30s" or "5min", not {value!r}')
        milliseconds = float(match[1]) * factor
    else:
        milliseconds = float(value) * number_unit_ms
    if not 0 <= milliseconds <= MAX_DURATION_MS:
        raise ValueError(f"must be between 0 and ten years, not {value!r}")
    return round(milliseconds)


def parse_size(value: object) -> int:
    """Return bytes for a number of them or for `"50mb"`, `"2gb"`, `"64k"` (powers of 1024)."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError('must be a size: a number of bytes, or text such as "50mb"')
    if isinstance(value, str):
        match = QUANTITY.fullmatch(value)
        unit = re.sub(r"i?b$", "", match[2].lower()) if match else "?"
        if match is None or unit not in SIZE_UNITS:
            raise ValueError(f'must be a size such as 1048576, "50mb" or "2gb", not {value!r}')
        value = round(float(match[1]) * SIZE_UNITS[unit])
    if not 0 <= value < 1 << 63:
        raise ValueError(f"must be between 0 and 8 exabytes, not {value!r}")
    return value


def parse_pattern(value: Any) -> str:
    """Take a line as in a .gitignore."""
    text = parse_text(value)
    # 6 ms, and few definitions have one.
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([text])
    except (ValueError, re.error):
        raise ValueError(f"must be a pattern as in a .gitignore, not {text!r}") from None
    return text


def parse_name(value: object) -> str:
    """Return `value` when it is a name (see `omnitron.names`), else raise ValueError."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    if reason := names.why_not_a_name(value):
        raise ValueError(f"{value!r} is not a name: it {reason}")
    return value


def parse_text(value: object) -> str:
    """Return text without NUL, or raise ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {type(value).__name__}; put it in quotes")
    if "\0" in value:
        raise ValueError("may not hold a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("is not valid Unicode") from error
    return value


def parse_function(value: object) -> str:
    """Return a reference to a function, `file.py:function` or `package.module:function`, or raise ValueError."""
    text = parse_text(value)
    where, _, name = text.rpartition(":")
    if not where or not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f"must name a function as `file.py:function` or `package.module:function`, not {text!r}")
    return text


def parse_environment_value(value: object) -> str:
    """Return the text of an environment value; whole numbers become their digits.

    Control characters other than tab and newline are refused: systemd drops such an assignment.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    text = parse_text(value)
    for character in text:
        if (character < " " and character not in "\t\n") or character == "\x7f":
            raise ValueError(f"holds the control character U+{ord(character):04X}, which systemd does not pass on")
    for word in re.findall(r"\$\{([A-Za-z]+):(?![-=?+])", text):
        # Anything else in braces may be meant for the program.
        if word != SECRET and difflib.get_close_matches(word.lower(), [SECRET], cutoff=0.75):
            raise ValueError(f"refers to ${{{word}:…}}; did you mean ${{{SECRET}:…}}?")
    for name in references.names_in(text):
        if reason := names.why_not_a_name(name):
            raise ValueError(f"refers to the secret {name!r}, which is no name: it {reason}")
    return text


def parse_environment_name(value: object) -> str:
    """Return an environment variable's name, or raise ValueError."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError(f"{value!r} is not the name of an environment variable")
    return value


def parse_argv(value: object) -> list[str]:
    """Return an argument vector: a non-empty list of text whose first item is a program."""
    if isinstance(value, str):
        raise ValueError('must be a list, one item per argument, such as ["node", "server.js"]')
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("must be a list with at least the program")
    argv = [parse_text(item) for item in value]
    program = argv[0]
    # systemd reads other first characters as marks (@ - : + ! |) and expands nothing in a program's path.
    if not re.match(r"[A-Za-z0-9_./]", program) or not program.isprintable() or set(program) & set("\\$\"'"):
        raise ValueError(f"{program!r} cannot be the path or name of a program in a unit file")
    return argv


def parse_folder(value: object) -> bool | str:
    """Return true, false, or the name of a folder (`uploads`, `uploads/new`); systemd drops what is no plain path."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise ValueError(f"must be true, false or the name of a folder, not {value!r}")
    for part in value.split("/"):
        if reason := names.why_not_a_name(part):
            raise ValueError(f"{value!r} is not the name of a folder: {part!r} {reason}")
    return value


_DURATION_SCHEMA = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|sec|m|min|h|d)?\s*$"},
    ]
}
_SIZE_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*([kmgtKMGT]?[iI]?[bB]?)\s*$"},
    ]
}

Duration = Annotated[int, BeforeValidator(parse_duration), WithJsonSchema(_DURATION_SCHEMA)]
"""Milliseconds, or text with a unit."""
Seconds = Annotated[float, BeforeValidator(parse_seconds), WithJsonSchema(_DURATION_SCHEMA)]
"""Seconds, or text with a unit."""
Size = Annotated[int, BeforeValidator(parse_size), WithJsonSchema(_SIZE_SCHEMA)]
"""Bytes, or text with a unit."""
Name = Annotated[
    str,
    BeforeValidator(parse_name),
    WithJsonSchema({"type": "string", "maxLength": names.MAX_LENGTH, "pattern": f"^{names.NAME.pattern}$"}),
]
"""A name that fits into a unit name."""
Folder = Annotated[bool | str, BeforeValidator(parse_folder), WithJsonSchema({"type": ["boolean", "string"]})]
"""True, false, or the name of a folder."""
Text = Annotated[str, BeforeValidator(parse_text), WithJsonSchema({"type": "string"})]
"""Text without NUL."""
Pattern = Annotated[str, BeforeValidator(parse_pattern), WithJsonSchema({"type": "string"})]
"""A line as in a .gitignore."""
Function = Annotated[
    str,
    BeforeValidator(parse_function),
    WithJsonSchema({"type": "string", "pattern": r"^.+:[A-Za-z_][A-Za-z0-9_.]*$"}),
]
"""A function: `file.py:function` or `package.module:function`."""
Argv = Annotated[
    list[str],
    BeforeValidator(parse_argv),
    WithJsonSchema({"type": "array", "items": {"type": "string"}, "minItems": 1}),
]
"""A program and its arguments."""
Environment = dict[
    Annotated[str, BeforeValidator(parse_environment_name)],
    Annotated[str, BeforeValidator(parse_environment_value), WithJsonSchema({"type": ["string", "integer"]})],
]
"""Environment variables."""
Port = Annotated[int, Field(ge=1, le=65535)]
"""A TCP port."""
