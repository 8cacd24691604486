"""The model: features, network, signal path."""
