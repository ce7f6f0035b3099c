"""Writes the analytical model of Buis 2024: page, figures and CSV files."""

from pathlib import Path

from codewatt.files import atomic_path
from codewatt.published.buis_2024.model.model_page import PAGE, render_page
from codewatt.published.buis_2024.model.model_results import compute_results, write_results
from codewatt.published.buis_2024.printed_tables import read_tables


def model_page(data: Path, folder: Path | None) -> str:
    """The page; with a folder, all files are written into it, too.

    Args:
        data: folder of the printed tables.
        folder: where to write; created if absent.

    Raises:
        CodewattError: a file of the tables is missing or wrong.
    """
    results = compute_results(read_tables(data))
    page = render_page(results)
    if folder is not None:
        # matplotlib is imported only for figures.
        from codewatt.published.buis_2024.model.model_figures import (
            draw_predictions,
            draw_scaling,
        )

        folder.mkdir(parents=True, exist_ok=True)
        write_results(results, folder)
        draw_predictions(results.predicted, folder)
        draw_scaling(results.figures, folder)
        with atomic_path(folder / PAGE) as temporary:
            Path(temporary).write_text(page, encoding="utf-8")
    return page
