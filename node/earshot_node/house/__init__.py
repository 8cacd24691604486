"""One alarm for the whole house out of what all nodes at a broker hear."""
