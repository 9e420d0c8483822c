"""The present state: snapshots of units and cgroups, and the reports made of them."""
