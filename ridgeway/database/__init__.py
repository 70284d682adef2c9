"""The database: tables, engine, schema, and which of its errors pass."""
