"""The documents hold: what a reader types from them works, and prints what they show.

DOCS=NAME runs only the documents with that in their name; DOCS_UPDATE=1 writes what was printed into them, where it
differs from what they show, or they show nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documents import CTRL_C, ROOT, Command, documents, steps
from tests.support.machines import Machine
from tests.support.readers import Reader

UPDATE = bool(os.environ.get("DOCS_UPDATE"))
EXAMPLES = ROOT / "docs/examples"
SHOP = "/srv/shop"
# The pages of the shop, which runs before the first of them and is brought down by the last.
_VERBS = sorted(page for page in EXAMPLES.glob("*.md") if page.stem != "down")
SHOP_PAGES = [*_VERBS, ROOT / "README.md", EXAMPLES / "down.md"]
# On a slow machine a delay of one second is over before the reader has typed the next command.
PATIENT = "supervision: {backoff: {initial: 5s}}"
# Generated from what has been read already.
GENERATED = [ROOT / "docs/verbs", EXAMPLES]
# Pages that explain, and show commands without a system that they would fit.
EXPLANATIONS = {"infrastructure.md", "modules.md", "supervision.md", "units.md"}


def chosen(pages: list[Path]) -> list[Path]:
    return [page for page in pages if os.environ.get("DOCS", "") in str(page)]


PAGES = [
    page
    for page in documents()
    if page not in SHOP_PAGES and page.parent not in GENERATED and any(steps(page.read_text()))
    if page.name not in EXPLANATIONS
]


@pytest.fixture
def clean(debian12: Machine) -> Iterator[Machine]:
    """A machine with nothing of omnitron's on it, before and after."""
    forget(debian12)
    yield debian12
    forget(debian12)


def forget(machine: Machine) -> None:
    """Stop and remove whatever a document has made."""
    machine.systemctl("stop", "omnitron-*", "hello-*", "blog-*", check=False)
    installed = " ".join(
        f"{folder}/{prefix}-*"
        for folder in ("/etc/systemd/system", "/etc/systemd/system/*.wants", "/etc/omnitron")
        for prefix in ("omnitron", "blog", "hello")
    )
    machine.run(
        "sh",
        "-c",
        f"rm -rf /srv/* {installed} /var/lib/omnitron /var/lib/blog /run/omnitron/omnitron /etc/omnitron/secrets "
        "/etc/dbus-1/system.d/dev.omnitron.Watcher1.conf /etc/sysusers.d/omnitron.conf",
    )
    machine.systemctl("daemon-reload")
    machine.systemctl("reset-failed", check=False)


def follow(reader: Reader, page: Path, folder: str) -> None:
    different = reader.read(page, str(page.relative_to(ROOT)), folder)
    if different and UPDATE:
        update(page, different)


def update(page: Path, different: list[tuple[Command, list[str]]]) -> None:
    """Write what was printed into a document; the last first, so that line numbers stay right."""
    lines = page.read_text().splitlines()
    for command, printed in reversed(different):
        first = command.line + command.text.count("\n")
        end = [CTRL_C] if command.interrupted else []
        lines[first : first + len(command.output)] = printed + end
    page.write_text("\n".join(lines) + "\n")


def report(reader: Reader) -> None:
    assert not reader.problems, "\n".join(reader.problems)


def test_the_shop_does_what_its_pages_show(clean: Machine) -> None:
    pages = chosen(SHOP_PAGES)
    if not pages:  # DOCS names another
        return
    clean.run("cp", "-r", str(clean.code / "examples/shop"), SHOP)
    clean.run("sh", "-c", f"echo '{PATIENT}' >>{SHOP}/omnitron.config.yaml")
    clean.omnitron("up", cwd=SHOP)
    reader = Reader(clean, strict=UPDATE)
    for page in pages:
        follow(reader, page, SHOP)
    report(reader)


@pytest.mark.parametrize("page", chosen(PAGES), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_document_holds(clean: Machine, page: Path) -> None:
    reader = Reader(clean, strict=UPDATE)
    follow(reader, page, "/root")
    report(reader)
