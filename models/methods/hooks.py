"""Hooks for the few methods that need more than loss terms; the loop passes itself as `run`.

They read `settings`, `rows`, `model`, `pad`, `layer`, `optimizer`, `stage`, `step`, `steps_per_epoch`, `anchor` (the
target's weights) and `cache` of the run; they set its `context`, `retain_weight`, `ended` and kept references.
"""

from __future__ import annotations

import math

import numpy as np

from data.sampling import token_budget_batches
from models.forward.answers import answer_outputs, evaluating, unwrapped
from models.forward.layers import decoder_layers, feed_forward_matrices, output_matrices, output_norm, scaled_norm
from models.methods.losses import kl_divergence, place_profiles
from models.store.on_first_use import torch, weights


def dual_ascent(run, losses: dict):
    """pdu: retain weight <- max(0, weight + dual_learning_rate (L_retain - retain_loss_limit)), once a step.

    The weight is fixed for the first `dual_warmup_epochs`. The published code updates it once per micro-batch.
    """
    settings = run.settings
    if run.step > settings.dual_warmup_epochs * run.steps_per_epoch:
        violated = losses.get("retain", 0.0) - settings.retain_loss_limit
        run.retain_weight = max(0.0, run.retain_weight + settings.dual_learning_rate * violated)


def in_turns(number: int, per_epoch: int, settings) -> tuple[int | None, int | None]:
    """scrub: a max step on forget rows, then a min step on retain rows; only min steps after `max_step_epochs`."""
    batch, turn = divmod(number, 2)
    if number >= settings.max_step_epochs * per_epoch:
        return None, number
    return (batch, None) if turn == 0 else (None, batch)


def steering_direction(size: int, seed: int):
    """u (d,): entries uniform in [0, 1), scaled to length 1, as published."""
    direction = torch.rand(size, generator=torch.Generator().manual_seed(seed))
    return direction / direction.norm()


def fixed_control(run):
    """rmu: control = steering_coefficient * u."""
    _steer(run, run.settings.steering_coefficient)


def measured_control(run):
    """adaptive_rmu: control = steering_scale * (mean length of h on the first forget batch) * u."""
    rows, indices = run.rows["forget"], run.stage.forget[0]
    with evaluating(run.model):
        batch = rows.batch(indices, run.pad)
        length = answer_outputs(run.model, batch, layer=run.layer, logits=False).activation.float().norm(dim=-1).mean()
    _steer(run, run.settings.steering_scale * float(length))


def _steer(run, coefficient: float):
    size = unwrapped(run.model).config.get_text_config().hidden_size
    direction = steering_direction(size, run.settings.seed)
    run.context["control"] = coefficient * direction.to(next(run.model.parameters()).device)


def rmu_weights(model, layer: int) -> list:
    """The output matrices of the feed-forward blocks of layers layer - 2 .. layer."""
    return [p for number in range(max(0, layer - 2), layer + 1) for p in output_matrices(model, number)]


def all_but_embeddings(model, layer: int) -> list:
    """All weights except the embeddings (and the output head if it is the same matrix).

    Embeddings hold the meaning of words, not the content of a row. Training them affects all other texts and costs
    time.
    """
    fixed = {id(p) for p in model.get_input_embeddings().parameters()}
    return [p for p in model.parameters() if p.requires_grad and id(p) not in fixed]


def lower_layers(model, layer: int) -> list:
    """All weights of the layers up to `layer`: they make of a name what the layers above look facts up with."""
    return [p for block in decoder_layers(model)[: layer + 1] for p in block.parameters() if p.requires_grad]


def repselect_weights(model, layer: int) -> list:
    """The matrices of all feed-forward blocks."""
    return feed_forward_matrices(model)


def selective_direction(run):
    """repselect: sums the ascent gradient over one epoch, then shrinks the top directions of each matrix.

    The gradient is taken while an adapter brings the knowledge out (`elicited`). All weights that a run can reach lie
    on one line, W - t G. With `step_size` "to_limit" its steps divide the way to `kl_limit` evenly. The published
    constant step fits a sum over many batches of text that the model half knows. On a few rows known by heart, G is so
    small that such steps change nothing and never come near the limit.
    """
    settings, generic = run.settings, run.rows.get("generic")
    run.generic = run.rows["retain"] if generic is None else generic
    if generic is None:
        order = np.random.default_rng([settings.seed, 13]).permutation(len(run.generic))[: settings.probe_rows]
        run.generic = run.generic.take(np.sort(order))
    run.generic_reference = run.cache(run.generic, "distribution")
    target = run.optimizer.snapshot()
    run.model.eval()
    elicited(run)
    run.optimizer.zero_grad()
    for number in range(run.stage.forget.per_epoch):
        run._accumulate(run._terms(number))
    run._reduce({})
    run.optimizer.restore(target)
    tokens = int(run.rows["forget"].answer_lengths.sum())  # bounds the rank; shrinking all directions leaves nothing
    for gradient in run.optimizer.by_weight():
        directions = max(1, min(settings.singular_directions, min(gradient.shape) // 2, tokens // 2))
        gradient.copy_(weights.collapsed(gradient, directions, settings.collapse, settings.seed))
    run.direction = run.optimizer.take_grads()
    run.stride = settings.learning_rate
    if settings.step_size == "to_limit" and math.isfinite(settings.kl_limit):
        run.stride = distance_to_limit(run, target) / run.stage.steps


ELICITATION_RANK = 8  # and alpha 8, as published


def elicited(run):
    """repselect: W <- W + B A after one epoch of SGD on the forget NLL, B (n, 8) zero and A (8, m) random at the start.

    A gradient of W gives those of the adapter: dB = G A^T, dA = B^T G. `elicitation_rate` 0 changes nothing.
    """
    rate, draw = run.settings.elicitation_rate, torch.Generator().manual_seed(run.settings.seed)
    if not rate:
        return
    start, adapters = [master.clone() for _, master in run.optimizer.slots], []
    for values in start:
        rows, columns = values.shape
        down = (torch.rand(ELICITATION_RANK, columns, generator=draw) * 2 - 1) / columns**0.5
        adapters.append([values.new_zeros(rows, ELICITATION_RANK), down.to(values)])
    for number in range(run.stage.forget.per_epoch):
        run.optimizer.zero_grad()
        run._accumulate(run._terms(number))
        run._reduce({})
        for adapter, gradient in zip(adapters, run.optimizer.by_weight()):  # of -NLL, so adding descends on NLL
            up, down = adapter
            adapter[:] = up + rate * gradient @ down.mT, down + rate * up.mT @ gradient
        for (_, master), values, (up, down) in zip(run.optimizer.slots, start, adapters):
            master.copy_(values + up @ down)
        run.optimizer.refresh()


def distance_to_limit(run, target: list) -> float:
    """The largest t found with KL(theta_target || theta_target - t G) <= kl_limit on generic text; G's own scale.

    Doubles t from `learning_rate`, then halves the interval until it is within 1 %.
    """

    def within(t: float) -> bool:
        run.optimizer.restore(target)
        run.optimizer.move(run.direction, -t)
        return mean_divergence(run, run.generic, run.generic_reference) <= run.settings.kl_limit

    low, high = 0.0, run.settings.learning_rate
    while within(high) and high < FARTHEST:
        low, high = high, 2 * high
    while high - low > 0.01 * high and high > NEAREST:
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle) else (low, middle)
    run.optimizer.restore(target)
    return low


FARTHEST, NEAREST = 1e12, 1e-12  # of the search for the limit: a gradient of zeros has none


def selective_update(run) -> dict:
    """repselect: W <- W - stride * G; stops at the last weights within `kl_limit` on generic text."""
    before = run.optimizer.snapshot()
    run.optimizer.move(run.direction, -run.stride)
    divergence = mean_divergence(run, run.generic, run.generic_reference)
    if not divergence <= run.settings.kl_limit:
        run.optimizer.restore(before)
        message = f"KL on generic text is {divergence:.4f} nats, above kl_limit: kept the state of step {run.step}"
        run.ended = {"event": "early_stop", "step": run.step, "message": message}
    norm = weights.dot(run.direction, run.direction) ** 0.5
    return {"losses": {}, "loss": divergence, "norm": norm, "rate": run.stride}


def mean_divergence(run, rows, reference) -> float:
    """KL(reference || theta), the mean over the answer tokens of `rows`, nats."""
    total, tokens = 0.0, 0
    with evaluating(run.model):
        for indices in token_budget_batches(rows.lengths, 4096):
            answers = answer_outputs(run.model, rows.batch(indices, run.pad))
            values = kl_divergence(reference.logits(answers), answers.logits)
            total, tokens = total + float(values.sum()), tokens + len(values)
    return total / tokens


def negate_task(run):
    """task_vector: theta <- theta_target - task_scale (theta_reinforced - theta_target)."""
    run.optimizer.extrapolate(run.anchor, -run.settings.task_scale)


def share_of_importance(run):
    """perta: w_j = I_f,j / (I_f,j + I_r,j) in [0, 1], the share of the forget rows in a weight's importance.

    I: the mean over rows of the squared gradient of a row's mean NLL at the target ("fisher"), or the absolute value of
    that gradient's mean ("gradient"). w_j = 0 where neither set needs the weight. Nothing is added to the denominator:
    squared gradients of rows known by heart are smaller than any constant that would be.
    """
    measure = {"fisher": mean_squared_gradients, "gradient": absolute_mean_gradients}[run.settings.importance]
    kept = run.rows["retain"] if run.rows.get("generic") is None else run.rows["generic"]
    forget, rest = (measure(run, rows) for rows in (run.rows["forget"], kept))
    run.shares = [relative_importance(f, r) for f, r in zip(forget, rest)]


def relative_importance(forget, rest):
    """forget / (forget + rest) for values >= 0, and 0 where both are 0."""
    total = forget + rest
    return torch.where(total > 0, forget / total, torch.zeros_like(total))


def negate_weighted_task(run):
    """perta: theta <- theta_target - task_scale w (theta_reinforced - theta_target), weight by weight."""
    for flat, start, share in zip(run.optimizer.flats, run.anchor, run.shares):
        flat.copy_(start - run.settings.task_scale * share * (flat - start))
    run.optimizer.refresh()


def keep_reinforced(run):
    """whp: keeps the reinforced model's predictions on the forget rows and restores the target."""
    run.keep("reinforced", run.cache(run.rows["forget"], "distribution"))
    run.optimizer.restore(run.anchor)


def teach_and_noise(run):
    """undo: the unlearned model becomes the teacher on the retain rows; shrinking and noise make the student."""
    need = run.stages[-1].retain.needs_reference
    if need:
        run.keep("retain", run.cache(run.rows["retain"], need))
    run.optimizer.shrink_and_noise(run.settings.noise_share, run.settings.noise_scale, run.settings.seed)


def uniform_importance(run) -> list:
    """l2_sp: F = 1 for every weight. Li et al. 2018 (arXiv:1802.01483), eq. 2."""
    return [torch.ones_like(flat) for flat in run.optimizer.flats]


def retain_importance(run) -> list:
    """ewc: F_j, the mean over retain rows of the squared gradient of the row's mean NLL at the target.

    Kirkpatrick et al. 2017 (arXiv:1612.00796), eq. 3.
    """
    return mean_squared_gradients(run, run.rows["retain"])


def mean_squared_gradients(run, rows) -> list:
    """The mean over at most `importance_rows` of the rows of the squared gradient of a row's mean NLL, by flat."""
    importance = [torch.zeros_like(flat) for flat in run.optimizer.flats]
    for gradient, count in _gradients_of_rows(run, rows):
        for total, grad in zip(importance, gradient):
            total.addcmul_(grad, grad, value=1 / count)
    return importance


def absolute_mean_gradients(run, rows) -> list:
    """The absolute value of the mean over at most `importance_rows` of the rows of that gradient, by flat."""
    mean = [torch.zeros_like(flat) for flat in run.optimizer.flats]
    for gradient, count in _gradients_of_rows(run, rows):
        for total, grad in zip(mean, gradient):
            total.add_(grad, alpha=1 / count)
    return [total.abs_() for total in mean]


def _gradients_of_rows(run, rows):
    """Yields (the gradient of one row's mean NLL, the number of rows), one backward pass for each."""
    settings = run.settings
    chosen = np.random.default_rng([settings.seed, 17]).permutation(len(rows))[: settings.importance_rows]
    run.model.eval()
    run.optimizer.zero_grad()
    for index in chosen:
        answer_outputs(run.model, rows.batch([index], run.pad)).sequence_mean().sum().backward()
        run.optimizer.gather()
        yield run.optimizer.take_grads(), len(chosen)


def place_levels(run):
    """profile_matching: assigns the drawn profiles to the tokens of the forget rows."""
    run.levels = place_profiles(run.levels, run.rows["forget"], run.rows.get("retain") or run.rows["forget"])


BY_HEART = 0.5  # answer probability from which a text is known by heart


def place_lower_levels(run):
    """lower_profile: `place_levels`, and `by_heart` times the learning rate for a text that is known by heart.

    Such a text hardly moves at the rate that is right for one whose facts alone are known, and at the other's rate that
    one takes much else along.
    """
    place_levels(run)
    known = run.start["forget"]["answer_probability"]
    if known >= BY_HEART:
        rate = run.settings.learning_rate * run.settings.by_heart
        run.stage.settings.learning_rate = run.settings.learning_rate = rate
        run.news.append({
            "event": "learning_rate", "step": 0, "learning_rate": rate,
            "message": f"learning rate {rate:.2g}: the model knows the text by heart (answer probability {known:.2f})",
        })  # fmt: skip


TEMPERATURES = np.linspace(0.25, 1, 16)  # of a proxy
USUAL = 0.5  # its temperature without rows to find it by; one pass on the bundled people began at .475
FACTORS = np.linspace(1, 1.6, 13)  # on the logits of the unlearned model


def sharpen_proxy(run):
    """proxy_teacher: divides the proxy's logits by T where the model's own confidence cannot be restored in the end.

    A model trained for long is surer of itself, on rows that it never saw too, than one trained briefly. T in
    [.25, 1] is where both have the same mean loss on the holdout rows; without these, T is `USUAL`.
    """
    unseen, temperature = run.references.get("holdout"), run.settings.proxy_temperature
    if not temperature and _final_norm(run):
        temperature = 1.0
    elif not temperature and unseen is not None:
        temperature = at_level(TEMPERATURES, unseen.losses_at(run.rows["holdout"], TEMPERATURES), run.level)
    run.references[run.method.trained_set].temperature = temperature or USUAL


def at_level(places, curve, level: float) -> float:
    """Where a curve that falls along `places` reaches `level`; the nearest end if it does not."""
    return float(np.interp(-level, -np.minimum.accumulate(curve), places))


def restore_confidence(run):
    """proxy_teacher: multiplies the logits by c, so that unseen rows surprise the model as much as they did the target.

    A model that learns from a smoother one becomes less sure of everything, which a test of membership sees. c in
    [1, 1.6] is where the mean loss on the holdout rows is the target's. It goes into the norm before the output head.
    Nothing is done without holdout rows, or where that norm is not trained or cannot be scaled.
    """
    if run.settings.proxy_temperature or not (norm := _final_norm(run)):
        return
    rows = run.rows["holdout"]
    curve = run.cache(rows, "distribution").losses_at(rows, 1 / FACTORS)
    factor = at_level(FACTORS[::-1], curve[::-1], run.level)
    masters = {id(weight): master for weight, master in run.optimizer.slots}
    for weight, values in zip(norm.parameters(), scaled_norm(norm, factor)):
        masters[id(weight)].copy_(values)
    run.optimizer.refresh()


def _final_norm(run):
    """The norm before the output head, if it trains and a factor on it is one on the logits; needs holdout rows."""
    model, rows = unwrapped(run.model), run.rows.get("holdout")
    norm, head = output_norm(model), model.get_output_embeddings()
    softcap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    if norm is None or rows is None or not len(rows) or softcap or getattr(head, "bias", None) is not None:
        return None
    trained = {id(weight) for weight, _ in run.optimizer.slots}
    able = all(id(weight) in trained for weight in norm.parameters()) and scaled_norm(norm, 1.1)
    return norm if able else None
