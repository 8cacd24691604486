"""A broker, a node and a street scene on one screen."""
