"""The household's own loop: from its recordings to a signed candidate that was compared with the active model."""
