"""One page on both reproduced studies: tables, figures, verdicts, and their open question."""
