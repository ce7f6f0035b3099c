"""A published study's energy figures, put to the same expectations as our own."""
