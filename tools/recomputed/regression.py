"""Rows of the table of regressions, by normal equations and sandwich formulas in numpy."""

import math

import numpy as np
from scipy import stats

from recomputed.sentences import shown_p
from recomputed.statistical_tests import families, of_task, why_not

#: Name, outcome, intercept, errors, whether p is that of the normal distribution.
MODELS = (
    ("thesis", "ln(1 + Wh)", False, ("HC3",), True),
    ("thesis with intercept", "ln(1 + Wh)", True, ("HC3",), True),
    ("corrected", "ln(J)", True, ("HC3", "Newey-West", "clustered by task"), False),
)
IDS = (
    "cell_id", "variant_id", "model", "prune", "precision", "prune_layers", "benchmark", "prompt",
    "token_limit", "batch_size", "engine", "hardware",
)  # fmt: skip
SUBJECTS = {
    "new_tokens": "One more generated token",
    "lagged_log_energy": "Energy of the previous task",
}


class Withheld(Exception):
    """A model that cannot be fitted, and why."""


def regression_rows(cells, tasks):
    """All rows, from the recomputed rows of cells and tasks."""
    rows = [made for cell in cells for made in _of_cell(cell, tasks)]
    families([row for row in rows if row["term"] != "intercept"])
    thesis = {(row["cell_id"], row["term"]): row for row in rows if row["model_name"] == "thesis"}
    for row in rows:
        row.setdefault("p_holm", None)
        row.setdefault("family_tests", None)
        row |= dict.fromkeys(("thesis_coefficient", "thesis_p", "conclusion_changes", "conclusion"))
        if row["coefficient"] is not None:
            _conclude(row, thesis.get((row["cell_id"], row["term"])))
    return rows


EMPTY = dict.fromkeys(
    (
        "coefficient", "std_error", "ci95_low", "ci95_high", "statistic", "df", "p", "n", "tasks",
        "series", "lags", "r_squared_uncentred", "r_squared_centred", "residual_durbin_watson",
        "note",
    )
)  # fmt: skip


def _of_cell(cell, tasks):
    ours = [task for task in tasks if task["cell_id"] == cell["cell_id"]]
    reason = why_not(cell, ours)
    for name, outcome, intercept, kinds, normal in MODELS:
        try:
            if reason:
                raise Withheld(reason)
            fit = Fit(_series(of_task(ours), outcome), intercept)
        except Withheld as why:
            found = [(kind, None, {"note": str(why)}) for kind in kinds]
        else:
            found = [made for kind in kinds for made in fit.rows(kind, normal)]
        for kind, term, columns in found:
            yield {
                **{name: cell[name] for name in IDS},
                "model_name": name,
                "errors": kind,
                "outcome": outcome,
                "term": term,
                "statistic_name": "z" if normal else "t",
                "family": f"coefficients of the model '{name}', errors {kind}, all cells",
                **EMPTY,
                **columns,
            }


def _series(values, outcome):
    """Uninterrupted sequences of (task id, y, tokens, previous y, domains)."""
    runs = {}
    for (session, repeat, task), (tokens, joules, domains) in values.items():
        y = None
        if joules is not None and joules > 0:
            y = math.log1p(joules / 3600) if outcome == "ln(1 + Wh)" else math.log(joules)
        runs.setdefault((session, repeat), []).append((task, y, tokens, domains))
    found = []
    for key in sorted(runs):
        current, previous = [], None
        for task, y, tokens, domains in runs[key]:
            if y is not None and previous is not None:
                current.append((task, y, tokens, previous, domains.split(", ")))
            elif current:
                found.append(current)
                current = []
            previous = y
        if current:
            found.append(current)
    return found


class Fit:
    """Least squares of one model on the tasks of one cell."""

    def __init__(self, series, intercept):
        lines = [line for one in series for line in one]
        self.of = np.repeat(np.arange(len(series)), [len(one) for one in series])
        self.ids = np.array([line[0] for line in lines])
        self.y = np.array([line[1] for line in lines])
        self.terms, columns, self.out = [], [], {}
        if intercept:
            self._add("intercept", np.ones(len(lines)), columns)
        for term, place in (("new_tokens", 2), ("lagged_log_energy", 3)):
            x = np.array([float(line[place]) for line in lines])
            if len(x) and len(set(x)) == 1:
                self.out[term] = "the same in all tasks"
            else:
                self._add(term, x, columns)
        for domain in sorted({name for line in lines for name in line[4] if name}):
            member = np.array([domain in line[4] for line in lines])
            inside, outside = (len(set(self.ids[side])) for side in (member, ~member))
            if domain == "General":
                self.out[domain] = "left out, as in the thesis"
            elif not outside:
                self.out[domain] = "all tasks belong to this domain"
            elif min(inside, outside) < 5:
                self.out[domain] = (
                    f"{inside} tasks of this domain and {outside} others; at least 5 of each are "
                    "needed"
                )
            else:
                self._add(domain, member.astype(float), columns)
        n, k = len(lines), len(self.terms)
        if n < k + 10:
            raise Withheld(
                f"{n} tasks with an energy that follow another; a model with {k} coefficients "
                f"needs {k + 10}"
            )
        if self.y.min() == self.y.max():
            raise Withheld("all energies are equal")
        self.x = np.array(columns).T
        if np.linalg.matrix_rank(self.x / np.abs(self.x).max(axis=0)) < k:
            raise Withheld("the regressors are linearly dependent")
        self.estimates = np.linalg.lstsq(self.x, self.y, rcond=None)[0]
        self.e = self.y - self.x @ self.estimates
        longest = int(np.bincount(self.of).max())
        self.lags = max(1, min(int(4 * (longest / 100) ** (2 / 9)), longest - 1))

    def _add(self, term, x, columns):
        self.terms.append(term)
        columns.append(x)

    def rows(self, kind, normal):
        """(kind, term, columns) of each term."""
        n, k = self.x.shape
        inside, squares = self.of[1:] == self.of[:-1], float(self.e @ self.e)
        common = {
            "n": n,
            "tasks": len(set(self.ids)),
            "series": int(self.of[-1]) + 1,
            "lags": self.lags,
            "r_squared_uncentred": 1 - squares / float((self.y**2).sum()),
            "r_squared_centred": 1 - squares / float(n * self.y.var()),
            "residual_durbin_watson": float((np.diff(self.e)[inside] ** 2).sum()) / squares,
        }
        df = common["tasks"] - 1 if kind == "clustered by task" else n - k
        law, errors = stats.norm if normal else stats.t(df), self.errors(kind)
        for term, value, error in zip(self.terms, self.estimates, errors, strict=True):
            half = law.ppf(0.975) * error
            yield (
                kind,
                term,
                common
                | {
                    "coefficient": float(value),
                    "std_error": float(error),
                    "ci95_low": float(value - half),
                    "ci95_high": float(value + half),
                    "statistic": float(value / error),
                    "df": None if normal else df,
                    "p": float(2 * law.sf(abs(value / error))),
                },
            )
        for term, note in self.out.items():
            yield kind, term, common | {"note": note}

    def errors(self, kind):
        """Robust standard errors of the estimates."""
        n, k = self.x.shape
        bread = np.linalg.inv(self.x.T @ self.x)
        scores = self.x * self.e[:, None]
        if kind == "HC3":
            leverage = ((self.x @ bread) * self.x).sum(axis=1)
            scores = scores / (1 - leverage)[:, None]
            meat, factor = scores.T @ scores, 1.0
        elif kind == "clustered by task":
            sums = np.array([scores[self.ids == one].sum(axis=0) for one in sorted(set(self.ids))])
            groups = len(sums)
            meat, factor = sums.T @ sums, groups / (groups - 1) * (n - 1) / (n - k)
        else:
            meat, factor = np.zeros((k, k)), n / (n - k)
            for one in np.unique(self.of):
                mine = scores[self.of == one]
                apart = np.abs(np.subtract.outer(np.arange(len(mine)), np.arange(len(mine))))
                meat += mine.T @ np.maximum(1 - apart / (self.lags + 1), 0) @ mine
        return np.sqrt(np.diag(bread @ meat @ bread) * factor)


def _conclude(row, thesis):
    if row["term"] == "intercept":
        centred, uncentred = row["r_squared_centred"], row["r_squared_uncentred"]
        row["conclusion"] = (
            f"The regressors explain {centred:.1%} of the variance about the mean (centred R² = "
            f"{centred:.4f}); the uncentred R², which counts the mean as explained, is "
            f"{uncentred:.4f}."
        )
        return
    corrected = row["model_name"] == "corrected"
    p, value = row["p_holm" if corrected else "p"], row["coefficient"]
    subject = SUBJECTS.get(row["term"], f"Tasks of the domain {row['term']}")
    if not corrected:
        verb = "differs from zero" if p < 0.05 else "is not shown to differ from zero"
        text = f"{subject}: the coefficient {value:.4g} {verb} ({shown_p(p)})."
    else:
        size = f"{value:+.3g} % energy for 1 % more energy of the previous task"
        if row["term"] != "lagged_log_energy":
            low, high = (_percent(row[f"ci95_{end}"]) for end in ("low", "high"))
            size = f"{_percent(value)} energy [{low}, {high}]"
        none = "" if p < 0.05 else "no effect is shown; "
        adjusted = "Holm-adjusted " if row["family_tests"] > 1 else ""
        text = f"{subject}: {none}{size} ({adjusted}{shown_p(p)})."
    if row["model_name"] != "thesis" and thesis and thesis["coefficient"] is not None:
        row["thesis_coefficient"], row["thesis_p"] = thesis["coefficient"], thesis["p"]
        findings = _finding(thesis["coefficient"], thesis["p"]), _finding(value, p)
        row["conclusion_changes"] = findings[0] != findings[1]
        if row["conclusion_changes"]:
            text += f" The thesis model's finding differs: {findings[0]}."
        else:
            text += " The thesis model has the same finding."
    row["conclusion"] = text


def _percent(log_change):
    return f"{100 * math.expm1(log_change):+.1f} %".replace("-", "\N{MINUS SIGN}")


def _finding(value, p):
    if p >= 0.05:
        return "no effect is shown"
    return f"the energy is {'higher' if value > 0 else 'lower'}"
