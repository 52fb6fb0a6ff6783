"""Local networks of real node processes: up, down, faults, demo, load."""
