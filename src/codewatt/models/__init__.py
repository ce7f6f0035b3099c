"""Model files: fetching, checking, describing and loading them."""
