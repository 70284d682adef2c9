"""Processes on one machine: started, watched, started again."""
