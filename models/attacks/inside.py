"""Attacks on hidden states: lens and probe per layer, one direction projected out, trained embeddings in the input."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np

from data.preparation import EncodedRows, end_of_turn
from data.sampling import token_budget_batches
from models.attacks.relearning import crossed, descend, halves
from models.attacks.subject import SCORED, Subject, best, frozen, joined, spread, summary
from models.forward.answers import answer_outputs, unwrapped
from models.forward.layers import decoder_layers
from models.forward.proof import packs
from models.forward.teacher_forced import packed_batches, teacher_forced
from models.scores.metric_table import METRICS, Measured

DEPTH = 0.6  # where the direction is read, as a share of the layers
LAYERS = 8  # layers that the lens and the probe look at, evenly spread; the last is always among them
TOKENS = 1024  # of a forward pass
PROBED = 24  # principal components that the probe sees
MOST_FOLDS = 8
LEVEL = 0.05  # p from which a probe counts


# ---------------------------------------------------------------------------------------------------------------------
# Hidden states


def chosen_layers(model, most: int = LAYERS) -> list[int]:
    """At most `most` evenly spread indices of decoder layers, with the first and the last."""
    depth = len(decoder_layers(unwrapped(model)))
    return sorted(set(np.linspace(0, depth - 1, min(most, depth)).round().astype(int).tolist()))


@contextlib.contextmanager
def hooked(model, layers: Sequence[int], change):
    """Calls change(layer, output (.., d)) on each of these decoder layers; what it returns, if not None, is the output.

    A context: the hooks are removed at its end.
    """

    def hook(number: int):
        def on_output(_module, _args, output):
            state, *rest = output if isinstance(output, tuple) else (output,)
            changed = change(number, state)
            if changed is None:
                return None
            return (changed, *rest) if isinstance(output, tuple) else changed

        return on_output

    modules = decoder_layers(unwrapped(model))
    handles = [modules[number].register_forward_hook(hook(number)) for number in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def answer_states(subject: Subject, rows: EncodedRows, layers: Sequence[int], logits: bool = False) -> Iterator[tuple]:
    """Yields (row numbers, Answers, {layer: (A, d) its output where the A answer tokens are predicted}) per batch."""
    import torch

    model = subject.model
    last = None if logits else max(layers)
    if packs(model, rows, subject.pad):
        batches = packed_batches(rows, np.ones(len(rows), dtype=bool), TOKENS)
    else:
        batches = token_budget_batches(rows.lengths, TOKENS)
    for numbers in batches:
        with torch.no_grad():
            batch = rows.batch(numbers, subject.pad)
            answers = answer_outputs(model, batch, layer=last, logits=logits, states=layers)
        yield numbers, answers, answers.states


def _by_row(values, answers) -> np.ndarray:
    """(B, ...) means over the answer tokens of each row."""
    import torch

    sums = torch.zeros(answers.num_rows, *values.shape[1:], dtype=torch.float64, device=values.device)
    sums.index_add_(0, answers.row, values.double())
    return (sums / answers.lengths().double().view(-1, *[1] * (values.ndim - 1))).cpu().numpy()


def final_norm(model):
    """The norm before the output head, or None for a family whose norm is not known."""
    base = unwrapped(model).base_model
    return next((getattr(base, name) for name in ("norm", "ln_f", "final_layer_norm") if hasattr(base, name)), None)


def logit_lens(subject: Subject) -> dict:
    """Reciprocal rank of the gold token at eight layers, through the final norm and head, and at the best layer.

    A row's value is the mean over its answer tokens. Middle layers may still show knowledge that the last layers hide.
    Before: the last layer. Empty for a model without a known final norm. nostalgebraist 2020; Patil et al. 2024
    (arXiv:2309.17410).
    """
    import torch

    norm, head = final_norm(subject.model), unwrapped(subject.model).get_output_embeddings()
    if norm is None:
        return {}
    examples, layers = spread(subject.forget, subject.budget.rows), chosen_layers(subject.model)
    rows = subject.encode(examples)
    found = np.zeros((len(layers), len(examples)))
    seen = np.zeros(len(examples))
    for numbers, answers, states in answer_states(subject, rows, layers):
        owners = rows.example_index[numbers]
        seen[owners] += 1
        for place, layer in enumerate(layers):
            ranks = [_reciprocal_ranks(head(norm(state)), gold)
                     for state, gold in zip(states[layer].split(256), answers.labels.split(256))]  # fmt: skip
            np.add.at(found[place], owners, _by_row(torch.cat(ranks), answers))
    table = {
        layer: {number: float(found[place, i] / seen[i])
                for i, number in enumerate(subject.row_numbers(examples)) if seen[i]}
        for place, layer in enumerate(layers)
    }  # fmt: skip
    means = {layer: float(np.mean(list(values.values()))) for layer, values in table.items()}
    top = max(means, key=means.get)
    by_layer = {f"layer_{layer + 1}_reciprocal_rank": value for layer, value in means.items()}
    ends = {"best_reciprocal_rank": table[top], "best_reciprocal_rank_before": table[layers[-1]]}
    return {**by_layer, "last_reciprocal_rank": means[layers[-1]], "best_layer": top + 1, **summary(ends)}


def _reciprocal_ranks(logits, gold):
    """(A,) 1 / rank of the gold tokens (A,) in logits (A, V)."""
    logits = logits.float()
    return 1 / (1 + (logits > logits.gather(1, gold[:, None])).sum(1)).double()


# ---------------------------------------------------------------------------------------------------------------------
# A probe of membership


def folds_of(groups: Sequence, members: np.ndarray) -> np.ndarray:
    """(n,) fold numbers: whole groups, dealt in order, so that each fold leaves out groups of both sides.

    As many folds as the smaller side has groups, at most `MOST_FOLDS`: the smaller side leaves out one group at a time.
    """
    sides = [list(dict.fromkeys(np.asarray(groups, dtype=object)[members == side])) for side in (True, False)]
    count = min(MOST_FOLDS, *map(len, sides))
    fold = {(side, group): number % count for side, names in zip((True, False), sides)
            for number, group in enumerate(names)}  # fmt: skip
    return np.array([fold[bool(side), group] for side, group in zip(members, groups)])


def placements(members: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(m,) share of the others' scores (k,) below each member's score (m,), ties half; their mean is the AUC."""
    return (members[:, None] > others).mean(1) + 0.5 * (members[:, None] == others).mean(1)


def components(features: np.ndarray) -> np.ndarray:
    """(n, c) principal components of standardised features (n, d), from all rows and without their labels."""
    values = features - features.mean(0)
    values = values / np.where(values.std(0) > 0, values.std(0), 1)
    left, sizes, _ = np.linalg.svd(values, full_matrices=False)
    kept = min(PROBED, len(sizes))
    found = left[:, :kept] * sizes[:kept]
    return found / (found.std() or 1)


def probe(features: np.ndarray, members: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(m,) placements of the members among the others of their fold, by a logistic probe of the other folds.

    features (n, c); members (n,) true for members; the scores of one fold come from one probe, so only these are
    compared.
    """
    from sklearn.linear_model import LogisticRegression

    found = np.full(len(members), np.nan)
    for fold in np.unique(folds):
        out = folds == fold
        model = LogisticRegression(class_weight="balanced", max_iter=200).fit(features[~out], members[~out])
        scores = model.decision_function(features[out])
        found[np.flatnonzero(out & members)] = placements(scores[members[out]], scores[~members[out]])
    return found[members]


def permuted(groups: Sequence, members: np.ndarray, seed: int, count: int) -> Iterator[np.ndarray]:
    """Yields `count` times (n,) labels in which other groups, as many as before, are the members."""
    draw = np.random.default_rng(seed)
    keys = list(zip(members.tolist(), groups))
    names = list(dict.fromkeys(keys))
    number = len({key for key in keys if key[0]})
    for _ in range(count):
        chosen = {names[i] for i in draw.permutation(len(names))[:number]}
        yield np.array([key in chosen for key in keys])


def membership_probe(subject: Subject) -> dict:
    """Tells forget rows from rows that no model saw by hidden states: a logistic probe per layer, the best layer's AUC.

    Features: the mean output of a layer over a row's answer tokens. The probe is scored on subjects, one or more of
    each side, that it was not trained on. probe_p: share of permutations of the subjects, of `Budget.permutations`,
    whose best layer does as well. told_apart: the AUC of the losses, and of the probe instead where its p is at most
    .05: a probe that chance equals adds nothing. Rows without a subject count as subjects. Empty
    with fewer than two subjects or five rows on a side. Liu et al. 2024 (arXiv:2406.01333).
    """
    examples = spread(subject.forget, subject.budget.rows)
    outsiders = spread(subject.outsiders, len(examples)) if subject.outsiders else []
    groups = [("row", i) if e.subject is None else e.subject for i, e in enumerate([*examples, *outsiders])]
    members = np.arange(len(groups)) < len(examples)
    sides = [{group for group, side in zip(groups, members) if side == wanted} for wanted in (True, False)]
    if min(map(len, sides)) < 2 or min(len(examples), len(outsiders)) < 5:
        return {}
    layers = chosen_layers(subject.model)
    features, losses = _row_features(subject, [*examples, *outsiders], layers)
    features = [components(features[:, place]) for place in range(len(layers))]
    folds = folds_of(groups, members)
    found = np.array([probe(values, members, folds) for values in features])  # (layers, m)
    aucs = found.mean(1)
    top = int(aucs.argmax())
    chance = []
    for labels in permuted(groups, members, subject.budget.seed, subject.budget.permutations):
        again = folds_of(groups, labels)
        chance.append(max(probe(values, labels, again).mean() for values in features))
    numbers, losses_before = subject.row_numbers(examples), placements(-losses[members], -losses[~members])
    p = float(1 + np.sum(np.array(chance) >= aucs[top] - 1e-12)) / (1 + len(chance))
    rows = {"told_apart": found[top] if p <= LEVEL else losses_before, "told_apart_before": losses_before}
    return {
        "probe_auc": float(aucs[top]),
        **{f"layer_{layer + 1}_auc": float(value) for layer, value in zip(layers, aucs)},
        "best_layer": layers[top] + 1,
        "probe_p": p,
        **summary({name: dict(zip(numbers, values.tolist())) for name, values in rows.items()}),
    }


def _row_features(subject: Subject, examples: list, layers: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """((n, layers, d) mean states of the examples' answer tokens, (n,) mean losses); of a long text's first row."""
    rows = subject.encode(examples)
    first = {int(owner): row for row, owner in reversed(list(enumerate(rows.example_index)))}
    rows = rows.take([first[number] for number in range(len(examples))])
    states, losses = [None] * len(rows), np.zeros(len(rows))
    import torch

    for numbers, answers, found in answer_states(subject, rows, layers, logits=True):
        means = _by_row(torch.stack([found[layer] for layer in layers], 1), answers)
        losses[numbers] = _by_row(answers.token_nll(), answers)
        for number, values in zip(numbers, means):
            states[number] = values
    return np.nan_to_num(np.stack(states), posinf=0, neginf=0), np.nan_to_num(losses, posinf=1e9)


# ---------------------------------------------------------------------------------------------------------------------
# One direction


def without_direction(state, direction):
    """state (.., d) without its part along the unit vector `direction` (d,): h - (h . v) v, computed in fp32."""
    wide = state.float()
    return (wide - (wide @ direction)[..., None] * direction).to(state.dtype)


def directions(subject: Subject, layer: int) -> dict:
    """{place: (d,) unit difference of means, forget minus retain rows, of a layer's output}.

    Places: "prompt", the last token before the answer; "answer", the mean over the answer's tokens.
    """
    import torch

    means = {}
    for name, examples in (("forget", subject.forget), ("retain", subject.retain)):
        rows = subject.encode(spread(examples, subject.budget.rows))
        sums = {"prompt": 0.0, "answer": 0.0}
        for _, answers, states in answer_states(subject, rows, [layer]):
            state, row = states[layer].double(), answers.row
            starts = torch.ones_like(row, dtype=torch.bool)
            starts[1:] = row[1:] != row[:-1]
            sums["prompt"] = sums["prompt"] + state[starts].sum(0)
            sums["answer"] = sums["answer"] + torch.as_tensor(_by_row(state, answers)).to(state).sum(0)
        means[name] = {place: value / len(rows) for place, value in sums.items()}
    found = {place: (means["forget"][place] - means["retain"][place]).float() for place in ("prompt", "answer")}
    return {place: value / value.norm() for place, value in found.items() if value.norm() > 0}


def direction_ablation(subject: Subject) -> dict:
    """Projects one direction out of the residual stream while the forget set is scored.

    The direction is the difference of the mean outputs, forget minus retain rows, of the layer at 60 % depth: at the
    last token before the answer or over the answer, whichever brings more back, if any does. It is removed from every
    layer's output. Empty without retain rows. Arditi et al. 2024 (arXiv:2406.11717) remove the direction of refusal so.
    """
    if not subject.retain:
        return {}
    depth = len(decoder_layers(unwrapped(subject.model)))
    layer, found = min(depth - 1, round(DEPTH * depth)), [subject.untouched(subject.forget)]
    for direction in directions(subject, layer).values():
        with hooked(subject.model, range(depth), lambda _, state, v=direction: without_direction(state, v)):
            found.append(subject.score(subject.forget))
    return best(found)


# ---------------------------------------------------------------------------------------------------------------------
# Trained embeddings in the input


def unused_ids(rows: EncodedRows, vocabulary: int, count: int) -> np.ndarray:
    """At most `count` token ids that no row uses, the highest first."""
    free = np.setdiff1d(np.arange(vocabulary), rows.ids)
    return free[::-1][:count]


def with_soft_tokens(rows: EncodedRows, ids: np.ndarray) -> EncodedRows:
    """The rows with `ids` between prompt and answer."""
    parts = []
    for i in range(len(rows)):
        start = int(rows.answer_starts[i])
        parts.append(np.insert(rows.ids_of(i), start, ids))
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    return EncodedRows(np.concatenate(parts), offsets, rows.answer_starts + len(ids), rows.example_index)


@contextlib.contextmanager
def embedded(model, ids: np.ndarray, vectors):
    """Gives the tokens `ids` (k,) the embeddings `vectors` (k, d), through which gradients flow."""
    import torch

    table = model.get_input_embeddings()
    place = torch.full((table.weight.shape[0],), -1, dtype=torch.long, device=table.weight.device)
    place[torch.as_tensor(ids.copy(), device=place.device)] = torch.arange(len(ids), device=place.device)

    def exchange(_module, args, output):
        where = place[args[0]]
        soft = vectors.to(output.dtype)[where.clamp(min=0)]
        return torch.where((where >= 0)[..., None], soft, output)

    handle = table.register_forward_hook(exchange)
    try:
        yield
    finally:
        handle.remove()


def embedding_attack(subject: Subject) -> dict:
    """Trains `Budget.soft_tokens` embeddings between prompt and answer on half of the subjects; scores the other half.

    Then the halves change places. No weight changes, so what comes out was in the model; the answers of the other half
    are never seen. Schwinn et al. 2024 (arXiv:2402.09063), with one prompt for all questions and AdamW.
    """
    import torch

    budget, model, parts, untouched = subject.budget, subject.model, [], subject.untouched(subject.forget)
    table = unwrapped(model).get_input_embeddings().weight
    scale = float(table.detach().float().std())
    model.eval()
    for taught, scored in crossed(halves(subject.forget)):
        both = subject.encode([*taught, *scored])
        ids = unused_ids(both, table.shape[0], budget.soft_tokens)
        if not len(ids):
            return {}
        seeded = torch.Generator().manual_seed(budget.seed)
        vectors = (torch.randn(len(ids), table.shape[1], generator=seeded) * scale).to(table.device)
        vectors.requires_grad_(True)
        rows, results = with_soft_tokens(subject.encode(taught), ids), []
        asked = with_soft_tokens(subject.encode(scored), ids)
        with frozen(model), embedded(unwrapped(model), ids, vectors):
            descend(
                model, rows, [vectors], learning_rate=scale, steps=budget.soft_steps, seed=budget.seed,
                batch_size=2, pad=subject.pad, points=(budget.soft_steps,),
                look=lambda step, asked=asked, scored=scored, results=results: results.append(
                    score_rows(subject, asked, scored)),
            )  # fmt: skip
        parts.append(results)
    return best([untouched, *(joined(tries) for tries in zip(*parts))]) if parts else {}


def score_rows(subject: Subject, rows: EncodedRows, examples: list) -> dict:
    """As `Subject.score`, of token rows: `rows` are those of the forget rows `examples`, which may be cut."""
    if packs(subject.model, rows, subject.pad):
        batches = packed_batches(rows, np.ones(len(rows), dtype=bool), TOKENS)
    else:
        batches = token_budget_batches(rows.lengths, TOKENS)
    everything = np.ones(len(rows), dtype=bool)
    statistics = teacher_forced(subject.model, rows, batches, everything, subject.pad)
    ends, numbers = set(end_of_turn(subject.tokenizer)), subject.row_numbers(examples)
    table: dict[str, dict] = {name: {} for name in SCORED}
    for i, owner in enumerate(rows.example_index.tolist()):
        example, labels = examples[owner], rows.ids_of(i)[rows.answer_starts[i] :]
        nll, predicted, means, stds = statistics[i]
        content = len(labels) - (example.prompt is not None and len(labels) > 1 and int(labels[-1]) in ends)
        measured = Measured(example, nll, predicted.astype(np.int64), labels, content, means, stds, example.answer)
        for name in SCORED:
            value = float(METRICS[name].function(measured))
            if np.isfinite(value):
                table[name].setdefault(numbers[owner], value)  # of a long text, the first row
    return summary(table)
