"""MUSE's four numbers of one model, in its own format: raw prompts without a chat template, greedy, ROUGE-L F1 x 100.

verbmem_f: continues a passage of the forget text (128 tokens); knowmem_f, knowmem_r: answers questions after worked
examples (32 tokens, one line); privleak: AUC of Min-40% on forget against holdout texts, beside the retrained model's.
Shi et al. 2024 (arXiv:2407.06460).
"""

from __future__ import annotations

import numpy as np

from models.forward import generation
from models.scores.text_scores import rouge_l

VERBMEM_TOKENS, KNOWMEM_TOKENS = 128, 32


def _continue(model, tokenizer, prompts: list[str], new_tokens: int) -> list[str]:
    ids = [np.asarray(tokenizer(text)["input_ids"] or [tokenizer.eos_token_id], np.int64) for text in prompts]
    said = generation.generate(model, ids, [new_tokens] * len(ids), {tokenizer.eos_token_id})
    return [tokenizer.decode(tokens, skip_special_tokens=True) for tokens in said]


def _rouge(said: list[str], golds: list[str]) -> float:
    return 100 * float(np.mean([rouge_l(text, gold, use_stemmer=False)[2] for text, gold in zip(said, golds)]))


def verbmem(model, tokenizer, rows: list[tuple[str, str]]) -> float:
    """ROUGE-L F1 x 100 of continuations with the true ones, both cut to 128 tokens."""
    golds = [
        tokenizer.decode(tokenizer(gold, add_special_tokens=False)["input_ids"][:VERBMEM_TOKENS]) for _, gold in rows
    ]
    return _rouge(_continue(model, tokenizer, [prompt for prompt, _ in rows], VERBMEM_TOKENS), golds)


def knowmem(model, tokenizer, rows: list[tuple[str, str]], examples: list[tuple[str, str]]) -> float:
    """ROUGE-L F1 x 100 of answers (their first line) to questions that follow worked examples."""
    head = "".join(f"Question: {question}\nAnswer: {answer}\n\n" for question, answer in examples)
    prompts = [f"{head}Question: {question}\nAnswer:" for question, _ in rows]
    said = [(text.strip().splitlines() or [""])[0] for text in _continue(model, tokenizer, prompts, KNOWMEM_TOKENS)]
    return _rouge(said, [answer for _, answer in rows])


def scores(model, tokenizer, parts: dict) -> dict[str, float]:
    """verbmem_f, knowmem_f and knowmem_r of a model, as the parts are there."""
    found = {}
    if "verbmem_forget" in parts:
        found["verbmem_f"] = verbmem(model, tokenizer, parts["verbmem_forget"])
    for name, part in (("knowmem_f", "knowmem_forget"), ("knowmem_r", "knowmem_retain")):
        if part in parts:
            found[name] = knowmem(model, tokenizer, parts[part], parts.get(f"{part}_icl", []))
    return found
