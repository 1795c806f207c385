"""The papers' backbones: each one file, each taking the convolution to compare as an argument."""
