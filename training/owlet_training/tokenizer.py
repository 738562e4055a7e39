"""The checkpoint's tokenizer: CLIP's byte-level BPE with a small vocabulary of its own, in which
every word of the training texts is one token and any other text still has ids."""

import json
from pathlib import Path

from transformers import CLIPTokenizer

from . import texts

START, END, PADDING = "<|startoftext|>", "<|endoftext|>", "!"
END_OF_WORD = "</w>"
MAX_TOKENS = 24


def _byte_symbols() -> list[str]:
    """Printable stand-ins for the 256 bytes, in CLIP's order."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) for byte in shown] + [chr(0x100 + i) for i in range(len(hidden))]


def _merges(words: list[str]) -> list[tuple[str, str]]:
    """Merges under which each word is one token. A later merge has lower priority, so it takes
    nothing from the words before it."""
    rank: dict[tuple[str, str], int] = {}
    for word in words:
        pieces = [*word[:-1], word[-1] + END_OF_WORD]
        while len(pieces) > 1:
            pairs = list(zip(pieces, pieces[1:]))
            known = [pair for pair in pairs if pair in rank]
            pair = min(known, key=rank.__getitem__) if known else pairs[0]
            rank.setdefault(pair, len(rank))
            joined, i = [], 0
            while i < len(pieces):
                if tuple(pieces[i : i + 2]) == pair:
                    joined.append("".join(pair))
                    i += 2
                else:
                    joined.append(pieces[i])
                    i += 1
            pieces = joined
    return list(rank)


def write(folder: Path) -> int:
    """Writes vocab.json, merges.txt and tokenizer_config.json; returns the size of the
    vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    symbols = _byte_symbols()
    merges = _merges(texts.all_words())
    tokens = [*symbols, *(s + END_OF_WORD for s in symbols), *(a + b for a, b in merges), START, END]
    assert len(set(tokens)) == len(tokens)
    vocabulary = {token: i for i, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    config = {
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": PADDING,
        "model_max_length": MAX_TOKENS,
        "tokenizer_class": "CLIPTokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return len(tokens)


class Tokens:
    """Texts to padded ids, each text worked out once."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = CLIPTokenizer.from_pretrained(folder)
        self._known: dict[str, list[int]] = {}

    def __call__(self, wanted: list[str]) -> list[list[int]]:
        """Ids `[texts][MAX_TOKENS]`."""
        for text in wanted:
            if text not in self._known:
                ids = self._tokenizer(text, padding="max_length", max_length=MAX_TOKENS)["input_ids"]
                assert len(ids) == MAX_TOKENS, f"{text!r} has {len(ids)} tokens"
                self._known[text] = ids
        return [self._known[text] for text in wanted]
