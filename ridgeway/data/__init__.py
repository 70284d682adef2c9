"""Data sets: files as they come in, canonical tables, the catalogue, bytes in the store."""
