"""Names of the rules by which an output is compared with the expected output.

`codewatt.evaluate.outputs.special_oracles` applies them.
"""

EQUAL = "equal"
"""The outputs are equal, or close within the tolerance (`Task.atol`)."""

POLYNOMIAL_ROOT = "polynomial_root"
"""The output is a root of the polynomial whose coefficients are the first argument."""

SAME_SET = "same_set"
"""Both outputs have the same items; order and repetition of items do not matter."""

NOT_NONE = "not_none"
"""Both outputs are None, or neither is. The expected output is stored as a bool: true means not
None. An output that is a bool is compared with it directly."""

ANY_OUTPUT = "any_output"
"""Every output is right."""

EQUAL_OR_ZERO = "equal_or_zero"
"""As `EQUAL`; 0 is right too."""

PYRAMID_SURFACE = "pyramid_surface"
"""As `EQUAL`; the rounded surface of a square pyramid with this base edge and perpendicular height
is right too."""

DIGIT_DISTANCE = "digit_distance"
"""As `EQUAL`; the sum of the differences of the digits, after the shorter number is padded with
zeros, is right too."""

OUTPUT_RULES = (
    *(EQUAL, POLYNOMIAL_ROOT, SAME_SET, NOT_NONE, ANY_OUTPUT, EQUAL_OR_ZERO, PYRAMID_SURFACE),
    DIGIT_DISTANCE,
)
