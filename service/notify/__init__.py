"""Tells the world of a job's end: who may be told, how a POST gets there, and when it is tried."""
