"""Plain answers, and what they become on each operation."""
