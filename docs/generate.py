"""Writes the generated pages of the documentation: one for each verb, and the reference of all fields.

The examples of a verb are those of `docs/examples/VERB.md`, which tests try on a machine.

`make docs` writes them; a test compares them with what this would write.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from omnitron.cli.main import VERBS
from omnitron.definition.fields import HOSTED, LATER
from omnitron.definition.schema import ROOTS, field_docs, json_schema, mark_of, models_of

HERE = Path(__file__).parent
GROUPS = {
    "sandbox": ["up", "exec", "shell", "status", "down"],
    "import": ["procfile", "compose", "pm2"],
    "secret": ["set", "get", "list", "delete", "rotate", "import"],
    "infra": ["status", "logs", "psql", "redis-cli", "reset"],
    "maintenance": ["on", "off", "status"],
}
# Where the examples are typed.
SHOP = "In the folder of the shop, `examples/shop`, whose stack `dev` is up:"
SETTING = {"dev": "In a project of their own:", "sandbox": "On a host that need not run systemd, as root:"}
TITLES = {"ecosystem": "`omnitron.config.*`", "system": "`bootstrap.*`", "app": "`config/default.json`, key `omnitron`"}


def pages() -> dict[Path, str]:
    """Return the text of every generated page."""
    made = {HERE / "verbs" / f"{verb}.md": verb_page(verb) for verb in VERBS}
    return made | {HERE / "verbs" / "README.md": index_page(), HERE / "fields.md": fields_page()}


def index_page() -> str:
    """Return the list of all verbs."""
    lines = ["# Verbs", "", "What each prints with `--help`.", ""]
    return "\n".join([*lines, *(f"- [`omnitron {verb}`]({verb}.md)" for verb in VERBS), ""])


def verb_page(verb: str) -> str:
    """Return the page of one verb: its help, examples, and the help of its own verbs."""
    parts = [f"# omnitron {verb}\n", _help(verb), f"## Examples\n\n{SETTING.get(verb, SHOP)}\n", examples(verb)]
    for inner in GROUPS.get(verb, []):
        parts += [f"## omnitron {verb} {inner}\n", _help(verb, inner)]
    return "\n".join(parts)


def examples(verb: str) -> str:
    """Return the examples of a verb; an error names the file where there are none."""
    return (HERE / "examples" / f"{verb}.md").read_text()


def _help(*words: str) -> str:
    environment = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "omnitron", *words, "--help"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    text = "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())
    return f"```text\n{text}\n```\n"


MARKS = {"": "", LATER: " *later*", HOSTED: " *module*"}


def fields_page() -> str:
    """Return the reference of all fields, from the models."""
    lines = [
        "# Fields",
        "",
        "Keys are camelCase; snake_case is accepted too. A duration is a number of milliseconds or text such as",
        '`"30s"`, a size a number of bytes or text such as `"50mb"`. Fields marked *later* are checked, and have',
        "no effect in this version; those marked *module* have one on processes with a `module`.",
    ]
    seen: set[str] = set()
    for kind, root in ROOTS.items():
        lines += ["", f"# {TITLES[kind]}"]
        if root.__name__ in seen:
            lines += ["", f"That is [{root.__name__}](#{root.__name__.lower()}), above."]
        schemas = _schemas(kind)
        for model in models_of(root):
            if model.__name__ not in seen:
                seen.add(model.__name__)
                lines += _model(model, schemas[model.__name__])
    return "\n".join(lines) + "\n"


def _schemas(kind: str) -> dict[str, Any]:
    schema = json_schema(kind)
    return {schema["title"]: schema, **schema.get("$defs", {})}


def _model(model: type[BaseModel], schema: dict[str, Any]) -> list[str]:
    lines = ["", f"## {model.__name__}", "", (model.__doc__ or "").strip(), ""]
    lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
    docs = field_docs(model)
    own = model.__annotations__
    for name in sorted(model.model_fields, key=lambda name: name not in own):
        field = model.model_fields[name]
        key = field.alias or name
        meaning = docs.get(name, "") + MARKS[mark_of(model, name)]
        cells = (f"`{key}`", _type(schema["properties"][key]), _default(field), meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return lines


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value in (None, PydanticUndefined) or isinstance(value, BaseModel):
        return ""
    plain = json.dumps(value, default=lambda one: one.model_dump(mode="json", by_alias=True, exclude_unset=True))
    return "" if plain in ("{}", "[]") else f"`{plain}`"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(one) for one in schema["anyOf"] if one.get("type") != "null"))
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object":
        return "mapping"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def main() -> None:
    """Write every page, and remove pages of verbs that are no more."""
    (HERE / "verbs").mkdir(exist_ok=True)
    made = pages()
    for path in (HERE / "verbs").glob("*.md"):
        if path not in made:
            path.unlink()
    for path, text in made.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
