"""What a completion repeats of itself, by the definitions of docs/explanation/completions.md."""


def repeated_4grams(tokens):
    """1 - distinct 4-grams / 4-grams; None for fewer than four tokens."""
    grams = [tuple(tokens[i : i + 4]) for i in range(len(tokens) - 3)]
    return 1 - len(set(grams)) / len(grams) if grams else None


def repeated_lines(text):
    """The share of lines that stood before; blank ones left out, trailing white space ignored."""
    seen, lines, again = set(), 0, 0
    for line in text.splitlines():
        if not line.strip():
            continue
        lines, again = lines + 1, again + (line.rstrip() in seen)
        seen.add(line.rstrip())
    return again / lines if lines else None


def loops(tokens):
    """Whether a phrase stands three times in a row at the end, over 12 tokens or more."""
    n = len(tokens)
    for period in range(1, n // 3 + 1):
        times = max(3, -(-12 // period))
        phrase = tokens[n - period :]
        if n >= period * times and tokens[n - period * times :] == phrase * times:
            return True
    return False
