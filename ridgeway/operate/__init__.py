"""What an operator asks for: whether all is well, room made, backups taken and restored."""
