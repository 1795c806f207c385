"""From run folders to tables, statistics and pictures."""
