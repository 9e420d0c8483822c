"""The command line by which a person reads the log of a unit."""

from __future__ import annotations


def journal_command(unit: str, *, is_user: bool = False, namespace: str | None = None) -> str:
    """Return the command line that shows the end of the log of `unit`, with what its manager says of it."""
    # `+` adds the host's journal, which has the manager's lines; a user's units have no namespace.
    scope = " --user" if is_user else f" --namespace=+{namespace}" if namespace else ""
    return f"journalctl{scope} -e -u {unit}"
