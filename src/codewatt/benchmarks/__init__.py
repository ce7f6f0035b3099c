"""The tasks that models are asked to solve."""
