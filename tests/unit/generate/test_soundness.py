"""Logits that are no answer are seen where they occur, and withhold the cell's figures."""

import math

import pyarrow.parquet
import pytest

from codewatt.errors import CodewattError
from codewatt.generate.completion_assembly import first_invalid_token
from codewatt.generate.engine import DecodingParams, open_engine
from codewatt.generate.generate_record import skipped_stage
from codewatt.models.loading import check_logits, invalid_logits, load_model
from tests.support.cells import run_cell
from tests.support.chains import save_chain
from tests.support.overflow import CHAIN, save_overflow

NAN, INF = math.nan, math.inf
ENGINES = ("transformers", "graph")
pytestmark = pytest.mark.usefixtures("one_thread")


def first_bad(directory, dtype, engine, prompts, **settings):
    loaded = load_model(directory, dtype=dtype, device="cpu")
    decoding = DecodingParams(**{"token_limit": 5, "stop_strings": (), **settings})
    opened = open_engine(engine, loaded, lambda: None)
    opened.prepare([prompts], decoding)
    return [c.invalid_logits_token for c in opened.complete(prompts, decoding).completions]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["overflow", "norm"])
def test_prompts_and_each_own_token_are_looked_at(tmp_path, engine, kind):
    """'d' is the first prompt's last token, the second's third new one, and none of the third's."""
    save_overflow(tmp_path, "d", kind)
    dtype = "float16" if kind == "overflow" else "bfloat16"
    prompts = ["xx d", "a", "a long prompt, 1"]
    assert first_bad(tmp_path, dtype, engine, prompts) == [0, 3, None]
    if kind == "overflow":
        assert first_bad(tmp_path, "bfloat16", engine, prompts) == [None] * 3


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_computed_behind_a_sequences_end_is_not_its_own(tmp_path, engine):
    save_overflow(tmp_path, "d", "overflow")
    found = first_bad(tmp_path, "float16", engine, ["a", "1"], stop_strings=("c",))
    assert found == [None, None]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("top_p", [None, 0.9])
def test_sampled_sequences_are_marked_and_do_not_end_the_process(tmp_path, engine, top_p):
    """At this temperature sampling follows the chain of tokens as greedy decoding does."""
    save_overflow(tmp_path, "d", "overflow")
    prompts = ["xx d", "a", "a long prompt, 1"]
    found = first_bad(
        tmp_path, "float16", engine, prompts, samples=2, temperature=0.01, top_p=top_p
    )
    assert found == [0, 0, 3, 3, None, None]


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        ([1.0, 2.0, 3.0], False),
        ([-INF, 2.0, -INF], False),  # a model masks tokens so
        ([NAN, 2.0, 3.0], True),
        ([1.0, INF, 3.0], True),
        ([-INF, INF, 3.0], True),
        ([-INF, NAN, INF], True),
        ([-INF, -INF, -INF], True),
        ([7.0, 7.0, 7.0], True),
        ([0.0, 0.0, 0.0], True),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_which_logits_are_no_answer(row, wrong, dtype):
    import torch

    from codewatt.generate.static.decode_loop import greedy_tokens

    logits = torch.tensor([row, [1.0, 2.0, 3.0]], dtype=getattr(torch, dtype))
    assert invalid_logits(*logits.aminmax(dim=-1)).tolist() == [wrong, False]
    wide = torch.cat([logits, logits[:, :1].expand(-1, 509)], dim=1)  # searched in two parts
    assert invalid_logits(wide.amin(-1), greedy_tokens(wide)[0]).tolist() == [wrong, False]
    assert invalid_logits(logits.amin(-1), greedy_tokens(logits)[0]).tolist() == [wrong, False]
    if wrong:
        with pytest.raises(CodewattError, match=r"m: the logits of 1 of 2 positions are"):
            check_logits(logits, "m")
    else:
        check_logits(logits, "m")


def test_the_first_is_looked_for_in_each_rows_own_tokens():
    import torch

    least = torch.zeros(3, 4)
    greatest = torch.tensor([[1, NAN, 1, NAN], [1, 1, NAN, 1], [1, 1, 1, INF]])
    assert first_invalid_token(least, greatest, [4, 2, 4]) == [1, None, 3]


def test_a_cell_whose_logits_overflow_is_marked_with_the_reason(tmp_path):
    save_overflow(tmp_path / "model", "d", "overflow")
    prompts = ["1", "xx a", "a"]
    manifest, out = run_cell(
        tmp_path / "model", tmp_path / "cell", prompts, engine="transformers", batch_size=2,
        token_limit=5, dtype="float16",
    )  # fmt: skip
    assert manifest["status"] == "infeasible"
    assert manifest["logits"]["sequences"] == 3
    assert manifest["logits"]["invalid_sequences"] == 2
    first = manifest["logits"]["first_invalid_token"]
    assert (first["repeat"], first["new_token"]) == (0, 3)
    assert "in 2 of 3 completions, first in " in manifest["reason"]
    assert "after 3 of its own tokens: the model overflows" in manifest["reason"]
    assert len({w["repeat"] for w in manifest["windows"] if w["phase"] == "repeat"}) == 1
    assert pyarrow.parquet.read_table(out.tasks).num_rows == 3, "kept, to be looked at"
    assert skipped_stage(manifest)["reason"] == manifest["reason"]


def test_a_cell_whose_logits_are_sound_says_so_and_where_it_ended(tmp_path):
    save_overflow(tmp_path / "model", "d", "overflow")
    manifest, _ = run_cell(
        tmp_path / "model", tmp_path / "cell", ["1", "a"], engine="graph", batch_size=2,
        token_limit=5,
    )  # fmt: skip
    assert manifest["status"] == "ok"
    assert manifest["logits"]["invalid_sequences"] == 0
    assert manifest["logits"]["first_invalid_token"] is None
    assert manifest["generation"] == {
        "stop_token_ids": [256],
        "stop_tokens": ["<|end|>"],
        "stop_tokens_from": "tokenizer",
        "ignored_settings": {},
    }


def test_weights_that_answer_nothing_mark_the_cell_too(tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    save_chain(tmp_path / "model", CHAIN)
    file = tmp_path / "model" / "model.safetensors"
    tensors = load_file(file)
    tensors["lm_head.weight"] = torch.full_like(tensors["lm_head.weight"], NAN)
    save_file(tensors, file, metadata={"format": "pt"})
    manifest, _ = run_cell(
        tmp_path / "model", tmp_path / "cell", ["a"], engine="transformers", batch_size=1,
        token_limit=5,
    )  # fmt: skip
    assert manifest["status"] == "infeasible"
    assert "the logits of 8 of 8 positions are not finite" in manifest["reason"]
