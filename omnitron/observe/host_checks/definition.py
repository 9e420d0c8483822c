"""The definition, and whether its programs are here."""

from __future__ import annotations

from collections.abc import Iterator

from omnitron.observe.host_checks.finding import Finding
from omnitron.observe.host_checks.programs import is_program
from omnitron.observe.host_checks.subject import Subject


def check(subject: Subject) -> Iterator[Finding]:
    """Look at the definition, and whether its programs are here."""
    definition = subject.definition
    if definition is None:
        return
    if definition.errors:
        more = f" (and {len(definition.errors) - 1} more)" if len(definition.errors) > 1 else ""
        yield Finding("definition", "fail", definition.errors[0] + more, definition.cure or "omnitron validate")
        return
    yield Finding("definition", "ok", f"{definition.path} is valid")
    for address, program in definition.programs:
        if not is_program(program):
            cure = "apt install nodejs" if program == "node" else "install it, or correct the definition"
            yield Finding("programs", "fail", f"{address} runs {program}, which is not here", cure)
