"""Names of the rules by which an output is compared with the expected output.

`codewatt.evaluate.outputs.special_oracles` applies them.
"""

EQUAL = "equal"
"""The outputs are equal, or close within the tolerance (`Task.atol`)."""

POLYNOMIAL_ROOT = "polynomial_root"
"""The output is a root of the polynomial whose coefficients are the first argument."""

SAME_SET = "same_set"
"""Both outputs have the same items, in any order and any number."""

NOT_NONE = "not_none"
"""Both outputs are None, or neither is; the expected output is stored as true or false."""

ANY_OUTPUT = "any_output"
"""Every output is right."""

EQUAL_OR_ZERO = "equal_or_zero"
"""As `EQUAL`, and 0 is right too."""

PYRAMID_SURFACE = "pyramid_surface"
"""As `EQUAL`, and the rounded surface of a square pyramid of this base edge and height is too."""

DIGIT_DISTANCE = "digit_distance"
"""As `EQUAL`, and the sum of digit differences after zero padding is right too."""

OUTPUT_RULES = (
    *(EQUAL, POLYNOMIAL_ROOT, SAME_SET, NOT_NONE, ANY_OUTPUT, EQUAL_OR_ZERO, PYRAMID_SURFACE),
    DIGIT_DISTANCE,
)
