"""What both ways of training share: the problem, the run, what is known of members, results."""
