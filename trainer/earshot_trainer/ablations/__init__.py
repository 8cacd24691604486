"""Ablations: the network with one part exchanged, trained and measured as the network itself; see scripts/ablations."""
