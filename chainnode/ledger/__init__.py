"""The ledger: checks, executes, commits and proves blocks. It is the only writer of the chain's store."""
