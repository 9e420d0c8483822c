"""Secrets at run time: what opens them, and what hands them to a program."""
