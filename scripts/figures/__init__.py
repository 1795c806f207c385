"""What the figure scripts take from run folders: cases, predictions and trained networks."""
