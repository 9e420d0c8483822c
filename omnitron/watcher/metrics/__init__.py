"""Metrics of running services: sampled, stored for a while, and exported."""
