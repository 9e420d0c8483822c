"""JSON-RPC: methods, their dispatch, and calls of other processes."""
