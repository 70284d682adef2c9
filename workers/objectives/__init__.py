"""Losses that are trained, and metrics that trials are judged by."""
