"""An evaluation as a page to read and listen to."""
