"""Real parts and waiting for tests."""
