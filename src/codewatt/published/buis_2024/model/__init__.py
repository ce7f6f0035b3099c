"""The analytical model of Buis 2024: formulas as printed, as they are, and what they predict."""
