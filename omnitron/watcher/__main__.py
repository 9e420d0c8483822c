"""`python -m omnitron.watcher`: what `omnitron-watcher.service` runs."""

import sys

from omnitron.watcher.daemon import main

sys.exit(main(sys.argv[1:]))
