"""Music played by the instruments of a SoundFont: background that holds no siren and costs no recording."""
