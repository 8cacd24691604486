"""What people say about recordings: labelling, importing, exporting, and the page where it is done."""
