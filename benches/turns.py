"""What the comparisons with Python transformers share: Owlet and the reference take turns, round by
round, so that a machine whose speed drifts slows both.

A round of either is a dict from a row's name (`work/count`) to milliseconds.
"""

import argparse
import statistics
import time
from collections.abc import Callable


def parser(description: str, owlet: str, passes: int) -> argparse.ArgumentParser:
    """The options that all of them have."""
    options = argparse.ArgumentParser(description=description.splitlines()[0])
    options.add_argument("--owlet", default=owlet, help="the program to measure")
    options.add_argument("--model", required=True, help="a checkpoint folder")
    options.add_argument("--image", required=True, help="the picture to look at")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--passes", type=int, default=passes, help="timed passes in each round")
    options.add_argument("--rounds", type=int, default=3)
    return options


def median_ms(work: Callable[[], object], passes: int) -> float:
    """Milliseconds of one call without gradients; one more goes before and does not count."""
    import torch

    with torch.inference_mode():
        work()
        spent = []
        for _ in range(passes):
            start = time.perf_counter()
            work()
            spent.append(1e3 * (time.perf_counter() - start))
    return statistics.median(spent)


def take(rounds: int, owlet: Callable[[], dict], reference: Callable[[], dict]) -> list[dict]:
    """So many rounds of both, Owlet first."""
    return [{"owlet": owlet(), "transformers": reference()} for _ in range(rounds)]


def show(args: argparse.Namespace, counted: str, rounds: list[dict]) -> None:
    """Medians over all rounds, and the ratio transformers / Owlet (above 1: Owlet is faster)."""
    print(f"{args.model}, {args.threads} threads, {args.rounds} rounds of {args.passes} passes, ms\n")
    print(f"| work / {counted} | transformers | Owlet | ratio (lowest to highest round) |")
    print("| --- | --- | --- | --- |")
    for row in rounds[0]["owlet"]:
        ours = statistics.median(each["owlet"][row] for each in rounds)
        if row not in rounds[0]["transformers"]:
            print(f"| {row} | – | {ours:.0f} | – |")
            continue
        theirs = statistics.median(each["transformers"][row] for each in rounds)
        ratios = sorted(each["transformers"][row] / each["owlet"][row] for each in rounds)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"| {row} | {theirs:.0f} | {ours:.0f} | {spread} |")
    print()


def cost(rounds: list[dict], work: str, more: int, few: int) -> float:
    """How many times the milliseconds of `few` Owlet takes for `more`."""
    return statistics.median(
        each["owlet"][f"{work}/{more}"] / each["owlet"][f"{work}/{few}"] for each in rounds
    )
