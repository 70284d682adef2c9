"""The JobSpec: what a search job may ask for, and whether it fits its data."""
