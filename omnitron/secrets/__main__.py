"""Opens the secrets of a stack for its services: `python -m omnitron.secrets open STORE FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from omnitron.errors import OmnitronError
from omnitron.secrets.kept import PASSPHRASE_FILE
from omnitron.secrets.sealed import SealedStore
from omnitron.supervision import store


def main(arguments: list[str]) -> int:
    """Write every secret of STORE to a file of its own in FOLDER, which is in memory; an exit status."""
    if len(arguments) != 3 or arguments[0] != "open":
        print("usage: python -m omnitron.secrets open STORE FOLDER", file=sys.stderr)
        return 2
    given = os.environ.get(PASSPHRASE_FILE)
    try:
        secrets = SealedStore(Path(arguments[1]), Path(given) if given else None).all()
        with store.opened_folder(arguments[2], create=True) as folder:
            store.make_private(folder)
            for path in Path(f"/proc/self/fd/{folder}").iterdir():
                if path.name not in secrets:
                    store.remove_file(folder, path.name)
            for name, value in secrets.items():
                store.replace_file(folder, name, value.encode(), private=True)
    except OmnitronError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
