"""Drives consensus: signs, verifies, executes, syncs, recovers. Synchronous, over injected ports.

The engine never reads a clock, opens a socket or a file, or waits: the node gives it messages and ticks, and it
answers through its ports. So the deterministic simulator runs exactly what production runs.
"""
