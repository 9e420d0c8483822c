"""What to do now: from what should run and what does, to jobs on the bus in the right order."""
