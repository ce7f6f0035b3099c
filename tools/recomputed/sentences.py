"""The conclusions of the table of statistical tests, word by word."""

WORDS = {
    "task": ("energies of the tasks", "logarithms of the tasks' energies"),
    "run": ("energies of the runs", "logarithms of the runs' energies"),
    "session": ("mean energies of the sessions", "logarithms of the sessions' mean energies"),
}


def shown_p(p):
    """A p value as sentences have it."""
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def sentence(row):
    """What a test shows."""
    what, effect = WORDS[row["level"]][row["metric"] != "energy_j"], row["effect"]
    if row["p"] is None:
        return (
            f"Without centring, the statistic is {row['statistic']:.3g} because the {what} vary by "
            f"{effect:.0%} of their mean; it says nothing about autocorrelation."
        )
    p = ("Holm-adjusted " if row["family_tests"] > 1 else "") + shown_p(row["p_holm"])
    test, seen = row["test"], row["p_holm"] < 0.05
    doubt = "The test does not show that the"
    named = f"({p}; {row['effect_name']} = {effect:.3g})." if effect is not None else None
    if test == "Shapiro-Wilk":
        if seen:
            return f"The {what} are not normally distributed ({p})."
        few = f"; {row['n']} values show only gross departures" if row["n"] < 20 else ""
        return f"{doubt} {what} depart from a normal distribution ({p}){few}."
    if test in ("Levene", "Brown-Forsythe"):
        halves = "the first and the second half of the benchmark's tasks"
        where = halves if row["factor"] is None else f"the {row['cells']} cells"
        subject = "The" if seen else doubt
        return f"{subject} variance of the {what} differs between {where} {named or f'({p}).'}"
    if test == "Dunn":
        way = "larger" if row["statistic"] > 0 else "smaller"
        if seen:
            return f"The {what} of the first cell tend to be {way} {named}"
        return f"{doubt} {what} of the two cells differ {named}"
    if test == "Durbin-Watson":
        ways = "resemble", "tend to lie on the other side of the mean than"
        if seen:
            return f"The {what} {ways[effect <= 0]} those of the previous task {named}"
        return f"{doubt} {what} depend on the previous task {named}"
    if seen:
        return (
            f"The {what} of at least one of the {row['cells']} cells tend to be larger than those "
            f"of another {named}"
        )
    return f"{doubt} {what} differ between the {row['cells']} cells {named}"
