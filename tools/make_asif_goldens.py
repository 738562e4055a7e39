#!/usr/bin/env python3
"""Makes tests/fixtures/asif.safetensors: embeddings of a small bank, regions and texts, and the
scores of ASIF between them by a dense computation in NumPy.

What is computed is that of `relreps.py` and the demo of the paper's authors (github.com/noranta4/
ASIF), written anew: the k largest products of unit vectors, taken by their signed value; the power
p of those; rows scaled to unit length; products. In f64, so that the test sees the rounding of one
side only.

    pip install -r tools/requirements.txt
    python tools/make_asif_goldens.py

Run twice, it writes the same bytes.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

OUT = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "asif.safetensors"

PAIRS, REGIONS, TEXTS = 300, 7, 9
IMAGE_DIMENSION, TEXT_DIMENSION = 24, 16

# k below, at and above the size of the bank (all pairs are kept then, negative ones too), and the
# powers of the paper, of none, and others that are even.
SETTINGS = [(20, 8), (1, 8), (800, 8), (300, 2), (50, 1), (120, 6)]


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def relative(rows, pairs, k, p):
    """[rows, pairs], most of it 0."""
    products = unit(rows.astype(np.float64)) @ unit(pairs.astype(np.float64)).T
    k = min(k, len(pairs))
    kept = np.argsort(-products, axis=1, kind="stable")[:, :k]
    dense = np.zeros_like(products)
    values = np.take_along_axis(products, kept, axis=1)
    assert p % 2 == 0 or (values > 0).all(), "only even powers of negative similarities are weights"
    np.put_along_axis(dense, kept, values**p, axis=1)
    return unit(dense)


def main():
    rng = np.random.Generator(np.random.PCG64(7))
    # Things of a few kinds, so that similarities are spread from -0.5 to 0.95, as those of real
    # encoders are.
    kinds = 6

    def embeddings(count, dimension, centres):
        kind = rng.integers(kinds, size=count)
        rows = centres[kind] + 0.5 * rng.standard_normal((count, dimension))
        # No length is 1: whoever forgets to scale is found out.
        return (rows * rng.uniform(0.5, 3.0, (count, 1))).astype(np.float32)

    image_centres = rng.standard_normal((kinds, IMAGE_DIMENSION))
    text_centres = rng.standard_normal((kinds, TEXT_DIMENSION))
    tensors = {
        "pair_images": embeddings(PAIRS, IMAGE_DIMENSION, image_centres),
        "pair_texts": embeddings(PAIRS, TEXT_DIMENSION, text_centres),
        "regions": embeddings(REGIONS, IMAGE_DIMENSION, image_centres),
        "texts": embeddings(TEXTS, TEXT_DIMENSION, text_centres),
    }
    for index, (k, p) in enumerate(SETTINGS):
        image_side = relative(tensors["regions"], tensors["pair_images"], k, p)
        text_side = relative(tensors["texts"], tensors["pair_texts"], k, p)
        scores = image_side @ text_side.T
        tensors[f"scores.{index}"] = scores.astype(np.float32)
        print(f"k={k} p={p}: scores {scores.min():.4f} to {scores.max():.4f}")
    facts = json.dumps({"settings": SETTINGS})
    save_file(tensors, OUT, {"facts": facts})


if __name__ == "__main__":
    main()
