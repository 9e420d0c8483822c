"""Fills the templates in `unit_templates/`. A template is a unit file with names in place of values.

A line without a value (None, or no such key) is left out; a tuple repeats its line.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

from omnitron.planner.units.values import Unit
from omnitron.render.escape import lines

OMIT = "\0"
REPEAT = "\1"
DIGEST_KEY = "digest"

PACKAGE = Path(__file__).parents[1]


class _Missing(jinja2.Undefined):
    """A placeholder without a value: its line is left out."""

    def __str__(self) -> str:
        return OMIT


def _folder() -> Path:
    """Return the folder of templates: inside the installed package, or at the top of the source tree."""
    installed = PACKAGE / "unit_templates"
    return installed if installed.is_dir() else PACKAGE.parent / "unit_templates"


@cache
def plain(name: str) -> str:
    """Return the text of a file without placeholders."""
    return (_folder() / name).read_text()


@cache
def environment() -> jinja2.Environment:
    """Return the jinja2 environment of the templates."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_folder()),
        undefined=_Missing,
        keep_trailing_newline=True,
        auto_reload=False,
    )


def fill(unit: Unit) -> str:
    """Return the text of `unit`, with a mark in place of its digest."""
    context = {key: _text(lines(value)) for key, value in unit.values.items()}
    for section, pairs in unit.raw.items():
        context[f"raw_{section.lower()}"] = _text(tuple(f"{key}={value}" for key, value in pairs) or None)
    context[DIGEST_KEY] = "@"
    return _merge_lines(environment().get_template(f"{unit.template}.j2").render(context))


def _text(values: tuple[str, ...] | None) -> str:
    if not values:
        return OMIT
    return values[0] if len(values) == 1 else REPEAT + REPEAT.join(values)


def _merge_lines(filled: str) -> str:
    """Drop the lines without a value, repeat those with several, and merge blank lines."""
    output: list[str] = []
    for line in filled.split("\n"):
        if OMIT in line:
            continue
        key, *values = line.split(REPEAT)
        for text in [key + value for value in values] or [line]:
            if text or (output and output[-1]):
                output.append(text)
    return "\n".join(output).rstrip("\n") + "\n"
