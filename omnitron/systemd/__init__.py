"""On the bus: the manager, its units and jobs, and the journal."""
