"""Migrations of Ridgeway's own tables (Alembic). Optuna's tables are Optuna's."""
