"""Helpers that systemd runs for a unit: after a crash, before a start, for probes and gates."""
