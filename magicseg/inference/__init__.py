"""What a finished run is for: segmenting new images, and leaving Python as a graph."""
