"""Rules and state of restarts (budget, back-off, crash record), and the short-lived helpers that systemd runs.

This package imports only the standard library, and no other package of omnitron. systemd starts the helpers at
every crash, by `python -I -S`. Their modules must not import `dataclasses`, `pathlib`, `subprocess` or `argparse`:
the import of each takes as long as the start of the interpreter.
"""
