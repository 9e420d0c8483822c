"""The planner: pure functions from a definition and facts about the host to a plan of units."""
