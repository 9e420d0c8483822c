"""Use cases without a terminal: values in, values out, progress through events. Every front end calls these."""
