"""Draws the logs of runs that go on from each other:
python -m owlet_training.curves FIRST/log.csv SECOND/log.csv curves.png"""

import argparse
import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

LOSSES = ("classes", "l1", "giou", "auxiliary")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", type=Path, nargs="+")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), constrained_layout=True)
    images_before = 0.0
    colours = {}
    for path in args.logs:
        with path.open() as file:
            rows = list(csv.DictReader(file))
        names = list(rows[0])
        images = [images_before + int(row["images"]) / 1000 for row in rows]

        def draw(axes, name: str, points: list[tuple[float, float]], **style) -> None:
            first = name not in colours
            (line,) = axes.plot(*zip(*points, strict=True), color=colours.get(name), label=name if first else None, **style)
            colours[name] = line.get_color()

        for name in LOSSES:
            draw(left, name, [(x, float(row[name])) for x, row in zip(images, rows, strict=True)], linewidth=1)
        for name in names[names.index("gradient") + 1 :]:
            points = [(x, float(row[name])) for x, row in zip(images, rows, strict=True) if row[name]]
            draw(right, name, points, marker=".")
        if images_before:
            for axes in (left, right):
                axes.axvline(images_before, color="grey", linestyle=":")
        images_before = images[-1]
    left.set(xlabel="thousand pictures", ylabel="loss", yscale="log")
    right.set(xlabel="thousand pictures", ylabel="AP50", ylim=(0, 1))
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(args.out, dpi=90)


if __name__ == "__main__":
    main()
