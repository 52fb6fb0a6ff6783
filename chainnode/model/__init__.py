"""The shared nouns of the chain and their canonical bytes. Imports nothing of the project."""
