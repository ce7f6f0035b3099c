"""How much of its baseline a variant keeps: logits, their distributions, perplexity."""
