"""The journal of a stack: the host's journal, or a namespace of its own with its own limits."""

from __future__ import annotations

from omnitron.definition.ecosystem import Logging

SETTINGS = frozenset({"max_size", "max_files", "compress"})


def wants_namespace(logging: Logging) -> bool:
    """Return whether a definition asks for limits that only a namespace can have, or for one by name."""
    if "journal" in logging.model_fields_set:
        return logging.journal == "namespace"
    return bool(SETTINGS & logging.model_fields_set)


def namespace_settings(logging: Logging) -> list[tuple[str, str]]:
    """Return the `[Journal]` settings of a namespace; sizes in bytes."""
    return [
        ("SystemMaxFileSize", str(logging.max_size)),
        ("SystemMaxFiles", str(logging.max_files)),
        ("SystemMaxUse", str(logging.max_size * logging.max_files)),
        ("Compress", "yes" if logging.compress else "no"),
    ]
