"""Whether the engine `graph` says on a GPU what transformers' generate() says, token by token.

Small models of every architecture with random weights, in float32 (all tokens must be equal) and
in bfloat16 (the share of completions that are is printed: ties fall otherwise). Then a model that
overflows in float16 at one token: both engines must name the new token that was chosen from logits
that are not finite. Exits with 1 if a float32 completion differs or an overflow is not named.

    python benchmarks/engine_equality.py
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import torch

from codewatt.generate.engine import DecodingParams, InfeasibleError, open_engine
from codewatt.models.loading import load_model, resolve_device
from tests.support.models import ARCHITECTURES, save_tiny_model
from tests.support.overflow import save_overflow

_PROMPTS = [f"def f{n}(x, y):\n    return x * {n}\n\n\ndef g(" + "a, " * (n % 7) for n in range(8)]


def main() -> int:
    """Compare and print."""
    device, wrong = resolve_device("auto"), 0
    torch.backends.cuda.matmul.allow_tf32 = False
    for name in ARCHITECTURES:
        for dtype in ("float32", "bfloat16"):
            with tempfile.TemporaryDirectory() as folder:
                save_tiny_model(name, Path(folder))
                loaded = load_model(folder, dtype=dtype, device=device)
            same = total = 0
            for size in (1, 3, 8):
                batches = [_PROMPTS[at : at + size] for at in range(0, len(_PROMPTS), size)]
                found = [_texts(loaded, engine, batches) for engine in ("transformers", "graph")]
                if None in found:
                    continue
                same += sum(a == b for a, b in zip(*found, strict=True))
                total += len(found[0])
            print(f"{name} {dtype}: {same} of {total} completions equal")
            wrong += dtype == "float32" and same < total
    return 1 if wrong + _overflows_missed(device) else 0


def _overflows_missed(device):
    """In how many cases an engine does not name the first token after the overflow."""
    prompts, missed = ["xx d", "a", "a long prompt, 1"], 0
    decoding = DecodingParams(token_limit=24, stop_strings=())
    with tempfile.TemporaryDirectory() as folder:
        save_overflow(Path(folder), "d", "overflow")
        for dtype, expected in (("float16", [0, 3, None]), ("bfloat16", [None] * 3)):
            loaded = load_model(folder, dtype=dtype, device=device)
            for name in ("transformers", "graph"):
                engine = open_engine(name, loaded, _synchronise)
                engine.prepare([prompts], decoding)
                found = [
                    c.invalid_logits_token for c in engine.complete(prompts, decoding).completions
                ]
                print(f"overflow, {dtype}, {name}: first token from invalid logits {found}")
                missed += found != expected
    return missed


def _synchronise():
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _texts(loaded, name, batches):
    engine = open_engine(name, loaded, _synchronise)
    decoding = DecodingParams(token_limit=24, stop_strings=("))",))
    try:
        engine.prepare(batches, decoding)
    except InfeasibleError as error:
        print(error)
        return None
    if name == "graph":
        described = engine.describe()
        print(
            "  ",
            {
                k: described[k]
                for k in ("decode_step", "decode_step_reason", "captured", "capture_s")
            },
        )
    return [(c.text, c.new_tokens, c.stop_reason) for batch in batches
            for c in engine.complete(batch, decoding).completions]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
