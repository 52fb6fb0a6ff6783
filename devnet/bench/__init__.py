"""Load on a fresh local network, and what it did: measured, checked, printed beside what the machine could do at most."""
