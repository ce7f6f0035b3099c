"""What it means to solve a task, and pass@k: the chance that one of k samples solves it."""

from collections.abc import Iterable

PASS = "pass"


def solves(tests: str, base: str | None, plus: str | None) -> bool | None:
    """Whether a completion solves its task: the one definition that every figure uses.

    By the tests "base" it must pass the base suite, by "plus" the base **and** the plus suite, as
    EvalPlus 0.3.1 counts (evalplus.evaluate). A plus suite holds only the added inputs.

    Args:
        tests: "base" or "plus". base, plus: status of each suite, None where there is none.

    Returns:
        None where a suite that is needed has no status.
    """
    needed = {"base": (base,), "plus": (base, plus)}[tests]
    if None in needed:
        return None
    return all(status == PASS for status in needed)


def pass_at_k(n: int, c: int, k: int) -> float:
    """The unbiased estimate for one task, 1 - C(n - c, k) / C(n, k).

    Chen et al., "Evaluating Large Language Models Trained on Code" (2021), equation 1; the
    quotient is built as a product of factors below one, as in their reference code, so that
    nothing overflows.

    Args:
        n: samples; c: right ones among them; k: samples that a user would look at, 1 <= k <= n.

    Raises:
        ValueError: the three do not fit together.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@k is not defined for n={n}, c={c}, k={k}")
    if n - c < k:
        return 1.0
    missed = 1.0
    for i in range(n - c + 1, n + 1):
        missed *= 1.0 - k / i
    return 1.0 - missed


def mean_pass_at_k(counts: Iterable[tuple[int, int]], k: int) -> float | None:
    """The mean of `pass_at_k` over tasks, from (samples, right ones) a task.

    None if there is no task, or one of them has fewer than k samples.
    """
    pairs = list(counts)
    if not pairs or min(n for n, _ in pairs) < k:
        return None
    return sum(pass_at_k(n, c, k) for n, c in pairs) / len(pairs)
