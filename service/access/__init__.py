"""Who asks, and what they may: the door, signing in, and what belongs to whom."""
