"""On disk: where files go, what is ours, and how a set of them changes as one."""
