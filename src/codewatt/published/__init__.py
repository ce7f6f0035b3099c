"""A published study's energy figures, put to the same checks as our own."""
