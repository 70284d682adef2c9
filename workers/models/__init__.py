"""What is trained: modules, their parameters, and where each lies in a member's row of numbers."""
