"""What the trainer knows: nodes, invites, recordings and where they came from. SQLite, or PostgreSQL by URL."""
