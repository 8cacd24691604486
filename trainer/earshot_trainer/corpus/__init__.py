"""What there is to learn from: recordings, their split into sides, their decoded audio."""
