"""The penalties, a file each: penalties.py lists them, proximal.py has their steps."""
