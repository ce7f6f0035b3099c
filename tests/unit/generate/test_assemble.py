"""Token ids and times of each row of a batch, whichever way the row ended."""

from types import SimpleNamespace

from codewatt.generate.completion_assembly import GeneratedBatch, build_completions
from codewatt.generate.engine import DecodingParams

EOS = 0
TOKENIZER = SimpleNamespace(
    eos_token_id=EOS,
    pad_token_id=EOS,
    decode=lambda ids, skip_special_tokens: "".join(chr(96 + i) for i in ids),
)
#: Three steps; the host looks once more after the last.
STEPS_S = [11.0, 12.0, 13.0, 14.0, 15.0]


def assembled(*rows):
    generated = GeneratedBatch(list(rows), [2] * len(rows), 10.0, STEPS_S, [None] * len(rows))
    decoding = DecodingParams(token_limit=4, stop_strings=("b",))
    return build_completions(generated, TOKENIZER, {EOS}, ["x"] * len(rows), decoding)


def test_a_row_keeps_its_own_tokens_and_ends_one_step_after_the_last_of_them():
    eos, stopped, full = assembled([3, EOS], [3, 2], [3, 4, 5, 6])
    assert (eos.stop_reason, eos.tokens, eos.end_s) == ("eos", [3, EOS], 13.0)
    assert (stopped.stop_reason, stopped.tokens, stopped.end_s) == ("stop_string", [3, 2], 13.0)
    assert (full.stop_reason, full.tokens, full.end_s) == ("length", [3, 4, 5, 6], 15.0)
    for done in (eos, stopped, full):
        assert len(done.tokens) == done.new_tokens
        assert (done.start_s, done.first_token_s) == (10.0, 11.0)


def test_an_end_at_once_is_one_token():
    (done,) = assembled([EOS])
    assert (done.new_tokens, done.tokens, done.text) == (1, [EOS], "")
