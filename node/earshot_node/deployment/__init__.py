"""Models that come from outside the package: slots on disk, installation, watch, rollback."""
