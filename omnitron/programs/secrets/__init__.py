"""Secrets at run time: opening the store, and passing secrets to a program."""
