"""What the user wrote: models of the definition, and the way from its files to a checked whole."""
