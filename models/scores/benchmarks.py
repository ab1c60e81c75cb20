"""TOFU's and MUSE's numbers under their own names.

MUSE keeps its own format: raw prompts without a chat template, greedy answers, ROUGE-L F1 x 100 without stemming
(Shi et al. 2024, arXiv:2407.06460).
"""

from __future__ import annotations

import numpy as np

from data.benchmarks import TOFU_NAMES
from data.columns import Example
from data.preparation import encode_examples
from models.forward import generation
from models.forward.answers import evaluating
from models.scores.array_scores import membership_auc, model_utility, privacy_leakage
from models.scores.evaluating import OPTION_SETS, ModelEvaluation, evaluate_model
from models.scores.metric_table import REDUCTIONS
from models.scores.text_scores import rouge_l
from models.verdict.verdict import compare

VERBMEM_TOKENS, KNOWMEM_TOKENS = 128, 32


def tofu_scores(evaluation: ModelEvaluation, retrained: ModelEvaluation | None = None) -> dict[str, float | None]:
    """TOFU's table of one model, with TOFU's names. Forget Quality needs the retrained model's evaluation.

    None for a number that rests on made wrong answers: it would not be TOFU's.
    """
    table: dict[str, float | None] = {}
    made = {split for split, found in evaluation.measured_on.items() if found.get("made")}
    for split, name in TOFU_NAMES.items():
        found = dict(evaluation.metrics.get(split, {}))
        if split in made:
            found.update(truth_ratio=None, option_probability=None)
        probability = "option_probability" if split in OPTION_SETS else "answer_probability"
        table[f"ROUGE {name}"] = found.get("rouge_l_recall")
        table[f"Prob. {name}"] = found.get(probability)
        table[f"Truth Ratio {name}"] = found.get("truth_ratio")
    numbers = [value for key, value in table.items() if not key.endswith("Forget")]
    table["Model Utility"] = None if None in numbers else model_utility(numbers)
    quality = None if "forget" in made else compare(None, evaluation, retrained)[0]["forget_quality"]
    return {**table, "Forget Quality": quality}


def muse_scores(model, tokenizer, parts: dict) -> dict[str, float]:
    """MUSE's verbmem_f, knowmem_f, knowmem_r, and min_k_auc, from which privleak follows. Leaves out missing parts.

    parts: from `data.benchmarks.read_muse`. min_k_auc: AUC of Min-40% on forget against holdout texts, each scored
    whole in one pass, as in MUSE; cut_texts: the number of texts that are longer than the model's positions, which were
    scored in several parts; left out if there are none.
    """
    found = {}
    with evaluating(model):
        if rows := parts.get("verbmem_forget"):
            found["verbmem_f"] = _verbmem(model, tokenizer, rows)
        for name, part in (("knowmem_f", "knowmem_forget"), ("knowmem_r", "knowmem_retain")):
            if rows := parts.get(part):
                found[name] = _knowmem(model, tokenizer, rows, parts.get(f"{part}_icl", []))
    texts = {side: parts.get(f"privleak_{side}") for side in ("forget", "holdout")}
    if all(texts.values()):
        rows = {side: [Example(answer=text) for text in found_texts] for side, found_texts in texts.items()}
        most = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 1 << 20
        scored = evaluate_model(model, tokenizer, rows, metrics=["min_k"], max_length=most).per_example
        found["min_k_auc"] = membership_auc(*([v for v in scored[side]["min_k"] if v is not None] for side in rows))
        ids = encode_examples(tokenizer, [row for side in rows.values() for row in side], most)[0].example_index
        if cut := int((np.unique(ids, return_counts=True)[1] > 1).sum()):
            found["cut_texts"] = cut
    return found


def _verbmem(model, tokenizer, rows: list[tuple[str, str]]) -> float:
    """ROUGE-L F1 x 100 between the continuations of forget passages and the true ones, both cut to 128 tokens."""
    golds = [
        tokenizer.decode(tokenizer(gold, add_special_tokens=False)["input_ids"][:VERBMEM_TOKENS]) for _, gold in rows
    ]
    return _rouge(_continued(model, tokenizer, [prompt for prompt, _ in rows], VERBMEM_TOKENS), golds)


def _knowmem(model, tokenizer, rows: list[tuple[str, str]], examples: list[tuple[str, str]]) -> float:
    """ROUGE-L F1 x 100 of the answers' first lines (32 tokens) to questions that follow worked examples."""
    head = "".join(f"Question: {question}\nAnswer: {answer}\n\n" for question, answer in examples)
    prompts = [f"{head}Question: {question}\nAnswer:" for question, _ in rows]
    said = [(text.strip().splitlines() or [""])[0] for text in _continued(model, tokenizer, prompts, KNOWMEM_TOKENS)]
    return _rouge(said, [answer for _, answer in rows])


def _continued(model, tokenizer, prompts: list[str], new_tokens: int) -> list[str]:
    ids = [np.asarray(tokenizer(text)["input_ids"] or [tokenizer.eos_token_id], np.int64) for text in prompts]
    said = generation.generate(model, ids, [new_tokens] * len(ids), {tokenizer.eos_token_id})
    return [tokenizer.decode(tokens, skip_special_tokens=True) for tokens in said]


def _rouge(said: list[str], golds: list[str]) -> float:
    return 100 * float(np.mean([rouge_l(text, gold, use_stemmer=False)[2] for text, gold in zip(said, golds)]))


def tofu_table(evaluations: dict[str, ModelEvaluation], reduction: str) -> tuple[dict, str]:
    """({model: `tofu_scores`}, a note on how the truth ratio is computed)."""
    note = (
        f"Truth Ratio: {reduction} mean over wrong answers ({REDUCTIONS[reduction]}); "
        "Truth Ratio Forget is mean min(R, 1/R), elsewhere max(0, 1-R)"
    )
    retrained = evaluations.get("retrained")
    return {model: tofu_scores(found, retrained) for model, found in evaluations.items()}, note


def add_privleak(own: dict[str, dict]) -> str | None:
    """Adds privleak to each model's `muse_scores`. Returns a note on a missing reference and on cut texts, if any."""
    reference = own.get("retrained", {}).get("min_k_auc")
    measured = [found for found in own.values() if "min_k_auc" in found]
    usable = reference is not None and reference < 1
    for found in measured:
        found["privleak"] = privacy_leakage(found["min_k_auc"], reference) if usable else None
    notes = []
    if measured and not usable:
        notes.append("needs a retrained model with an AUC below 1; no other reference can replace it")
    if cut := max((found.get("cut_texts", 0) for found in measured), default=0):
        notes.append(f"{cut} texts were longer than the model's positions and scored in parts; MUSE scores them whole")
    return "; ".join(notes) or None
