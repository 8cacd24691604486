"""`node-cli`: a thin skin over the library."""
