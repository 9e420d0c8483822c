"""Reads a rendered unit as systemd does, and compares it with the plan: nothing more, nothing less."""

from __future__ import annotations

import re

from omnitron.planner.units.values import Assignment, Bind, Command, Literal, Own, Unit, Value, Word
from omnitron.render.templates import environment
from omnitron.render.unitfile import Sections, parse, split_words

LINE = re.compile(r"(?P<key>[A-Za-z]+)=(?P<fixed>.*?)(?:\{\{ (?P<variable>\w+) \}\})?")


def template_lines(name: str) -> list[str]:
    loader = environment().loader
    assert loader
    return loader.get_source(environment(), f"{name}.j2")[0].splitlines()


def planned_sections(unit: Unit) -> dict[str, list[tuple[str, Value]]]:
    """The directives that a unit must have, by section and in order, from its template and its values."""
    sections: dict[str, list[tuple[str, Value]]] = {}
    current: list[tuple[str, Value]] = []
    for line in template_lines(unit.template):
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), [])
        elif line.startswith("{{ raw_"):
            section = line.removeprefix("{{ raw_").removesuffix(" }}").title()
            current += [(key, f"\0{text}") for key, text in unit.raw.get(section, ())]
        elif line and not line.startswith("#"):
            match = LINE.fullmatch(line)
            assert match, line
            value = unit.values.get(match["variable"]) if match["variable"] else match["fixed"]
            values = value if isinstance(value, tuple) else (value,)
            current += [(match["key"], item) for item in values if item is not None and match["variable"] != "digest"]
    return sections


def reads_back(value: Value, text: str) -> bool:
    """Whether systemd makes `value` of what stands behind `=`."""
    match value:
        case bool():
            return text == ("yes" if value else "no")
        case str() if value.startswith("\0"):
            return text == value[1:].strip()
        case str() | int():
            return text == str(value)
        case Literal(said):
            return not re.search(r"(?<!%)(%%)*%(?!%)", text) and text.replace("%%", "%") == said
        case Word(said):
            return split_words(text) == [said]
        case Assignment(name, said):
            return split_words(text) == [f"{name}={said}"]
        case Bind(path):
            inner = text[1:-1] if text.startswith('"') else text
            plain = not set(inner) & set('"\\') and (text != inner or not set(inner) & set(" :'"))
            return plain and inner.replace("%%", "%") == path
        case Command():
            return _command_reads_back(value, text)
    raise AssertionError(value)


def _command_reads_back(line: Command, text: str) -> bool:
    given = [word for word in line.words if isinstance(word, str)]
    prefix = line.prefix + (":" if any("$" in word for word in given) else "")
    words = split_words(text.removeprefix(prefix))
    said = [word.text if isinstance(word, Own) else word for word in line.words]
    return text.startswith(prefix) and not re.match(r"[-@:+!|]", words[0]) and words == said


def check(unit: Unit, text: str) -> Sections:
    """Assert that `text` is `unit`, as systemd reads it, and return its directives."""
    assert not set("\r\0") & set(text) and not text.startswith("\n") and text.endswith("\n")
    lines = text.split("\n")
    assert not any(line.endswith("\\") for line in lines)
    comments = [line for line in template_lines(unit.template) if line.startswith("#")]
    assert len([line for line in lines if line.lstrip().startswith(("#", ";"))]) == len(comments)
    assert all(line.startswith("# ") for line in lines[: len(comments)])
    found, expected = parse(text), planned_sections(unit)
    digest = found["X-Omnitron"].pop()
    assert digest[0] == "Digest" and re.fullmatch(r"[0-9a-f]{16}", digest[1])
    assert list(found) == list(expected)
    for section, directives in expected.items():
        assert [key for key, _ in found[section]] == [key for key, _ in directives], section
        for (key, value), (_, written) in zip(directives, found[section], strict=True):
            assert reads_back(value, written), (key, value, written)
    return found
