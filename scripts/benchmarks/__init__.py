"""What `scripts/benchmark.py` measures, one file a subject, and the published forms that it measures against."""
