"""Databases, caches and other services that apps need: which there are, where, and what apps are told of them."""
