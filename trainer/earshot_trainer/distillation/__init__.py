"""What a published tagger hears in mixtures, as something to learn."""
