"""From a trained network to label maps, and from label maps to scores."""
