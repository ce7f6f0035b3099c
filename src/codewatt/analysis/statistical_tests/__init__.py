"""The statistical tests of the two reproduced studies, as tables (rule `statistical_tests`)."""
