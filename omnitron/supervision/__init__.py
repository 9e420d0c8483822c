"""Who restarts, and when: budget, back-off, crash record, and the short-lived helpers that systemd runs.

A leaf: standard library only, nothing of ours is imported. The helpers are started at every crash, by
`python -I -S`, so their modules import no `dataclasses`, `pathlib`, `subprocess` or `argparse`: each of
them takes as long as the interpreter itself.
"""
