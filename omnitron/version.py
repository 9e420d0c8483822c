"""The version of omnitron, and the oldest of what it runs on: the one place that says either."""

__version__ = "0.1.0"

OLDEST_SYSTEMD = 252
"""Debian 12 has it."""
