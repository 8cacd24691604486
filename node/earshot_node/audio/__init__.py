"""From a device, a file or a stream to 16 kHz mono blocks."""
