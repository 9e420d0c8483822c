"""Secrets of a stack: kept encrypted, referred to by name, and given to the processes that use them alone."""
