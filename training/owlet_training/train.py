"""Trains the built-in detector; `python -m owlet_training.train --help`."""

import argparse
import copy
import csv
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch

from . import losses, model as network, texts, tokenizer
from .data import Batch, Data
from .evaluate import Evaluation
from .muon import Muon

NEWEST = "newest.pt"
BATCH = 32
MATRIX_LEARNING_RATE = 3e-3
OTHER_LEARNING_RATE = 1.5e-3
WEIGHT_DECAY = 0.03
EMA_DECAY = 0.997
MOST_GRADIENT = 1.0


@dataclass(frozen=True)
class Schedule:
    """What changes over a run. Shares are of its steps."""

    rate: float
    """Of the learning rates above."""
    warm_up_steps: int
    decay_from: float
    """Until here the rate is constant, so that a run can be made longer; then it falls to zero."""
    patches_each: tuple[tuple[float, int], ...]
    """How many patches answer for one object, since when: several at first, which teaches faster,
    then one, so that nothing is found twice."""
    names_weight: tuple[float, float]
    """Weight of the losses that only teach names, at first and at last."""

    def rate_factor(self, step: int, progress: float) -> float:
        if step < self.warm_up_steps:
            return self.rate * (step + 1) / self.warm_up_steps
        return self.rate * min(1.0, (1 - progress) / (1 - self.decay_from) + 0.005)

    def patches_at(self, progress: float) -> int:
        return [count for since, count in self.patches_each if progress >= since][-1]

    def names_weight_at(self, progress: float) -> float:
        first, last = self.names_weight
        return first + (last - first) * progress


FROM_NOTHING = Schedule(1.0, 200, 0.6, ((0.0, 3), (0.35, 2), (0.6, 1)), (1.0, 0.2))
# Weights that know their task already are not shaken up.
FROM_CHECKPOINT = Schedule(0.4, 60, 0.1, ((0.0, 2), (0.3, 1)), (0.2, 0.2))


class Training:
    """All that a run consists of, and how it is saved and loaded."""

    def __init__(self, out: Path, seed: int, side_px: int, device: str = "cpu") -> None:
        torch.manual_seed(seed)
        self.device = torch.device(device)
        vocabulary = tokenizer.write(out / "tokenizer")
        self.tokens = tokenizer.Tokens(out / "tokenizer")
        self.model = network.make(vocabulary, side_px).to(self.device)
        if self.device.type == "cuda":
            self.model.set_attn_implementation("sdpa")
        self.auxiliary = losses.Auxiliary(network.IMAGE_WIDTH).to(self.device)
        self.ema = copy.deepcopy(self.model)
        # Matrices of the towers and heads are orthogonalised (Muon, Jordan et al. 2024); all else
        # is AdamW's.
        matrices, others = [], []
        for name, parameter in self.model.named_parameters():
            inner = "layers." in name or "dense0" in name or "dense1" in name
            (matrices if parameter.ndim == 2 and inner else others).append(parameter)
        # CLIP's own temperature has no part in detection.
        self.model.owlvit.logit_scale.requires_grad_(False)
        others += list(self.auxiliary.parameters())
        self.optimizers = [
            Muon(matrices, lr=MATRIX_LEARNING_RATE, weight_decay=WEIGHT_DECAY),
            torch.optim.AdamW(others, lr=OTHER_LEARNING_RATE, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.98)),
        ]
        self.rng = np.random.default_rng(seed)
        self.step, self.seconds = 0, 0.0
        self.schedule, self.from_checkpoint = FROM_NOTHING, False

    @classmethod
    def of(cls, folder: Path, device: str = "cpu") -> Self:
        """What an interrupted or finished run has left in its folder."""
        state = torch.load(folder / NEWEST, weights_only=True, map_location="cpu")
        run = cls(folder, 0, state["side_px"], device)
        run._load(state)
        return run

    def start_from(self, checkpoint: Path) -> None:
        """Takes the weights of a checkpoint in Hugging Face layout; all else starts anew."""
        network.take_weights(self.model, checkpoint)
        self.schedule, self.from_checkpoint = FROM_CHECKPOINT, True
        self.ema.load_state_dict(self.model.state_dict())

    def start_anew(self, pixel_values: torch.Tensor) -> None:
        """With weights that know the statistics of these pictures and nothing else."""
        network.whiten_patches(self.model, pixel_values)
        self.ema.load_state_dict(self.model.state_dict())

    def save(self, folder: Path) -> None:
        partial = folder / (NEWEST + ".partial")
        torch.save(
            {
                "side_px": network.side_px(self.model),
                "from_checkpoint": self.from_checkpoint,
                "model": self.model.state_dict(),
                "auxiliary": self.auxiliary.state_dict(),
                "ema": self.ema.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "rng": self.rng.bit_generator.state,
                "step": self.step,
                "seconds": self.seconds,
            },
            partial,
        )
        partial.rename(folder / NEWEST)

    def _load(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.auxiliary.load_state_dict(state["auxiliary"])
        self.ema.load_state_dict(state["ema"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.rng.bit_generator.state = state["rng"]
        self.step, self.seconds = state["step"], state["seconds"]
        self.from_checkpoint = state["from_checkpoint"]
        self.schedule = FROM_CHECKPOINT if self.from_checkpoint else FROM_NOTHING

    def learn(self, batch: Batch, queries: list[texts.Query], progress: float) -> dict[str, float]:
        """One step, at this share of the run; returns its losses."""
        factor = self.schedule.rate_factor(self.step, progress)
        for optimizer, rate in zip(self.optimizers, (MATRIX_LEARNING_RATE, OTHER_LEARNING_RATE), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        batch = batch.to(self.device)
        ids = torch.tensor(self.tokens([q.text for q in queries]))
        # What follows the end of a text has no part in it.
        ids = ids[:, : int(ids.argmax(1).max()) + 1].to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            features, boxes = network.look(self.model, batch.pixel_values)
            auxiliary = self.auxiliary(features, batch)
            embedded = network.embed_texts(self.model, ids)
        with torch.autocast(self.device.type, enabled=False):
            cosine = network.similarity(self.model, features.float(), embedded.float())
            logits = network.class_logits(self.model, features.float(), cosine)
        naming = losses.naming_loss(cosine, batch)
        found = losses.detection_losses(
            logits, boxes.float(), batch, queries, network.grid(self.model), self.schedule.patches_at(progress)
        )
        loss = found.total + self.schedule.names_weight_at(progress) * (auxiliary + 0.5 * naming)
        loss.backward()
        parameters = [p for optimizer in self.optimizers for group in optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, MOST_GRADIENT)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.parameters()), list(self.model.parameters()), 1 - decay)
        self.step += 1
        return {
            "loss": float(loss.detach()),
            "classes": float(found.classes.detach()),
            "l1": float(found.l1.detach()),
            "giou": float(found.giou.detach()),
            "auxiliary": float(auxiliary.detach()),
            "naming": float(naming.detach()),
            "gradient": float(norm),
        }


class Drawn(torch.utils.data.IterableDataset):
    """What steps learn from, without end, drawn by several processes, each from its own seed."""

    def __init__(self, data: Data, seed: int, batch_size: int) -> None:
        self.data, self.seed, self.batch_size = data, seed, batch_size

    def __iter__(self) -> Iterator[tuple[Batch, list[texts.Query]]]:
        rng = np.random.default_rng([self.seed, torch.utils.data.get_worker_info().id])
        while True:
            self.data.look()
            yield draw(self.data, rng, self.batch_size)


def draw(data: Data, rng: np.random.Generator, batch_size: int) -> tuple[Batch, list[texts.Query]]:
    """What one step learns from."""
    return data.batch(rng, batch_size), texts.sample_queries(rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data sets made by owlet_sim")
    parser.add_argument("--validate", type=Path, nargs="*", default=[], help="data sets that are never learnt from")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; an interrupted run goes on from it")
    parser.add_argument("--steps", type=int, default=4000, help="may be changed when a run goes on")
    parser.add_argument("--side-px", type=int, default=288, help="size of the network's pictures, a multiple of 16")
    parser.add_argument("--start-from", type=Path, help="a checkpoint in Hugging Face layout, its pictures of any size")
    parser.add_argument("--minutes", type=float, default=math.inf, help="ends earlier, with the schedule following")
    parser.add_argument("--wait", action="store_true", help="data sets are on their way: start with those that are there")
    parser.add_argument("--batch", type=int, default=BATCH, help="pictures in a step")
    parser.add_argument("--rate", type=float, help="of the learning rates; 1 from nothing, 0.4 from a checkpoint")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw batches; 0: none but this one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--every", type=int, default=200, help="steps between validations")
    parser.add_argument("--stop-at", type=int, help="stop after this step, to go on later")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    if (args.out / NEWEST).exists():
        run = Training.of(args.out, args.device)
    else:
        run = Training(args.out, args.seed, args.side_px, args.device)
    data = Data(args.data, network.side_px(run.model), network.grid(run.model), args.wait)
    if run.step == 0 and args.start_from:
        run.start_from(args.start_from)
    elif run.step == 0:
        run.start_anew(data.batch(run.rng, 128).to(run.device).pixel_values)
    if args.rate:
        run.schedule = replace(run.schedule, rate=args.rate)
    print(f"{sum(p.numel() for p in run.model.parameters()) / 1e6:.2f} million parameters, from step {run.step}")
    validations = {folder.name: Evaluation(folder, run.tokens, network.side_px(run.model), 150, args.device) for folder in args.validate}
    log_path = args.out / "log.csv"
    fields = ["step", "images", "seconds", "loss", "classes", "l1", "giou", "auxiliary", "naming", "gradient", *validations]
    fresh = not log_path.exists()
    with log_path.open("a", newline="") as file:
        log = csv.DictWriter(file, fields)
        if fresh:
            log.writeheader()
        recent: list[dict[str, float]] = []
        drawn = iter(())
        if args.workers:
            # A worker that goes on draws anew.
            source = Drawn(data, args.seed + run.step, args.batch)
            drawn = iter(torch.utils.data.DataLoader(source, batch_size=None, num_workers=args.workers))
        before, started = run.seconds, time.monotonic()
        progress = max(run.step / args.steps, run.seconds / 60 / args.minutes)
        while run.step < min(args.steps, args.stop_at or args.steps) and progress < 1:
            batch, queries = next(drawn) if args.workers else draw(data, run.rng, args.batch)
            recent.append(run.learn(batch, queries, progress))
            run.seconds = before + time.monotonic() - started
            progress = min(1.0, max(run.step / args.steps, run.seconds / 60 / args.minutes))
            due = run.step % args.every == 0 or progress == 1
            if run.step % 20 == 0 or due:
                row = {key: round(float(np.mean([r[key] for r in recent])), 4) for key in recent[0]}
                recent = []
                row |= {"step": run.step, "images": run.step * args.batch, "seconds": round(run.seconds)}
                if due:
                    row |= {name: round(v.ap50(run.ema), 4) for name, v in validations.items()}
                    run.save(args.out)
                log.writerow(row)
                file.flush()
                print(row, flush=True)
    run.save(args.out)


if __name__ == "__main__":
    main()
