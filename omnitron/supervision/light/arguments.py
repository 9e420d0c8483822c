"""A parser for the command lines of helpers. The import of argparse takes longer than a helper runs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def parse(
    arguments: Sequence[str], flags: Sequence[str] = (), rest: Sequence[str] = ()
) -> tuple[list[str], dict[str, str], list[str]]:
    """Split `arguments` into words, options by name (`--x VALUE`), and what follows an option of `rest`.

    A flag has no value and is returned as "yes"; an option of `rest` is returned as "" and takes all
    arguments after it. ValueError for an option without its value.
    """
    words: list[str] = []
    options: dict[str, str] = {}
    queue = list(arguments)
    while queue:
        argument = queue.pop(0)
        if argument in rest:
            options[argument] = ""
            return words, options, queue
        if argument in flags:
            options[argument] = "yes"
        elif not argument.startswith("--"):
            words.append(argument)
        elif queue:
            options[argument] = queue.pop(0)
        else:
            raise ValueError(f"{argument} needs a value")
    return words, options, []
