"""A job taken to where people keep their experiments: a folder, MLflow, Weights & Biases."""
