"""Automatic scaling of pools by their load."""
