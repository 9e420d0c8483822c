"""Checks of a plan against the host: ports, accounts, and names that are in use."""
