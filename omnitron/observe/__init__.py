"""What is: readings of units and cgroups, and the reports made of them."""
