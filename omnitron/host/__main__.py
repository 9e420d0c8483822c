"""`python -m omnitron.host SPEC` runs one process of a bootstrap app."""

import gc
import sys

if __name__ == "__main__":
    # Imported modules are never garbage: Process enables the collector again when it begins to serve.
    gc.disable()
    from omnitron.host.main import main

    sys.exit(main())
