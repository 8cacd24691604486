"""What may be wrong with this machine and this configuration, and the fix."""
