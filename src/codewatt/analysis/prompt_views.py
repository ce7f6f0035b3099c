"""The prompts of a study for the summary page: what each model was asked, verbatim."""

from collections.abc import Iterable
from typing import Any

from codewatt.analysis.labels import Labels, label
from codewatt.generate.generate_record import GenerateRecord


def prompt_views(records: Iterable[GenerateRecord], labels: Labels) -> list[dict[str, Any]]:
    """The prompts of a study, each once with the cells that share it.

    Cells share a prompt if model, benchmark, prompt style, first prompt and stop strings are the
    same: variants, engines and batch sizes do not change it.

    Args:
        records: generate.json of each cell in each session.
        labels: kind → id → label.
    """
    views: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in records:
        cell, prompt = record["cell"], record["prompt"]
        ids = (cell["model"], cell["benchmark"], cell["prompt"])
        key = (*ids, prompt["first_prompt"], *prompt["stop_strings"])
        view = views.setdefault(
            key,
            {
                "model": label(labels, "model", cell["model"]),
                "benchmark": label(labels, "benchmark", cell["benchmark"]),
                "style": label(labels, "prompt", cell["prompt"]),
                "asked": prompt["asked"],
                "has_chat_template": prompt["has_chat_template"],
                "stop_strings": [repr(text) for text in prompt["stop_strings"]],
                "task": prompt["first_task_id"],
                "text": prompt["first_prompt"],
                "cells": 0,
            },
        )
        view["cells"] += cell["session"] == 1  # later sessions have the same cells
    return list(views.values())
