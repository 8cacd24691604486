"""Outputs for other sounds than sirens, on top of a network that has learnt to hear these."""
