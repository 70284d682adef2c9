"""Linear models to the optimum: full-batch steps for many strengths at once."""
