"""Restart rules: budget, back-off, group strategy. Pure."""
