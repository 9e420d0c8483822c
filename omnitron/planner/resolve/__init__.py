"""Stage one of the planner: every level of a definition merged into one flat value for each process."""
