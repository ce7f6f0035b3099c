"""Whether a completion solves its task, and pass@k: the probability that one of k does."""

from collections.abc import Iterable

from codewatt.evaluate.verdicts import PASS


def is_solved(tests: str, base: str | None, plus: str | None) -> bool | None:
    """Whether a completion solves its task; the only definition of it in this project.

    For "base" it must pass the base tests. For "plus" it must pass the base tests and the plus
    tests, as in EvalPlus 0.3.1 (evalplus.evaluate): the plus suite contains only the added inputs.

    Args:
        tests: "base" or "plus".
        base: status of the base suite; None if there is none.
        plus: status of the plus suite; None if there is none.

    Returns:
        True or False; None if a required suite has no status.
    """
    needed = {"base": (base,), "plus": (base, plus)}[tests]
    if None in needed:
        return None
    return all(status == PASS for status in needed)


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased estimate of pass@k for one task, 1 - C(n - c, k) / C(n, k).

    Args:
        n: number of samples.
        c: number of correct samples, 0 <= c <= n.
        k: number of samples that a user would look at, 1 <= k <= n.

    Returns:
        Estimated probability that at least one of k samples is correct.

    Raises:
        ValueError: n, c and k are out of range.

    Source: Chen et al., "Evaluating Large Language Models Trained on Code" (2021), equation 1,
    computed as a product of factors below one, as in their reference code, so that it cannot
    overflow.
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
    """Mean of `pass_at_k` over tasks.

    Args:
        counts: (number of samples, number of correct samples) of each task.
        k: see `pass_at_k`.

    Returns:
        The mean; None if there is no task or a task has fewer than k samples.
    """
    pairs = list(counts)
    if not pairs or min(n for n, _ in pairs) < k:
        return None
    return sum(pass_at_k(n, c, k) for n, c in pairs) / len(pairs)
