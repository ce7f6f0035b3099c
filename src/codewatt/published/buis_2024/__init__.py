"""Buis 2024 (thesis, Utrecht University): its tables, and what follows from them."""
