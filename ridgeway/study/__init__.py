"""Optuna's tables: written in bulk, read in columns."""
