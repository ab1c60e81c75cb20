"""Losses: pure functions (answers, context, settings) -> one value per answer token (A,) or per row (B,).

Forget losses first, then losses on counterexamples, then retain losses. None of them averages: the loop divides their
sum by the tokens or rows of the whole effective batch. p is the model's probability of the label, z its logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.forward.answers import Answers
from models.forward.reference import Reference
from models.store.on_first_use import F, torch


@dataclass
class Context:
    """The inputs of a loss besides the answers.

    `reference`: the target's frozen outputs on these rows; `levels` (N,): tau per row of the set; `partner`: the
    answers of each row's partner (the rejected answer, the refusal), with `partner_reference`; `reinforced`: the
    target's outputs after further training on the forget set; `control` (d,): the vector that rmu steers to;
    `corrupted`: the target's outputs on these rows where it cannot read the subject's name.
    """

    reference: Reference | None = None
    levels: Any = None
    partner: Answers | None = None
    partner_reference: Reference | None = None
    reinforced: Reference | None = None
    control: Any = None
    corrupted: Any = None


def kl_divergence(p_logits, q_logits):
    """KL(p || q) of two rows of logits, (A, V), (A, V) -> (A,), nats; fp32."""
    p, q = p_logits.float().log_softmax(-1), q_logits.float().log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1)


def soft_cross_entropy(target_logits, logits):
    """CE(softmax(target), softmax(logits)), (A, V), (A, V) -> (A,), nats; fp32."""
    return -(target_logits.float().softmax(-1) * logits.float().log_softmax(-1)).sum(-1)


# ---------------------------------------------------------------------------------------------------------------------
# Forget losses on the forget rows


def nll(answers, context, settings):
    """NLL_t per answer token (A,): plain fine-tuning."""
    return answers.token_nll()


def gradient_ascent(answers, context, settings):
    """-NLL_t per answer token (A,). Jang et al. 2023 (arXiv:2210.01504). Unbounded below."""
    return -answers.token_nll()


def npo(answers, context, settings):
    """-(2/beta) log sigma(beta (NLL_i - NLLref_i)) per row (B,), sequence sums.

    beta (1/nats) sets how soon the gradient of a forgotten row fades; beta -> 0 is gradient ascent. At the
    reference the loss is (2/beta) ln 2. Zhang et al. 2024 (arXiv:2404.05868), eq. 3.
    """
    ratio = answers.sequence_nll() - context.reference.sequence_nll(answers)
    return -2 / settings.beta * F.logsigmoid(settings.beta * ratio)


def simnpo(answers, context, settings):
    """-(2/beta) log sigma(beta l_i - margin) per row (B,), length-normalised, no reference.

    beta does not multiply the margin. The pull on a row halves where l_i reaches margin / beta, the delta of public
    checkpoints (1 nat per token), and fades beyond. Fan et al. 2024 (arXiv:2410.07163), eq. 5.
    """
    return -2 / settings.beta * F.logsigmoid(settings.beta * answers.sequence_mean() - settings.margin)


def level_matching(answers, context, settings):
    """(l_i - tau_i)^2 per row (B,): raises a row's loss to the level of rows the model never saw.

    tau_i (nats per token) is drawn once, seeded, from the target model's mean losses on holdout rows, or around `level`
    without a holdout set. This project's method; related to flooding (Ishida et al. 2020, arXiv:2002.08709).
    """
    levels = context.levels[answers.indices.to(context.levels.device)].to(answers.logits.device)
    return (answers.sequence_mean() - levels).square()


def profile_matching(answers, context, settings):
    """mean_t huber(l_t - tau_t) per row (B,): moves a row's token losses to the levels of a row the model never saw.

    A row's mean loss hides where the loss is: a few tokens may carry all of it while the model still knows the rest by
    heart. tau (nats), in `levels` (N, L) padded, holds the token losses of a holdout row under the target model, the
    highest on the rarest tokens (`place_profiles`). Huber (delta 1 nat) bounds the gradient of a token far from its
    level to the gradient of plain ascent. This project's method.
    """
    losses, counts = answers.token_nll(), answers.lengths().long()
    place = torch.arange(len(losses), device=losses.device) - (counts.cumsum(0) - counts)[answers.row]
    levels = context.levels.to(losses.device)[answers.indices.to(losses.device)[answers.row], place]
    gap = F.smooth_l1_loss(losses, levels, reduction="none")
    return answers.per_row(gap) / counts.clamp(min=1)


def stay_forgotten(answers, context, settings):
    """max(0, lref_i - l_i)^2 per row (B,): a hinge that keeps rows of an earlier request forgotten.

    l_i (nats per token) is the row's mean loss; lref_i is its mean loss under the model that the run starts from, which
    has forgotten the row. The loss is zero while l_i >= lref_i, so the row is never pushed further. This project's
    method: one side of level matching.
    """
    reached = context.reference.sequence_nll(answers) / answers.lengths()
    return F.relu(reached - answers.sequence_mean()).square()


def place_profiles(profiles, forget, retain):
    """Levels per answer token, (N, longest answer): assigns each row's sorted profile to its tokens by rarity.

    `profiles` (N, K): quantiles on an even grid of (0, 1). Tokens of the row's own prompt can be copied and get the
    lowest levels. The others are ordered by their frequency in the retain answers: a model that never saw the row
    cannot know tokens that are rare there, such as names and dates.
    """
    counts: dict[int, int] = {}
    for i in range(len(retain)):
        for token in retain.ids_of(i)[retain.answer_starts[i] :].tolist():
            counts[token] = counts.get(token, 0) + 1
    levels = torch.zeros(len(forget), int(forget.answer_lengths.max()))
    for i in range(len(forget)):
        ids, start = forget.ids_of(i).tolist(), int(forget.answer_starts[i])
        prompt, answer = set(ids[:start]), ids[start:]
        rarity = [-1.0 if token in prompt else 1 / (1 + counts.get(token, 0)) for token in answer]
        rank = np.empty(len(answer), np.int64)
        rank[np.argsort(rarity, kind="stable")] = np.arange(len(answer))
        grid = profiles.shape[1]
        levels[i, : len(answer)] = profiles[i][torch.from_numpy(((rank + 0.5) / len(answer) * grid).astype(np.int64))]
    return levels


def draw_levels(holdout_losses, count: int, level: float, seed: int):
    """tau_i for level_matching, (count,): the holdout rows' losses, drawn in rounds without replacement.

    Without holdout rows: normal with mean `level` and standard deviation `level` / 10.
    """
    draw = np.random.default_rng([seed, 7])
    if holdout_losses is None or not len(holdout_losses):
        return torch.tensor(draw.normal(level, level / 10, count), dtype=torch.float32)
    rounds = [draw.permutation(holdout_losses) for _ in range(math.ceil(count / len(holdout_losses)))]
    return torch.tensor(np.concatenate(rounds)[:count], dtype=torch.float32)


def draw_profiles(holdout_losses, count: int, level: float, seed: int, grid: int = 64):
    """Quantile functions of token losses for profile_matching, (count, grid): holdout rows drawn as in `draw_levels`.

    Without holdout rows: quantiles of an exponential distribution with mean `level`.
    """
    places = (np.arange(grid) + 0.5) / grid
    if holdout_losses is None or not len(holdout_losses):
        return torch.tensor(-level * np.log(1 - places), dtype=torch.float32).repeat(count, 1)
    profiles = np.stack([np.quantile(values, places) for values in holdout_losses])
    chosen = draw_levels(np.arange(len(profiles)), count, level, seed).long()
    return torch.tensor(profiles, dtype=torch.float32)[chosen]


def own_levels(unseen_losses, draws):
    """Levels from each forget row's own token losses under a model that never saw it: (N,), or quantiles (N, 64).

    Nothing is drawn, because every row has its own.
    """
    if draws is draw_levels:
        return torch.tensor([float(values.mean()) for values in unseen_losses], dtype=torch.float32)
    places = (np.arange(64) + 0.5) / 64
    return torch.tensor(np.stack([np.quantile(values, places) for values in unseen_losses]), dtype=torch.float32)


def weighted_ascent(answers, weight):
    """-sg[weight] NLL_t per answer token (A,): the kernel of the reweighted ascents; sg stops the gradient."""
    return -weight.detach() * answers.token_nll()


def wga(answers, context, settings):
    """-sg[p^power] NLL_t per answer token (A,): ascent that fades on tokens that are already unlikely.

    power 0 is gradient ascent. Wang et al. 2025 (arXiv:2502.19301), weighted gradient ascent.
    """
    return weighted_ascent(answers, torch.exp(-settings.probability_power * answers.token_nll()))


def satimp(answers, context, settings):
    """-sg[p^saturation (1-p)^importance] NLL_t per answer token (A,).

    importance 0 is wga. Published configurations disagree on importance (.1 or 1). Yang et al. 2025
    (arXiv:2505.11953).
    """
    p = torch.exp(-answers.token_nll().detach())
    return weighted_ascent(answers, p**settings.saturation_power * (1 - p).clamp(min=0) ** settings.importance_power)


def ce_u(answers, context, settings):
    """CE(sg softmax(z with z_y = -inf), softmax(z)) per token (A,): toward its own prediction without the true token.

    The gradient on z is softmax(z) minus the target and sums to 0. Yang 2025 (arXiv:2503.01224).
    """
    target = answers.logits.detach().float().scatter(1, answers.labels[:, None], -math.inf)
    return soft_cross_entropy(target, answers.logits)


def max_entropy(answers, context, settings):
    """KL(uniform || p) per answer token (A,), >= 0, zero for flat logits. Yuan et al. 2024 (arXiv:2410.08109)."""
    return -answers.logits.float().log_softmax(-1).mean(-1) - math.log(answers.logits.shape[-1])


def logit_flattening(answers, context, settings):
    """(max_v z - mean_v z)^2 per answer token (A,), zero for flat logits. Entesari et al. 2025 (arXiv:2506.05314).

    Only positions that predict answer tokens count; the published code did not shift its mask.
    """
    logits = answers.logits.float()
    return (logits.amax(-1) - logits.mean(-1)).square()


def reference_divergence_ascent(answers, context, settings):
    """-KL(reference || theta) per answer token (A,): scrub's max step. Kurmanji et al. 2023 (arXiv:2302.09880)."""
    return -kl_divergence(context.reference.logits(answers), answers.logits)


def demoted(logits, labels, strength):
    """Logits (A, V) with the label's logit lowered by `strength` nats."""
    lowered = torch.zeros_like(labels, dtype=torch.float32)[:, None] - strength
    return logits.float().scatter_add(1, labels[:, None], lowered)


def undial(answers, context, settings):
    """CE(softmax(z_ref - strength * onehot(y)), p_theta) per token (A,).

    Distils the model's own distribution with the true token pushed down by `strength` nats. Only answer tokens are
    indexed, so no label is a padding marker. Dong et al. 2025 (arXiv:2402.10052), eq. 2.
    """
    reference = context.reference.logits(answers)
    return soft_cross_entropy(demoted(reference, answers.labels, settings.strength), answers.logits)


def least_likely(nll, answers, share: float):
    """Marks the ceil(share * |S_i|) least likely tokens of each row, (A,) bool; the earlier token in a tie."""
    order = (-nll).argsort(stable=True)
    order = order[answers.row[order].argsort(stable=True)]
    lengths = answers.lengths().long()
    starts = lengths.cumsum(0) - lengths
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device) - starts[answers.row[order]]
    count = (lengths.double() * share - 1e-9).ceil().long()
    return rank < count[answers.row]


def shred(answers, context, settings):
    """KL(target || theta) per token (A,): the target is the reference, with the label demoted on its unlikely tokens.

    The least likely `token_share` of a row's answer tokens hold the memorised content; the others anchor the model. The
    paper cuts the target to its K most likely tokens; this code uses the whole distribution. Hu et al. 2026
    (arXiv:2605.07482).
    """
    reference = context.reference.logits(answers).float()
    nll = F.cross_entropy(reference, answers.labels, reduction="none")
    chosen = least_likely(nll, answers, settings.token_share)
    strength = settings.strength * chosen[:, None].float()
    return kl_divergence(demoted(reference, answers.labels, strength), answers.logits)


def generic_prediction(answers, context, settings):
    """CE(softmax(v), p_theta) per token (A,), v = z_ref - scale * relu(z_reinforced - z_ref).

    Further training on the forget set raises the logits of what that set teaches; v removes this rise. Eldan &
    Russinovich 2023 (arXiv:2310.02238), eq. 1; with soft labels, without the paper's dictionary of replaced names.
    """
    base = context.reference.logits(answers).float()
    raised = (context.reinforced.logits(answers).float() - base).relu()
    return soft_cross_entropy(base - settings.reinforcement_scale * raised, answers.logits)


def rmu(answers, context, settings):
    """mean_d (h - control)^2 per answer token (A,), h (A, d) a layer's output, control = c u, u a fixed unit vector.

    Each token counts once, independent of other rows' lengths (published code broadcast (b,) with (b, 1)), at the
    positions that predict answer tokens. Li et al. 2024 (arXiv:2403.03218), eq. 1.
    """
    return (answers.activation.float() - context.control).square().mean(-1)


def permu(answers, context, settings):
    """KL(softmax(z_hidden - contrast * z_ref) || p_theta) per answer token (A,): toward answers without the name.

    z_ref: the target's logits on the row; z_hidden: its logits where it cannot read the subject's name. Tokens of the
    name keep z_ref, so that it can still be said. Wang et al. 2025 (arXiv:2502.19982), with noise on the name's
    embeddings; permu_tok replaces its tokens.
    """
    clean = context.reference.logits(answers).float()
    goal = context.corrupted.logits(answers).float() - settings.contrast * clean
    return kl_divergence(torch.where(context.corrupted.is_name(answers)[:, None], clean, goal), answers.logits)


def proxy_teacher(answers, context, settings):
    """KL(q || p_theta) + level_weight * huber(NLL_t - NLL_q,t) per answer token (A,): toward a proxy's predictions.

    q, the reference, is what a proxy of the retrained model predicts: the base model after a short training on rows to
    keep. The divergence alone hardly sees a label that q calls nearly impossible, though a test of membership does; so
    the second term, as in `profile_matching`, moves the label's loss to q's. Zero at p_theta = q, never below. This
    project's method; a competent teacher where Chundawat et al. 2023 (arXiv:2205.08096) use an incompetent one.
    """
    goal = context.reference.logits(answers).float()
    gap = answers.token_nll() - F.cross_entropy(goal, answers.labels, reduction="none")
    level = F.smooth_l1_loss(gap, torch.zeros_like(gap), reduction="none")
    return kl_divergence(goal, answers.logits) + settings.level_weight * level


# ---------------------------------------------------------------------------------------------------------------------
# Losses on counterexamples


def preference(answers, context, settings):
    """-(2/beta) log sigma(beta [(log pi - log ref)(chosen) - (log pi - log ref)(rejected)]) per row (B,).

    Sequence sums. The rows are the counterexamples; the partner of each is its forget row. At the reference the loss
    is (2/beta) ln 2. Rafailov et al. 2023 (arXiv:2305.18290), eq. 7, scaled as npo.
    """
    chosen = context.reference.sequence_nll(answers) - answers.sequence_nll()
    rejected = context.partner_reference.sequence_nll(context.partner) - context.partner.sequence_nll()
    return -2 / settings.beta * F.logsigmoid(settings.beta * (chosen - rejected))


def label_divergence(answers, context, settings):
    """JSD(p || onehot(y)) per answer token (A,), in [0, ln 2]: ln 2 + (p ln p - (1 + p) ln(1 + p)) / 2.

    y is the refusal's token. Singh et al. 2025 (arXiv:2509.02820).
    """
    log_p = -answers.token_nll()
    p = log_p.exp()
    return math.log(2) + (p * log_p - (1 + p) * torch.log1p(p)) / 2


# ---------------------------------------------------------------------------------------------------------------------
# Retain losses


def retain_kl(answers, context, settings):
    """KL(reference || theta) per answer token (A,): keeps the whole distribution, not only the label."""
    return kl_divergence(context.reference.logits(answers), answers.logits)


def retain_nll_and_kl(answers, context, settings):
    """NLL_t + KL(reference || theta) per answer token (A,): scrub's min step, arXiv:2302.09880."""
    return answers.token_nll() + retain_kl(answers, context, settings)


def retain_divergence(answers, context, settings):
    """JSD(reference || theta) per answer token (A,), in [0, ln 2]. Singh et al. 2025 (arXiv:2509.02820)."""
    p = context.reference.logits(answers).float().log_softmax(-1)
    q = answers.logits.float().log_softmax(-1)
    middle = torch.logaddexp(p, q) - math.log(2)
    return ((p.exp() * (p - middle)).sum(-1) + (q.exp() * (q - middle)).sum(-1)) / 2


def retain_distillation(answers, context, settings):
    """T^2 KL(teacher || student) at temperature T, plus NLL, per token (A,). Hinton et al. 2015 (arXiv:1503.02531)."""
    temperature = settings.temperature
    teacher = (context.reference.logits(answers).float() / temperature).log_softmax(-1)
    student = (answers.logits.float() / temperature).log_softmax(-1)
    return temperature**2 * (teacher.exp() * (teacher - student)).sum(-1) + answers.token_nll()


def retain_hidden_state(answers, context, settings):
    """mean_d (h - h_ref)^2 per answer token (A,), h a layer's output. Li et al. 2024 (arXiv:2403.03218), eq. 2."""
    return (answers.activation.float() - context.reference.activations(answers).float()).square().mean(-1)


def answer_preservation(answers, context, settings):
    """-(1/beta) log sigma(beta (log p(answer) - log p(refusal))) per row (B,), sequence sums.

    The rows are retain rows; the partner of each is a refusal of its question. Yuan et al. 2024 (arXiv:2410.08109).
    """
    margin = context.partner.sequence_nll() - answers.sequence_nll()
    return -1 / settings.beta * F.logsigmoid(settings.beta * margin)


@dataclass(frozen=True)
class RetainLoss:
    """A retain term.

    `needs_reference` of the target is "", "distribution" or "activation"; `reduction` is over each "token" or "row";
    `augmentation` names the counterexamples that its rows are compared with; `defaults` are settings for methods that
    lack them.
    """

    function: Callable | None
    needs_reference: str = ""
    reduction: str = "token"
    augmentation: str = ""
    defaults: dict = field(default_factory=dict)

    @property
    def reads(self) -> str:
        """The function's input: "logits" or a layer's "activation"."""
        return "activation" if self.needs_reference == "activation" else "logits"


RETAIN_LOSSES = {
    "nll": RetainLoss(nll),
    "kl": RetainLoss(retain_kl, "distribution"),
    "hidden_state": RetainLoss(retain_hidden_state, "activation"),
    "nll_and_kl": RetainLoss(retain_nll_and_kl, "distribution"),
    "js_divergence": RetainLoss(retain_divergence, "distribution"),
    "distillation": RetainLoss(retain_distillation, "distribution", defaults={"temperature": 2.0}),
    "answer_preservation": RetainLoss(
        answer_preservation, reduction="row", augmentation="refusals", defaults={"beta": 0.1}
    ),
    "none": RetainLoss(None),
}
