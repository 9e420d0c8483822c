"""`python -m omnitron.watcher`: the program of `omnitron-watcher.service`."""

import sys

from omnitron.watcher.daemon import main

sys.exit(main(sys.argv[1:]))
