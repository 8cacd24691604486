"""Measuring a model through the node's own pipeline and detector, the way users feel it."""
