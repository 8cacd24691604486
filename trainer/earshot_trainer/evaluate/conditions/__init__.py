"""Changed conditions: what happens to a sound between its source and the model, one pure function each."""
