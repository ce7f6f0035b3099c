"""codewatt: what compressing a code LLM costs and saves in energy, time and accuracy."""
