"""What networks would do that this machine cannot hold: measured costs, real sizes, a simulated network."""
