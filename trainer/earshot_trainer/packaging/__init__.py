"""From a quantized graph and what was measured to one `.earshot` file that nodes verify and run."""
