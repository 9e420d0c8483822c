"""Definitions written in Python: evaluated in a process of their own, as the file's owner."""
