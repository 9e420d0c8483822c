"""Opens the secrets of a stack for its services: `python -m omnitron.programs.secrets open STORE FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from omnitron.errors import OmnitronError
from omnitron.secrets.sealed_store import SealedStore
from omnitron.secrets.store import PASSPHRASE_FILE
from omnitron.supervision.state import trusted_files


def main(arguments: list[str]) -> int:
    """Write each secret of STORE to a file in FOLDER, which is in memory; return an exit status."""
    if len(arguments) != 3 or arguments[0] != "open":
        print("usage: python -m omnitron.programs.secrets open STORE FOLDER", file=sys.stderr)
        return 2
    passphrase_file = os.environ.get(PASSPHRASE_FILE)
    try:
        secrets = SealedStore(Path(arguments[1]), Path(passphrase_file) if passphrase_file else None).all()
        with trusted_files.opened_folder(arguments[2], create=True) as folder:
            trusted_files.make_private(folder)
            for path in Path(f"/proc/self/fd/{folder}").iterdir():
                if path.name not in secrets:
                    trusted_files.remove_file(folder, path.name)
            for name, value in secrets.items():
                trusted_files.replace_file(folder, name, value.encode(), private=True)
    except OmnitronError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
