"""Modules to train, their parameters, and where each lies in a member's row of numbers."""
