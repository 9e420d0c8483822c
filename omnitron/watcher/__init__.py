"""Over several units: what directives cannot say. Nothing depends on it for staying alive."""
