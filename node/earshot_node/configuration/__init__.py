"""A node's configuration: read, checked, explained when it is wrong."""
