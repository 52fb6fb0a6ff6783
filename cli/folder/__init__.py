"""Notarizing folders: walking, hashing, lists under way, proofs and manifest (docs/formats/folder.md)."""
