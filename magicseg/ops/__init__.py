"""Stateless tensor functions, each usable alone."""
