"""The documents: links, marks of blocks, and how a test reads them; tests/system/test_docs.py follows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from omnitron.definition.schema import ROOTS, field_docs, models_of
from tests.support.documents import ROOT, Command, File, anchors, blocks, documents, links, matches, skipped, steps

MAX_SKIPPED = 12
"""Blocks that no test runs, in all documents together: they are few, and each has its reason."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", documents(), ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)}: {link}"
        if anchor:
            assert anchor in anchors(target.read_text()), f"{name(page)}: {link}"


def test_every_page_can_be_reached() -> None:
    reached, pending = set(), [ROOT / "README.md", ROOT / "docs/README.md"]
    while pending:
        page = pending.pop()
        if page not in reached and page.is_file() and page.suffix == ".md":
            reached.add(page)
            pending += [(page.parent / link.partition("#")[0]).resolve() for link in links(page.read_text())]
    missing = [page for page in documents() if page not in reached and page.parent.name != "examples"]
    assert not missing, f"no link leads to {[name(page) for page in missing]}"


@pytest.mark.parametrize("page", documents(), ids=name)
def test_blocks_are_of_a_known_kind(page: Path) -> None:
    for block in blocks(page.read_text()):
        words = block.info.split()
        assert words, f"{name(page)}:{block.line}: a block without a language"
        assert words[0] != "console" or words[1:] in ([], ["no-run"]), f"{name(page)}:{block.line}: {block.info}"
    list(steps(page.read_text()))


def test_blocks_that_nobody_runs_are_few_and_say_why() -> None:
    found = [(page, block, reason) for page in documents() for block, reason in skipped(page.read_text())]
    generated = ROOT / "docs/verbs"
    assert not [f"{name(page)}:{block.line}" for page, block, reason in found if not reason]
    assert len([page for page, _, _ in found if page.parent != generated]) <= MAX_SKIPPED


def fields() -> Iterator[tuple[type[BaseModel], str, str]]:
    for model in dict.fromkeys(model for root in ROOTS.values() for model in models_of(root)):
        for field, text in field_docs(model).items():
            yield model, field, text


def test_every_field_says_something() -> None:
    short = [f"{model.__name__}.{field}: {text}" for model, field, text in fields() if len(text.split()) < 4]
    assert not short


def test_durations_and_sizes_name_their_unit() -> None:
    for model, field, text in fields():
        annotations = [
            annotation for cls in model.__mro__ if (annotation := vars(cls).get("__annotations__", {}).get(field))
        ]
        kinds = re.findall(r"\b(Duration|Seconds|Size)\b", annotations[0])
        place = f"{model.__name__}.{field}: {text}"
        assert "Size" not in kinds or "bytes" in text, place
        assert not {"Duration", "Seconds"} & set(kinds) or re.search(r"\b(milli)?seconds\b", text), place


DOCUMENT = """\
Write `app/config.yaml`:

```yaml
a: 1
```

```console
$ echo one \\
> two
one two
$ false  # exit status 1
$ sleep 9
tick
^C
```

<!-- It needs a terminal. -->

```console no-run
$ top
```
"""


def test_steps_are_files_and_commands_in_order() -> None:
    file, echo, false, sleep = steps(DOCUMENT)
    assert isinstance(file, File) and file.name == "app/config.yaml" and file.text == "a: 1\n"
    assert isinstance(echo, Command) and echo.text == "echo one \\\ntwo" and echo.output == ["one two"]
    assert isinstance(false, Command) and false.status == 1 and not false.output
    assert isinstance(sleep, Command) and sleep.interrupted
    (block, reason) = skipped(DOCUMENT)[0]
    assert block.lines == ("$ top",) and reason == "It needs a terminal."


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("stock online 125 12.2% 39.2M", "stock  online  7  0.1%  512K", True),
        ("stock online 125", "stock failed 125", False),
        ("up for 1.5 s", "up for 300 ms", False),  # the unit of a number on its own is a word
        ("0.0 s  a.service is online", "12.3 s  a.service is online", True),
        ("PID 125", "PID -", True),
        ("listens on 127.0.0.1:8480", "listens on 127.0.0.1:9999", True),
        ("omnitron-dev-health-15s.timer", "omnitron-dev-sweep-15s.timer", False),
        ("a\n…\nz", "a\nb\nc\nz", True),
        ("a\n…\nz", "a\nz", True),
        ("a\n…\nz", "a\nb", False),
        ("a\nb", "a\nb\nc", False),
        ("error: … not found", "error: the file x not found", True),
        ("/tmp/x-…/log", "/tmp/x-4fa2/log", True),
        ("cpu 3% ▁▂▃", "cpu 4%", True),
        ("up 2s 0 restarts", "up 1m 20s 3 restarts", True),
    ],
)
def test_output_is_compared_word_by_word(shown: str, printed: str, same: bool) -> None:
    assert matches(shown.splitlines(), printed.splitlines()) is same


def test_anchors_are_those_of_the_headings() -> None:
    assert anchors("# What is `wrong`, and why\n## Twice\n## Twice\n") == {"what-is-wrong-and-why", "twice", "twice-1"}
