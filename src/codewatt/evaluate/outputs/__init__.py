"""Expected outputs, and how the output of a program is compared with them."""
