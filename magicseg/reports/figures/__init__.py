"""Figures for papers: qualitative grids, class activation maps, training curves, accuracy against cost."""
