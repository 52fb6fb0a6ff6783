"""The composition root: the only place where the parts of a node are wired together.

home          what lies in a node's home: genesis, keys, who we are in them
network       the engine's network port over p2p
driver        gives the synchronous engine its turns on the event loop
observers     everybody who watches the engine, as one
library_logs  brings the records of the standard library's logging into the log
run           wires, starts and stops a validator
offline       opens a home without starting it: rebuild
"""
