"""Secrets of a stack: stored encrypted, referred to by name, and passed only to the processes that use them."""
