"""A siren that the node plays to itself, to see whether it would be heard and told."""
