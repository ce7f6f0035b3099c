"""Whether the engine `graph` says on a GPU what transformers' generate() says, token by token.

Small models of every architecture with random weights, in float32 (all tokens must be equal) and
in bfloat16 (the share of completions that are is printed: ties fall otherwise). Exits with 1 if a
float32 completion differs.

    python benchmarks/engine_equality.py
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import torch

from codewatt.generate.base import Decoding, InfeasibleError, open_engine
from codewatt.models.loading import load_model, resolve_device
from tests.support.models import ARCHITECTURES, save_tiny_model

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
    return 1 if wrong else 0


def _texts(loaded, name, batches):
    synchronise = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    engine = open_engine(name, loaded, synchronise)
    decoding = Decoding(token_limit=24, stop_strings=("))",))
    try:
        engine.prepare(batches, decoding)
    except InfeasibleError as error:
        print(error)
        return None
    if name == "graph":
        described = engine.describe()
        print("  ", {k: described[k] for k in ("step", "step_reason", "captured", "capture_s")})
    return [(c.text, c.new_tokens, c.stop_reason) for batch in batches
            for c in engine.complete(batch, decoding).completions]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
