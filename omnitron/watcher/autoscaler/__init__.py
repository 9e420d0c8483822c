"""Pools that follow their load."""
