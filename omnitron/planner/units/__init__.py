"""Stage two of the planner: the units made of resolved processes."""
