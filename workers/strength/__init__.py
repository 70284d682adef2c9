"""What `"lambda": "auto"` stands for."""
