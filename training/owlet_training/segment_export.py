"""Writes a trained segmenter as a checkpoint in Hugging Face layout, in half precision.

    python -m owlet_training.segment_export RUN models/owlet-nano-seg
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import SamModel

from . import segment_model as network
from .segment import Training
from .segment_augment import MEAN, STD

# Both names are of one tensor; files hold the first.
TIED = "prompt_encoder.shared_embedding.positional_embedding"
MOST_BYTES = 15_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    run = Training.of(args.run, torch.device("cpu"))
    args.out.mkdir(parents=True, exist_ok=True)
    config = run.ema.config.to_dict() | {"architectures": ["SamModel"], "dtype": "float16"}
    config.pop("_name_or_path", None)
    (args.out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    side, mask_side = network.SIDE_PX, 4 * network.SIDE_PX // network.PATCH_PX
    preprocessor = {
        "image_processor_type": "SamImageProcessor",
        "processor_class": "SamProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"longest_edge": side},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(MEAN),
        "image_std": list(STD),
        "do_pad": True,
        "pad_size": {"height": side, "width": side},
        "mask_size": {"longest_edge": mask_side},
        "mask_pad_size": {"height": mask_side, "width": mask_side},
    }
    (args.out / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n")
    state = {name: tensor.detach() for name, tensor in run.ema.state_dict().items() if name != TIED}
    weights = {name: tensor.half().contiguous() for name, tensor in state.items()}
    lost = max(float((weights[name].float() - tensor).abs().max()) for name, tensor in state.items())
    save_file(weights, args.out / "model.safetensors", metadata={"format": "pt"})
    size = sum(file.stat().st_size for file in args.out.iterdir())
    print(f"step {run.step}: {size / 1e6:.1f} MB in {args.out}; half precision moves no weight by more than {lost:.1e}")
    assert size <= MOST_BYTES and all(torch.isfinite(tensor).all() for tensor in weights.values())
    # What is written is what transformers reads, whole.
    _, report = SamModel.from_pretrained(args.out, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"], report


if __name__ == "__main__":
    main()
