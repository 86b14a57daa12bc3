"""What became of the targets of a task, and scanning some of them again."""
