"""`python -m omnitron.host SPEC` runs one process of a bootstrap app."""

import gc
import sys

if __name__ == "__main__":
    # What is imported lives as long as the process: the collector need not look at it, until it serves.
    gc.disable()
    from omnitron.host.main import main

    sys.exit(main())
