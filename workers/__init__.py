"""Training. Knows no FastAPI."""
