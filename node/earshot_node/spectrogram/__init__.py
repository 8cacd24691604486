"""A picture of the last event's sound: kept as the model hears it, drawn with numpy and zlib alone."""
