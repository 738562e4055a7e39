"""Draws a run's log: python -m owlet_training.curves RUN/log.csv curves.png"""

import argparse
import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    with args.log.open() as file:
        rows = list(csv.DictReader(file))
    names = list(rows[0])
    validations = names[names.index("gradient") + 1 :]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), constrained_layout=True)
    images = [int(row["images"]) / 1000 for row in rows]
    for name in ("classes", "l1", "giou", "auxiliary"):
        left.plot(images, [float(row[name]) for row in rows], label=name, linewidth=1)
    left.set(xlabel="thousand pictures", ylabel="loss", yscale="log")
    for name in validations:
        points = [(x, float(row[name])) for x, row in zip(images, rows, strict=True) if row[name]]
        right.plot(*zip(*points, strict=True), marker=".", label=name)
    right.set(xlabel="thousand pictures", ylabel="AP50", ylim=(0, 1))
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(args.out, dpi=90)


if __name__ == "__main__":
    main()
