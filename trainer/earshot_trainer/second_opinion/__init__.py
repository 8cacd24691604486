"""The second opinion: a deeper network that is asked only where the streaming one suspects a siren."""
