"""From trained weights to the ONNX graph that nodes run: export, INT8, and their measurements."""
