"""The front door: REST and the dashboard. Knows no torch."""
