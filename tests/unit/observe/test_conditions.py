"""Conditions: a code and a sentence for each, and nothing that decides by the sentence."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omnitron.observe import conditions
from omnitron.observe.conditions import Condition, ConditionKind, as_data, of_reason, text_of
from omnitron.supervision.state.group_state import GROUP_STOPPED, Reason

PACKAGE = Path(conditions.__file__).parents[1]

EACH: dict[str, tuple[Condition, str, dict[str, Any]]] = {
    "givenUp": (
        Condition(ConditionKind.GIVEN_UP, detail="crashed (exit code 1): given up after 3 restarts"),
        "crashed (exit code 1): given up after 3 restarts",
        {"detail": "crashed (exit code 1): given up after 3 restarts"},
    ),
    "failed": (Condition(ConditionKind.FAILED), "failed: see `omnitron logs`", {}),
    "unitRefused": (
        Condition(ConditionKind.UNIT_REFUSED, "a.service"),
        "systemd refuses its unit: see `systemctl status a.service`",
        {"by": "a.service"},
    ),
    "checksFailing": (
        Condition(ConditionKind.CHECKS_FAILING, detail="no answer", failures=1, retries=3),
        "1 of 3 health checks failed: no answer",
        {"detail": "no answer", "failures": 1, "retries": 3},
    ),
    "selfReportedDegraded": (
        Condition(ConditionKind.SELF_REPORTED_DEGRADED, detail="so so"),
        "says that it is degraded: so so",
        {"detail": "so so"},
    ),
    "selfReportedUnhealthy": (
        Condition(ConditionKind.SELF_REPORTED_UNHEALTHY),
        "says that it is unhealthy",
        {},
    ),
    "blocked": (Condition(ConditionKind.BLOCKED, "dev/db"), "blocked by db", {"by": "dev/db"}),
    "groupRestarting": (
        Condition(ConditionKind.GROUP_RESTARTING, "dev/api:web@2"),
        "restarts with api:web@2, which crashed",
        {"by": "dev/api:web@2"},
    ),
    "groupStopped": (
        Condition(ConditionKind.GROUP_STOPPED, "dev/api", "crashed: given up"),
        "ended with api, which crashed: given up",
        {"by": "dev/api", "detail": "crashed: given up"},
    ),
    "socketFailed": (
        Condition(ConditionKind.SOCKET_FAILED, "a.socket", port=80),
        "a.socket has failed: is port 80 taken?",
        {"by": "a.socket", "port": 80},
    ),
    "backingOff": (
        Condition(ConditionKind.BACKING_OFF, restarts_left=4, starts_in_s=2.6),
        "crashed; next start in 3 s, 4 more until it is given up",
        {"restartsLeft": 4, "startsIn": 2600},
    ),
    "starting": (Condition(ConditionKind.STARTING, detail="warming up"), "warming up", {"detail": "warming up"}),
    "notEnabled": (Condition(ConditionKind.NOT_ENABLED), "not enabled", {}),
    "other": (Condition(ConditionKind.OTHER, "dev/api", "moved"), "moved", {"by": "dev/api", "detail": "moved"}),
}


def test_every_kind_is_here() -> None:
    assert list(EACH) == [kind.value for kind in ConditionKind]


@pytest.mark.parametrize("kind", EACH)
def test_a_code_and_its_sentence(kind: str) -> None:
    condition, text, about = EACH[kind]
    assert condition.text == text_of(condition) == text
    assert as_data(condition) == {"kind": kind, **about, "text": text}


def test_nothing_to_report() -> None:
    assert text_of(None) == ""
    assert as_data(None) is None


def test_what_the_watcher_has_written() -> None:
    coded = Reason(1.0, "x.service", "ended with x, which crashed", GROUP_STOPPED, "crashed")
    assert of_reason(coded, "dev/x") == Condition(ConditionKind.GROUP_STOPPED, "dev/x", "crashed")
    assert of_reason(coded, "dev/x").text == coded.text


@pytest.mark.parametrize("kind", ["", "moved"])
def test_what_another_version_has_written(kind: str) -> None:
    found = of_reason(Reason(1.0, "x.service", "moved with x", kind), "dev/x")
    assert (found.kind, found.text) == (ConditionKind.OTHER, "moved with x")


# --- nothing reads a sentence back ---

ASKS_OF_TEXT = ("startswith", "endswith", "partition", "rpartition", "removeprefix", "removesuffix", "split", "find")
MATCHES = ("match", "fullmatch", "search")
PIECES = re.compile(r"[^a-z; ]+")
TEXTS = [text for _, text, _ in EACH.values()]


def decisions(tree: ast.AST) -> Iterator[ast.expr]:
    """What a module compares, matches, or takes apart."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            yield from (node.left, *node.comparators)
        elif isinstance(node, ast.Match):
            yield node.subject
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ASKS_OF_TEXT:
                yield from (node.func.value, *node.args)
            elif node.func.attr in MATCHES:
                yield from node.args


def is_sentence(node: ast.AST) -> bool:
    """Whether this is the sentence of a condition, or a piece of one that nothing else would be."""
    if isinstance(node, ast.Attribute) and node.attr in ("text", "detail"):
        return "condition" in ast.unparse(node.value).lower()
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in ("text_of", "sentence") and "condition" in ast.unparse(node)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return any(" " in piece.strip() and piece in text for piece in PIECES.split(node.value) for text in TEXTS)
    return False


def broken(source: str) -> list[int]:
    """The lines of a module that decide by a sentence."""
    return [
        part.lineno
        for decided in decisions(ast.parse(source))
        for part in ast.walk(decided)
        if isinstance(part, ast.expr) and is_sentence(part)
    ]


@pytest.mark.parametrize(
    "source",
    [
        "app.condition.text == x",
        "if service.condition.text.startswith('blocked'): pass",
        "x in text_of(service.condition)",
        "note == f'blocked by {name}'",
        "note.startswith('ended with')",
        "re.match('.*next start in', note)",
        "match app.condition.text:\n case 'x': pass",
    ],
)
def test_a_decision_by_a_sentence_is_seen(source: str) -> None:
    assert broken(source)


@pytest.mark.parametrize("source", ["condition.kind == ConditionKind.BLOCKED", "condition.text or why", "a == 'b c'"])
def test_what_decides_by_a_code_passes(source: str) -> None:
    assert not broken(source)


def test_nothing_decides_by_a_sentence() -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if path != Path(conditions.__file__)]
    found = {str(path.relative_to(PACKAGE)): broken(path.read_text()) for path in modules}
    assert {path: lines for path, lines in found.items() if lines} == {}
