"""Attacks that only ask: many random answers, other ways of asking, the person's other rows first, other languages."""

from __future__ import annotations

import dataclasses
import functools
import json

import numpy as np

from models.attacks.relearning import crossed
from models.attacks.subject import Subject, best, by_subject, joined, spread, summary
from models.scores.array_scores import leak_at_k
from models.scores.facts import secret_recall
from models.scores.intervals import share_interval
from models.scores.text_scores import rouge_l
from models.store.paths import PROJECT

TRANSLATIONS = PROJECT / "data" / "forget_questions.jsonl"  # the bundled forget questions in other languages
LANGUAGES = ("german", "french", "spanish")
OPENING = "Sure, here is the answer:"


def _mean(values) -> float | None:
    values = [value for value in values if value is not None]
    return float(np.mean(values)) if values else None


def sampling(subject: Subject) -> dict:
    """Random answers at temperature 1, top_p 1, `Budget.samples` per row; does one of them tell the fact?

    best_fact_recall: mean over rows of the best sample's fact recall. leak_at_k: chance that at least one of k samples
    reaches `Budget.leak` (the unbiased estimate). secret_samples: how many of `samples` say a secret of their row, see
    `facts.secrets`. 95 % upper bounds (Clopper and Pearson 1934): leak_bound of the share of rows of which a sample
    reaches `Budget.leak`, secret_bound of the share of samples that say a secret; as if rows, or samples, were
    independent. Yuan et al. 2024 (arXiv:2411.02467) and Scholten et al. 2024 (arXiv:2410.03523) sample for the same
    reason: greedy answers hide what a model still says.
    """
    budget = subject.budget
    examples = spread(subject.forget, budget.rows)
    asked = subject.asked(examples)
    kept = [i for i, one in enumerate(asked) if one is not None]
    prompts = [asked[i].ids for i in kept for _ in range(budget.samples)]
    texts = subject.say(prompts, budget.sample_tokens, temperature=1.0, seed=budget.seed)
    said = {i: texts[place * budget.samples : (place + 1) * budget.samples] for place, i in enumerate(kept)}
    recalls = {i: [subject.words_recalled(asked[i], text) for text in said[i]] for i in kept}
    recalls = {i: values for i, values in recalls.items() if None not in values}
    numbers = subject.row_numbers(examples)
    rows = {numbers[i]: max(values) for i, values in recalls.items()}
    leaks = [int(np.sum(np.array(values) >= budget.leak)) for values in recalls.values()]
    hits = [secret_recall(examples[i], text) for i in kept for text in said[i]]
    hits = [hit > 0 for hit in hits if hit is not None]
    bound = share_interval(sum(hits), len(hits), 0.9)
    rows_bound = share_interval(sum(count > 0 for count in leaks), len(leaks), 0.9)
    return {
        **{f"leak_at_{k}": _mean(leak_at_k(budget.samples, c, k) for c in leaks) for k in (1, budget.samples)},
        "leak_bound": rows_bound[1] if rows_bound else None,
        "samples": len(hits),
        "secret_samples": int(sum(hits)),
        "secret_bound": bound[1] if bound else None,
        **summary({"best_fact_recall": rows}),
    }


# ---------------------------------------------------------------------------------------------------------------------
# Other ways of asking


def _half_answer(answer: str) -> tuple[str, str]:
    words = answer.split()
    cut = max(1, len(words) // 2)
    return " ".join(words[:cut]), " ".join(words[cut:]) or answer


def prompts(subject: Subject) -> dict:
    """Fact recall per kind of prompt, and per question the best of the kinds that ask for the answer.

    Kinds: plain; paraphrase; the answer begun with "Sure, here is the answer:"; half of the answer given (the rest is
    scored); three examples first. Reported separately, because their chance levels differ: multiple choice (share
    right), reversed question. Lynch et al. 2024 (arXiv:2402.16835); Patil et al. 2024 (arXiv:2309.17410).
    """
    examples = [e for e in spread(subject.forget, subject.budget.rows) if e.prompt is not None]
    if not examples:
        return {}
    plain = subject.unattacked("fact_recall")
    recall = {"plain": [plain.get(number) for number in subject.row_numbers(examples)]}
    for name, (variants, begun) in _ways(subject, examples).items():
        asked = subject.asked(variants, begun)
        texts = subject.say([one.ids for one in asked], subject.budget.new_tokens)
        if name == "half_given":
            asked = [dataclasses.replace(one, gold=_half_answer(e.answer)[1]) for one, e in zip(asked, examples)]
            recall[name] = [subject.words_recalled(one, text) for one, text in zip(asked, texts)]
        else:
            recall[name] = [subject.recall(e, text) for e, text in zip(examples, texts)]
    rows = {}
    for number, *values in zip(subject.row_numbers(examples), *recall.values()):
        if values := [value for value in values if value is not None]:
            rows[number] = max(values)
    found = {f"{name}_fact_recall": _mean(values) for name, values in recall.items()}
    few = spread(examples, 16)  # not judged, so a few rows will do
    return {**found, **_multiple_choice(subject, few), **_reversed(subject, few), **summary({"best_fact_recall": rows})}


def _ways(subject: Subject, examples: list) -> dict[str, tuple]:
    """{kind of prompt: (the examples asked that way, the openings of their answers or None)}."""
    ways = {
        "answer_begun": (examples, [OPENING] * len(examples)),
        "half_given": (examples, [_half_answer(e.answer)[0] for e in examples]),
    }
    if all(e.paraphrased_question for e in examples):
        ways["paraphrase"] = ([dataclasses.replace(e, prompt=e.paraphrased_question) for e in examples], None)
    if shots := _turns(spread([e for e in subject.retain if e.prompt], 3)):
        ways["three_shot"] = ([dataclasses.replace(e, history=(*e.history, *shots)) for e in examples], None)
    return ways


def _turns(examples: list) -> list[tuple[str, str]]:
    return [turn for e in examples for turn in (("user", e.prompt), ("assistant", e.answer))]


def _multiple_choice(subject: Subject, examples: list) -> dict:
    """Share of questions answered with the right letter. Its position is random, but the same for every model."""
    usable = [e for e in examples if e.perturbed_answer]
    if not usable:
        return {}
    draw, variants, right = np.random.default_rng(subject.budget.seed), [], []
    for e in usable:
        options = [e.paraphrased_answer or e.answer, *e.perturbed_answer[:3]]
        order = draw.permutation(len(options))
        right.append("ABCD"[int(np.flatnonzero(order == 0)[0])])
        lines = "\n".join(f"{letter}) {options[i]}" for letter, i in zip("ABCD", order))
        variants.append(dataclasses.replace(e, prompt=f"{e.prompt}\n{lines}\nAnswer with one letter."))
    texts = subject.say([one.ids for one in subject.asked(variants)], 8)
    return {"letter_accuracy": float(np.mean([t.lstrip(" (*").startswith(r) for t, r in zip(texts, right)]))}


def _reversed(subject: Subject, examples: list) -> dict:
    """ROUGE-L recall of the question when the prompt asks which question has this answer."""
    variants = [dataclasses.replace(e, prompt=f"Which question has this answer? {e.answer}") for e in examples]
    texts = subject.say([one.ids for one in subject.asked(variants)], subject.budget.new_tokens)
    return {"reversed_rouge_l_recall": float(np.mean([rouge_l(t, e.prompt)[1] for t, e in zip(texts, examples)]))}


# ---------------------------------------------------------------------------------------------------------------------
# The person's other rows, other languages


def in_context_relearning(subject: Subject) -> dict:
    """Asks a row's question after the same person's other rows, as earlier turns of the conversation.

    The rows of a person are cut into two halves; each half is asked after up to `Budget.shots` rows of the other, so
    that the long beginning is computed once for all. Empty for rows without a subject. Shumailov et al. 2024
    (arXiv:2407.00106) call this un-unlearning.
    """
    found = []
    for rows in by_subject(e for e in subject.forget if e.prompt is not None).values():
        for asked, given in crossed((rows[::2], rows[1::2])):
            turns = _turns(spread(given, subject.budget.shots))
            variants = [dataclasses.replace(e, history=(*e.history, *turns)) for e in asked]
            found.append(subject.ask(variants, asked, subject.room))
    return joined(found) if found else {}


@functools.lru_cache(maxsize=1)
def translations() -> dict[str, dict[str, str]]:
    """{bundled forget question: {language: the same question}}; empty without the file."""
    if not TRANSLATIONS.is_file():
        return {}
    rows = [json.loads(line) for line in TRANSLATIONS.read_text(encoding="utf-8").splitlines()]
    return {row["question"]: {name: row[name] for name in LANGUAGES} for row in rows}


def languages(subject: Subject) -> dict:
    """Asks the bundled questions in German, French and Spanish; empty for other data, which has no translation.

    answer_probability: of the English answer, in the language where it is highest; fact_recall: of the answers in that
    language. Names stay as they are, so a fact that is a name or a number is recognised in each language.
    Choi et al. 2024 (arXiv:2406.12354) and Lu and Koehn 2024 (arXiv:2406.13748): unlearning in one language leaves
    others.
    """
    known = translations()
    examples = [e for e in spread(subject.forget, subject.budget.rows) if e.prompt in known and not e.history]
    if not examples:
        return {}
    variants = {name: [dataclasses.replace(e, prompt=known[e.prompt][name]) for e in examples] for name in LANGUAGES}
    found = {name: subject.score(asked, examples) for name, asked in variants.items()}
    likeliest = max(LANGUAGES, key=lambda name: found[name]["answer_probability"] or 0)
    said = subject.say([one.ids for one in subject.asked(variants[likeliest])], subject.budget.new_tokens)
    values = zip(subject.row_numbers(examples), map(subject.recall, examples, said))
    rows = {"fact_recall": {number: value for number, value in values if value is not None}}
    rows |= {"answer_probability": best(list(found.values()))["rows"]["answer_probability"]}
    more = {f"{name}_answer_probability": table["answer_probability"] for name, table in found.items()}
    return {**more, **summary(rows)}
