"""Trains the built-in segmenter; `python -m owlet_training.segment --help`."""

import argparse
import copy
import csv
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from . import segment_model as network
from .muon import Muon
from .segment_augment import Augmentation, draw_prompts
from .segment_data import GrowingPictures, Pictures
from .segment_evaluate import Evaluation

NEWEST = "newest.pt"
MATRIX_LEARNING_RATE = 4e-3
OTHER_LEARNING_RATE = 1.5e-3
WEIGHT_DECAY = 0.02
EMA_DECAY = 0.998
MOST_GRADIENT = 1.0
WARM_UP_STEPS = 100

# How often all masks of a prompt are asked for; else the single one is. Owlet takes the best of all.
SEVERAL_SHARE = 0.75

# Steps after which it looks for pictures that have been rendered meanwhile.
LOOK_EVERY = 50


@dataclass(frozen=True)
class Budget:
    """When a run ends: after so many steps, or so many seconds of them, whatever comes first."""

    steps: int
    seconds: float

    def progress(self, run: "Training") -> float:
        """In [0, 1]."""
        return min(1.0, max(run.step / self.steps, run.seconds / self.seconds))


class Training:
    """All that a run consists of, and how it is saved and loaded."""

    def __init__(self, seed: int, device: torch.device) -> None:
        torch.manual_seed(seed)
        self.device = device
        self.model = network.make().to(device)
        self.ema = copy.deepcopy(self.model)
        matrices, others, undecayed = network.parameter_groups(self.model)
        fused = device.type == "cuda"
        self.optimizers = [
            Muon(matrices, lr=MATRIX_LEARNING_RATE, weight_decay=WEIGHT_DECAY),
            torch.optim.AdamW(
                [{"params": others}, {"params": undecayed, "weight_decay": 0.0}],
                lr=OTHER_LEARNING_RATE,
                weight_decay=WEIGHT_DECAY,
                betas=(0.9, 0.98),
                fused=fused,
            ),
        ]
        self.parameters = [*matrices, *others, *undecayed]
        self.step, self.seconds = 0, 0.0
        # What a run that goes on draws depends on where it was interrupted.
        self.augmentation = Augmentation(device, seed, network.SIDE_PX, 1)

    @classmethod
    def of(cls, folder: Path, device: torch.device) -> Self:
        """What an interrupted or finished run has left in its folder."""
        state = torch.load(folder / NEWEST, weights_only=True, map_location="cpu")
        run = cls(0, device)
        run.model.load_state_dict(state["model"])
        run.ema.load_state_dict(state["ema"])
        for optimizer, saved in zip(run.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        run.step, run.seconds = state["step"], state["seconds"]
        return run

    def save(self, folder: Path) -> None:
        partial = folder / (NEWEST + ".partial")
        torch.save(
            {
                "model": self.model.state_dict(),
                "ema": self.ema.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "step": self.step,
                "seconds": self.seconds,
            },
            partial,
        )
        partial.rename(folder / NEWEST)

    def draw_from(self, seed: int, objects: int) -> None:
        """Sets what batches are drawn with."""
        self.augmentation = Augmentation(self.device, seed + self.step, network.SIDE_PX, objects)

    def start_anew(self, pictures: Pictures) -> None:
        """With weights that know the statistics of these pictures and nothing else."""
        network.whiten_patches(self.model, self.augmentation.batch(pictures, 128).pixel_values)
        self.ema.load_state_dict(self.model.state_dict())

    def learn(self, pictures: Pictures, batch_size: int, progress: float, mixed: bool) -> dict[str, torch.Tensor]:
        """One step; returns its losses, where the device is not waited for."""
        factor = min(1.0, (self.step + 1) / WARM_UP_STEPS) * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)
        for optimizer, rate in zip(self.optimizers, (MATRIX_LEARNING_RATE, OTHER_LEARNING_RATE), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        rng = self.augmentation.rng
        with torch.no_grad():
            batch = self.augmentation.batch(pictures, batch_size)
            prompts = draw_prompts(batch, rng, self.augmentation.noise)
        several = rng.random() < SEVERAL_SHARE
        logits, iou = network.draw(self.model, batch.pixel_values, prompts, several, mixed)
        parts = network.losses(logits, iou, batch)
        parts["loss"].backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, MOST_GRADIENT)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.parameters()), list(self.model.parameters()), 1 - decay)
        self.step += 1
        return {name: value.detach() for name, value in parts.items()} | {"gradient": norm.detach()}


def validate(run: Training, validations: dict[str, Evaluation]) -> dict[str, float]:
    return {
        f"{name}_{prompt}": round(value, 4)
        for name, validation in validations.items()
        for prompt, value in validation.mean_iou(run.ema).items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data sets made by owlet_sim")
    parser.add_argument("--validate", type=Path, nargs="*", default=[], help="data sets that are never learnt from")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; an interrupted run goes on from it")
    parser.add_argument("--steps", type=int, default=4000, help="may be changed when a run goes on")
    parser.add_argument("--minutes", type=float, default=math.inf, help="ends earlier, with the learning rate following")
    parser.add_argument("--wait", action="store_true", help="data sets are on their way: start with those that are there")
    parser.add_argument("--batch", type=int, default=48, help="pictures in a step")
    parser.add_argument("--objects", type=int, default=8, help="prompts for each of them")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--full-precision", action="store_true", help="no bf16")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--every", type=float, default=45, help="seconds between validations")
    parser.add_argument("--validation-pictures", type=int, default=150)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    args.out.mkdir(parents=True, exist_ok=True)
    device, mixed = torch.device(args.device), not args.full_precision
    budget = Budget(args.steps, args.minutes * 60)
    run = Training.of(args.out, device) if (args.out / NEWEST).exists() else Training(args.seed, device)
    run.draw_from(args.seed, args.objects)
    data = GrowingPictures(args.data, device, args.wait)
    while data.look() == 0:
        time.sleep(0.2)
    if run.step == 0:
        run.start_anew(data.pictures)
    size = sum(parameter.numel() for parameter in run.model.parameters()) / 1e6
    print(f"{size:.2f} million parameters, from step {run.step}, on {device}", flush=True)
    validations = {folder.name: Evaluation(folder, device, args.validation_pictures) for folder in args.validate}
    log_path = args.out / "log.csv"
    fields = ["step", "pictures", "seconds", "loss", "focal", "dice", "iou", "gradient"]
    fields += [f"{name}_{prompt}" for name in validations for prompt in ("box", "loose", "point")]
    fresh = not log_path.exists()
    with log_path.open("a", newline="") as file:
        log = csv.DictWriter(file, fields)
        if fresh:
            log.writeheader()
        recent: list[dict[str, torch.Tensor]] = []
        validated = started = time.monotonic()
        before = run.seconds
        while (progress := budget.progress(run)) < 1:
            recent.append(run.learn(data.pictures, args.batch, progress, mixed))
            run.seconds = before + time.monotonic() - started
            if run.step % LOOK_EVERY == 0:
                data.look()
            done = budget.progress(run) == 1
            due = done or time.monotonic() - validated >= args.every
            if run.step % 20 == 0 or due:
                row = {key: round(float(np.mean([float(r[key]) for r in recent])), 4) for key in recent[0]}
                recent = []
                row |= {"step": run.step, "pictures": len(data.pictures), "seconds": round(run.seconds, 1)}
                if due:
                    row |= validate(run, validations)
                    run.save(args.out)
                    validated = time.monotonic()
                log.writerow(row)
                file.flush()
                print(row, flush=True)
    run.save(args.out)


if __name__ == "__main__":
    main()
