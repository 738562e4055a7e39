"""Writes a trained network as a checkpoint in Hugging Face layout, in half precision.

    python -m owlet_training.export RUN models/owlet-nano
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from . import model as network
from .data import MEAN, STD
from .train import Training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    run = Training.of(args.run)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        shutil.copy(args.run / "tokenizer" / name, args.out / name)

    config = run.ema.config.to_dict() | {"architectures": ["OwlViTForObjectDetection"], "dtype": "float16"}
    config.pop("_name_or_path", None)
    (args.out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    side = dict.fromkeys(("height", "width"), network.side_px(run.ema))
    preprocessor = {
        "image_processor_type": "OwlViTImageProcessor",
        "processor_class": "OwlViTProcessor",
        "do_resize": True,
        "size": side,
        "resample": 3,
        "do_center_crop": False,
        "crop_size": side,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": MEAN.double().numpy().round(8).tolist(),
        "image_std": STD.double().numpy().round(8).tolist(),
    }
    (args.out / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n")
    weights = {name: tensor.half().contiguous() for name, tensor in run.ema.state_dict().items()}
    lost = max(float((tensor.half().float() - tensor).abs().max()) for tensor in run.ema.state_dict().values())
    save_file(weights, args.out / "model.safetensors", metadata={"format": "pt"})
    size = sum(file.stat().st_size for file in args.out.iterdir())
    print(f"step {run.step}: {size / 1e6:.1f} MB in {args.out}; half precision moves no weight by more than {lost:.1e}")
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


if __name__ == "__main__":
    main()
