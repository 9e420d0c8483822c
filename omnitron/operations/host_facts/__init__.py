"""Facts about the host, collected before planning: one module for each subject."""
