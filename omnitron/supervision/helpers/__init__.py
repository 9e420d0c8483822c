"""Helpers that systemd runs for a unit: at a crash, before a start, for a probe, a sweep, a gate."""
