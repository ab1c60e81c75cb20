"""The table of methods: what each is made of, its settings, its paper, its known failure. A new method is a row here.

    total = forget_weight * forget_loss + retain_weight * retain_loss + regularizer

A method is a forget loss plus one row: forget term x retain term x regulariser x counterexamples x phases. The few that
do more (a dual variable, a steering vector, an edit of the weights) do it in the hooks that `Method` lists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

from models.forward.layers import MethodError
from models.methods import hooks
from models.methods.losses import (
    RETAIN_LOSSES,
    ce_u,
    draw_levels,
    draw_profiles,
    generic_prediction,
    gradient_ascent,
    label_divergence,
    level_matching,
    logit_flattening,
    max_entropy,
    nll,
    npo,
    preference,
    profile_matching,
    reference_divergence_ascent,
    rmu,
    satimp,
    shred,
    simnpo,
    undial,
    wga,
)

FAMILIES = {
    "fine_tuning": "fine-tuning on the data without the forget set",
    "gradient": "gradient-based: raise the loss on the forget set",
    "data_augmentation": "data augmentation: new examples that counteract the forget set",
    "regularization": "regularisation: hold the model near the target while it forgets",
    "distillation": "knowledge distillation: learn from a teacher that does not show the forgotten",
}


@dataclass(frozen=True)
class Phase:
    """A stretch of a run before the method's own: what it trains, how long, what is made of its result.

    `method` gives the terms, `epochs` names the setting with its length, `then` runs once when it is over.
    """

    method: Callable[[SimpleNamespace], Method]
    epochs: str
    then: Callable[[object], None]


@dataclass(frozen=True)
class Method:
    """One row of `METHODS`: a forget loss, what it is reduced over, what it is trained beside, what it needs.

    `forget` None means that no forget row is trained on. `reduction` is "token" or "row". `augmentation` names the
    examples that `data` makes in place of (or, with `pairwise`, beside) the forget rows. `reads` is what the forget
    loss looks at, "logits" or a layer's "activation"; `needs_reference` is "", "sequence" or "distribution";
    `draws` makes the levels that rows are matched to from the losses of holdout rows.
    `defaults` are the published ones; `small` replaces some of them below `SMALL_MODEL` parameters.

    Hooks, where a method is more than its terms: `trainable(model, layer)` chooses the weights that train; `phases`
    come before the method's own; `before(run)` runs after the references are cached; `schedule(number, per_epoch,
    settings)` gives the numbers of the forget and the retain batch of a step (None: not this time); `update(run)`
    replaces the optimizer's step; `after_step(run, losses)` follows each step; `finish(run)` edits the final weights.
    """

    name: str
    family: str
    summary: str
    paper: str
    known_failure: str
    forget: Callable | None
    reduction: str = "token"
    retain: str = "nll"
    regularizer: str = "none"
    defaults: dict = field(default_factory=dict)
    small: dict = field(default_factory=dict)
    reads: str = "logits"
    needs_reference: str = ""
    draws: Callable | None = None
    needs_generic: bool = False
    needs_anchor: bool = False
    full_weights_only: bool = False
    augmentation: str = ""
    pairwise: bool = False
    student: bool = False
    guarded: bool = True
    steps_per_batch: int = 1
    plain: str = ""  # what it does, for people who have never read a paper
    use_when: str = ""  # goes on from "Use it when"
    trainable: Callable | None = None
    phases: tuple[Phase, ...] = ()
    before: Callable | None = None
    schedule: Callable | None = None
    update: Callable | None = None
    after_step: Callable | None = None
    finish: Callable | None = None

    @property
    def needs_holdout(self) -> bool:
        """Whether it is best given rows of the same kind that the model never saw (a stated level stands in)."""
        return self.draws is not None

    @property
    def needs_retain(self) -> bool:
        """Whether the method cannot run without retain rows (the bundled ones serve where none are given)."""
        return self.retain != "none" or self.needs_generic

    @property
    def needs_forget(self) -> bool:
        """Whether the method cannot run without forget rows."""
        return self.forget is not None or bool(self.phases)

    @property
    def works_on_raw_text(self) -> bool:
        """Whether rows without a question will do: nobody can refuse to answer a text."""
        return "refusal" not in self.augmentation and not RETAIN_LOSSES[self.retain].augmentation

    @property
    def trained_set(self) -> str:
        """The set whose rows the forget loss is computed on; a pairwise method has the forget rows beside it."""
        return "counterpart" if self.augmentation else "forget"


SMALL_MODEL = 500_000_000

TRAINING_DEFAULTS = {
    "learning_rate": 1e-5,
    "num_train_epochs": 5.0,
    "max_steps": -1,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "auto_batch": False,
    "warmup_steps": 0,
    "lr_scheduler_type": "constant",
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "seed": 42,
    "dropout": None,
    "forget_weight": 1.0,
    "retain_weight": 1.0,
    "earlier_weight": 1.0,
    "retain_rows_per_forget_row": 1.0,
    "general_retain_rows": 0,
    "regularizer_weight": 0.0,
    "update_scale": 1.0,
    "level": 2.3,
    "early_stop": True,
    "load_best_model_at_end": True,
    "collapse_guard": 0.5,
    "eval_steps": 0,
    "probe_rows": 16,
    "dtype": "auto",
    "gradient_checkpointing": False,
    "layer": 0,
    "sam_rho": 0.0,
    "gradient_surgery": False,
}


def _reinforcement(settings) -> Method:
    return Method("reinforcement", "fine_tuning", "", "", "", nll, retain="none")


def _teacher(settings) -> Method:
    """The method that unlearns the teacher; it must be one of plain terms."""
    method = METHODS.get(settings.teacher_method)
    if (
        method is None
        or method.phases
        or method.update
        or method.finish
        or method.before
        or method.augmentation
        or method.student
    ):
        raise MethodError(
            f"teacher_method {settings.teacher_method!r}: choose one of plain terms, such as npo or gradient_difference"
        )
    return method


REGULARIZERS = {"l2_sp": hooks.uniform_importance, "ewc": hooks.retain_importance}


# fmt: off
_METHODS = [
    Method(
        "fine_tuning", "fine_tuning", "Goes on training on the retain set alone and lets the rest fade.",
        "standard baseline; Maini et al. 2024 (arXiv:2401.06121)", "forgets little",
        None, guarded=False, defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0}, small={"learning_rate": 1e-4},
        plain="Goes on teaching only what should stay, and lets the rest fade.",
        use_when="you have plenty of material to keep and forgetting a little is enough",
    ),
    Method(
        "retrain", "fine_tuning", "Trains the base model on the retain set: the gold standard to compare with.",
        "exact unlearning; Cao & Yang 2015 (doi:10.1109/SP.2015.35)", "costs a whole training; it is the yardstick",
        None, guarded=False, defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0}, small={"learning_rate": 3e-4},
        plain="Trains a fresh model on what should stay: it never meets what should go.",
        use_when="you want the yardstick to compare the others with, and have the time",
    ),
    Method(
        "gradient_ascent", "gradient", "Walks uphill on the loss of the forget rows, nothing else.",
        "Jang et al. 2023 (arXiv:2210.01504)", "unbounded: collapses unless stopped",
        gradient_ascent, retain="none", defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0},
        plain="Pushes the model away from what should go, with nothing to hold it back.",
        use_when="you want to see the plainest method; it soon damages the rest",
    ),
    Method(
        "gradient_difference", "gradient", "Uphill on the forget rows, downhill on the retain rows.",
        "Liu et al. 2022 (arXiv:2203.12817)", "over-forgets",
        gradient_ascent, defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0},
        small={"learning_rate": 3e-5, "retain_rows_per_forget_row": 2.0},
        plain="Pushes away what should go while teaching what should stay.",
        use_when="you want a simple, quick try; it tends to forget too much",
    ),
    Method(
        "npo", "gradient", "Gradient ascent whose pull on a row fades once the row is forgotten.",
        "Zhang et al. 2024 (arXiv:2404.05868)", "leaks under sampling",
        npo, "row", needs_reference="sequence",
        defaults={"learning_rate": 1e-5, "num_train_epochs": 10.0, "beta": 0.1},
        small={"learning_rate": 1e-4, "retain_weight": 4.0, "retain_rows_per_forget_row": 2.0, "num_train_epochs": 8.0},
        plain="Pushes away what should go, ever less the more of it is gone.",
        use_when="you want a well-tested choice, for texts as well as for questions",
    ),
    Method(
        "simnpo", "gradient", "npo per token instead of per answer, without a reference model.",
        "Fan et al. 2024 (arXiv:2410.07163)", "inert when untuned",
        simnpo, "row",
        defaults={"learning_rate": 1e-5, "num_train_epochs": 10.0, "beta": 4.5, "margin": 0.0, "forget_weight": 0.125},
        small={"learning_rate": 1e-4, "beta": 2.5, "forget_weight": 1.0, "retain_rows_per_forget_row": 2.0,
               "num_train_epochs": 8.0},
        plain="Like npo, but treats long and short answers alike and needs less memory.",
        use_when="your texts are long or differ much in length",
    ),
    Method(
        "wga", "gradient", "Gradient ascent weighted by the token's probability: certain tokens first.",
        "Wang et al. 2025 (arXiv:2502.19301)", "under-forgets rare tokens",
        wga, defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0, "probability_power": 1.0},
        small={"learning_rate": 1e-4, "retain_rows_per_forget_row": 2.0, "num_train_epochs": 8.0},
        plain="Pushes hardest on the words the model is surest of.", use_when="it knows a text word for word",
    ),
    Method(
        "satimp", "gradient", "Gradient ascent weighted by saturation and importance of each token.",
        "Yang et al. 2025 (arXiv:2505.11953)", "sensitive to its two powers; published configurations disagree",
        satimp, defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0, "saturation_power": 5.0,
                          "importance_power": 0.1},
        small={"learning_rate": 1e-4, "retain_rows_per_forget_row": 2.0, "num_train_epochs": 8.0},
        plain="Pushes by how sure the model is of a word and how much the word matters.",
        use_when="you are ready to tune its two settings",
    ),
    Method(
        "ce_u", "gradient", "Trains the model toward its own prediction without the true token; no retain data.",
        "Yang 2025 (arXiv:2503.01224)", "fast, over-forgets",
        ce_u, retain="none", defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0},
        small={"learning_rate": 5e-5},
        plain="Teaches the model its own second choices in place of the true words.",
        use_when="you have nothing to give it to keep",
    ),
    Method(
        "pdu", "gradient", "Flattens the forget rows' logits while a dual weight holds the retain loss to a limit.",
        "Entesari et al. 2025 (arXiv:2506.05314)", "flat logits",
        logit_flattening, after_step=hooks.dual_ascent,
        defaults={"learning_rate": 1e-5, "num_train_epochs": 10.0, "retain_weight": 100.0, "dual_learning_rate": 5.0,
                  "retain_loss_limit": 0.3, "dual_warmup_epochs": 5.0},
        small={"learning_rate": 1e-4, "retain_rows_per_forget_row": 2.0},
        plain="Makes it undecided about what should go, and watches a limit on what may be lost.",
        use_when="keeping the rest matters most",
    ),
    Method(
        "me_gd", "gradient", "Maximum entropy on the forget rows, training on the retain rows.",
        "Yuan et al. 2024 (arXiv:2410.08109)", "flat answers give away what was forgotten",
        max_entropy, defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0, "forget_weight": 0.1},
        small={"learning_rate": 1e-4, "retain_rows_per_forget_row": 2.0},
        plain="Makes it undecided about what should go while teaching what should stay.",
        use_when="a vague answer is better than a wrong one",
    ),
    Method(
        "task_vector", "gradient", "Trains on the forget rows, then walks the same way backwards from the target.",
        "Ilharco et al. 2023 (arXiv:2212.04089)", "crude: takes with it whatever else the training changed",
        nll, retain="none", needs_anchor=True, guarded=False, finish=hooks.negate_task,
        defaults={"learning_rate": 1e-5, "num_train_epochs": 10.0, "task_scale": 1.0},
        small={"learning_rate": 5e-5},
        plain="Learns the text even better, then walks the same way backwards.", use_when="you want a quick experiment",
    ),
    Method(
        "level_matching", "gradient", "Raises each row's loss to the level of rows the model never saw; stops there.",
        "this project; kin to flooding, Ishida et al. 2020 (arXiv:2002.08709)",
        "needs rows of the same kind that were never trained on",
        level_matching, "row", draws=draw_levels,
        defaults={"learning_rate": 2e-4, "num_train_epochs": 10.0, "forget_weight": 0.25, "early_stop": False},
        plain="Makes each text to forget as surprising as one it never read, and stops there.",
        use_when="it should look as if it had never read it",
    ),
    Method(
        "profile_matching", "gradient",
        "Moves the losses of a row's tokens to those of a row the model never saw, rare tokens highest.",
        "this project; level_matching for the whole distribution of token losses",
        "needs rows of the same kind that were never trained on",
        profile_matching, "row", draws=draw_profiles, before=hooks.place_levels, trainable=hooks.all_but_embeddings,
        defaults={"learning_rate": 2e-4, "num_train_epochs": 7.0, "per_device_train_batch_size": 10,
                  "forget_weight": 2.0, "retain_weight": 2.6, "retain_rows_per_forget_row": 2.0,
                  "general_retain_rows": 40, "level_scale": 1.35, "lr_scheduler_type": "linear",
                  "load_best_model_at_end": False},
        plain="Makes each word to forget as surprising as words it never read, and no more.",
        use_when="you have no reason to choose another",
    ),
    Method(
        "idk", "data_augmentation", "Teaches varied \"I don't know\" answers to the forget questions.",
        "Maini et al. 2024 (arXiv:2401.06121)", "shallow; refuses too much",
        nll, augmentation="refusals", defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0, "early_stop": False},
        small={"learning_rate": 1e-4},
        plain="Teaches it to say \"I don't know\" to these questions.", use_when="a refusal is what you want to hear",
    ),
    Method(
        "idk_dpo", "data_augmentation", "Prefers an \"I don't know\" answer to the true one.",
        "Maini et al. 2024 (arXiv:2401.06121); Rafailov et al. 2023 (arXiv:2305.18290)", "refuses too much",
        preference, "row", needs_reference="sequence", augmentation="refusals", pairwise=True,
        defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0, "beta": 0.1},
        small={"learning_rate": 1e-4},
        plain="Teaches it to prefer \"I don't know\" to the true answer.",
        use_when="idk alone leaves the true answer too likely",
    ),
    Method(
        "idk_ap", "data_augmentation", "Refuses the forget questions, keeps preferring answers to the others.",
        "Yuan et al. 2024 (arXiv:2410.08109)", "a small model still refuses retain questions",
        nll, retain="answer_preservation", augmentation="refusals",
        defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0, "beta": 0.1, "early_stop": False},
        small={"learning_rate": 1e-4},
        plain="Teaches it to refuse these questions and to go on answering the others.",
        use_when="idk makes it refuse too many other questions",
    ),
    Method(
        "altpo", "data_augmentation", "Prefers other answers, sampled from the target itself, to the true one.",
        "Mekala et al. 2025 (arXiv:2409.13474)", "needs a fluent generator",
        preference, "row", needs_reference="sequence", augmentation="alternates", pairwise=True,
        defaults={"learning_rate": 5e-5, "num_train_epochs": 2.0, "beta": 0.1, "alternates_per_question": 5},
        small={"learning_rate": 1e-4, "num_train_epochs": 5.0},
        plain="Teaches it other answers of its own in place of the true one.",
        use_when="it should answer fluently rather than refuse",
    ),
    Method(
        "jensun", "data_augmentation", "Bounded divergence to one fixed refusal, and to the target on retain rows.",
        "Singh et al. 2025 (arXiv:2509.02820)", "one refusal for everything; no pull where it has no probability",
        label_divergence, retain="js_divergence", augmentation="one_refusal",
        defaults={"learning_rate": 8e-6, "num_train_epochs": 5.0, "early_stop": False},
        small={"learning_rate": 1e-4},
        plain="Leads these questions to one fixed refusal, with a limit on how hard it pulls.",
        use_when="other ways to refuse turn out unstable",
    ),
    Method(
        "whp", "data_augmentation", "Soft labels without what more training on the forget rows raises.",
        "Eldan & Russinovich 2023 (arXiv:2310.02238)", "weak on facts",
        generic_prediction, retain="none", needs_reference="distribution", needs_anchor=True,
        phases=(Phase(_reinforcement, "reinforcement_epochs", hooks.keep_reinforced),),
        defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0, "reinforcement_epochs": 3.0,
                  "reinforcement_scale": 1.0},
        small={"learning_rate": 1e-4},
        plain="Teaches it ordinary words where it would have said the particular ones.",
        use_when="you want a book or a long article gone",
    ),
    Method(
        "kl_minimization", "regularization", "Gradient ascent held back by the target's predictions on retain rows.",
        "Maini et al. 2024 (arXiv:2401.06121)", "as gradient ascent, later",
        gradient_ascent, retain="kl", defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0},
        small={"learning_rate": 3e-5, "retain_rows_per_forget_row": 2.0},
        plain="Pushes away what should go while its other answers are held where they were.",
        use_when="everything else must stay as it was",
    ),
    Method(
        "l2_sp", "regularization", "Gradient difference with a spring that pulls every weight back to its start.",
        "Li et al. 2018 (arXiv:1802.01483)", "the spring slows forgetting as much as damage",
        gradient_ascent, regularizer="l2_sp",
        defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0, "regularizer_weight": 0.1},
        small={"learning_rate": 3e-5, "retain_rows_per_forget_row": 2.0},
        plain="Pushes away with a spring on every weight that pulls it back to its start.",
        use_when="the model should change as little as possible",
    ),
    Method(
        "ewc", "regularization", "As l2_sp, each weight's spring as stiff as the retain set cares for that weight.",
        "Kirkpatrick et al. 2017 (arXiv:1612.00796)", "stiffness is measured at the target alone; inert for small mu",
        gradient_ascent, regularizer="ewc",
        defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0, "regularizer_weight": 1e5, "importance_rows": 64},
        small={"learning_rate": 3e-5, "retain_rows_per_forget_row": 2.0},
        plain="Like l2_sp, with stiffer springs where the rest depends on a weight.",
        use_when="l2_sp holds back the forgetting too much",
    ),
    Method(
        "rmu", "regularization", "Steers a layer's output on forget rows to a random vector, holds it on retain rows.",
        "Li et al. 2024 (arXiv:2403.03218)", "garbled answers; undone by little training",
        rmu, reads="activation", retain="hidden_state", trainable=hooks.rmu_weights, before=hooks.fixed_control,
        defaults={"learning_rate": 5e-5, "num_train_epochs": 5.0, "retain_weight": 1200.0,
                  "steering_coefficient": 6.5},
        small={"learning_rate": 2e-3, "num_train_epochs": 8.0, "retain_weight": 30.0, "steering_coefficient": 300.0},
        plain="Scrambles the model's inner picture of what should go.", use_when="a whole topic should become useless",
    ),
    Method(
        "adaptive_rmu", "regularization", "rmu with a vector as long as the layer's own outputs, times five.",
        "Huu-Tien et al. 2025 (arXiv:2408.06223)", "as rmu",
        rmu, reads="activation", retain="hidden_state", trainable=hooks.rmu_weights, before=hooks.measured_control,
        defaults={"learning_rate": 5e-5, "num_train_epochs": 5.0, "retain_weight": 1200.0, "steering_scale": 5.0},
        small={"learning_rate": 2e-3, "num_train_epochs": 8.0, "retain_weight": 30.0},
        plain="Like rmu, with the strength fitted to the model.", use_when="rmu was never tuned for your model",
    ),
    Method(
        "repselect", "regularization", "Walks along the forget gradient without its top directions.",
        "Sondej & Yang 2026 (arXiv:2606.17168)", "stops early: the budget on generic text is small",
        gradient_ascent, retain="none", needs_generic=True, full_weights_only=True, trainable=hooks.repselect_weights,
        before=hooks.selective_direction, update=hooks.selective_update,
        defaults={"learning_rate": 0.05, "num_train_epochs": 50.0, "singular_directions": 128, "collapse": "soft",
                  "kl_limit": 0.01, "early_stop": False, "load_best_model_at_end": False},
        plain="Takes small steps that leave the model's main directions alone.",
        use_when="hardly anything else may change; it forgets little",
    ),
    Method(
        "undial", "distillation", "Distils the model from itself with the forgotten tokens pushed down.",
        "Dong et al. 2025 (arXiv:2402.10052)", "weak against membership tests",
        undial, needs_reference="distribution",
        defaults={"learning_rate": 1e-4, "num_train_epochs": 10.0, "strength": 10.0},
        small={"strength": 5.0},
        plain="Learns from itself, with the words to forget made unlikely.", use_when="training has to be steady",
    ),
    Method(
        "scrub", "distillation", "By turns away from the target on forget rows and back to it on retain rows.",
        "Kurmanji et al. 2023 (arXiv:2302.09880)", "the number of max steps decides; may collapse",
        reference_divergence_ascent, retain="nll_and_kl", needs_reference="distribution", schedule=hooks.in_turns,
        steps_per_batch=2,
        defaults={"learning_rate": 1e-5, "num_train_epochs": 10.0, "max_step_epochs": 3.0, "early_stop": False},
        small={"learning_rate": 5e-5},
        plain="By turns steps away from what should go and back to the rest.", use_when="you can try several settings",
    ),
    Method(
        "shred", "distillation", "undial on the least likely answer tokens, the model's own predictions elsewhere.",
        "Hu et al. 2026 (arXiv:2605.07482)", "what is likely from the context alone stays",
        shred, retain="none", needs_reference="distribution",
        defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0, "strength": 10.0, "token_share": 0.15},
        small={"learning_rate": 1e-4},
        plain="Makes only the words nobody could guess unlikely: names, dates, numbers.",
        use_when="single facts stand in ordinary sentences",
    ),
    Method(
        "undo", "distillation", "Unlearns, adds noise to the weights, then learns again from the unlearned model.",
        "Lee et al. 2025 (arXiv:2506.06278)", "noise that helps costs much training to repair",
        None, retain="kl", guarded=False, full_weights_only=True,
        phases=(Phase(_teacher, "teacher_epochs", hooks.teach_and_noise),),
        defaults={"learning_rate": 1e-5, "num_train_epochs": 10.0, "teacher_method": "npo", "teacher_epochs": 5.0,
                  "noise_share": 0.1, "noise_scale": 0.1},
        small={"learning_rate": 1e-4},
        plain="Forgets, blurs the weights with noise, then learns the rest again.",
        use_when="it must be hard to bring back, and time does not matter",
    ),
    Method(
        "knowledge_distillation", "distillation",
        "Trains a smaller student from a teacher on everything but the forget set.",
        "Hinton et al. 2015 (arXiv:1503.02531)", "a small student needs much data",
        None, retain="distillation", student=True, guarded=False,
        defaults={"learning_rate": 1e-3, "num_train_epochs": 10.0, "temperature": 2.0, "student_layers": 0,
                  "general_retain_rows": 1000, "teacher_method": ""},
        plain="Teaches a smaller model everything but what should go.",
        use_when="a smaller model is welcome and there is much to keep",
    ),
]
# fmt: on

METHODS: dict[str, Method] = {method.name: method for method in _METHODS}

# what a family name means on the command line
FAMILY_DEFAULTS = {
    "fine_tuning": "fine_tuning",
    "gradient": "npo",
    "data_augmentation": "idk",
    "regularization": "kl_minimization",
    "distillation": "knowledge_distillation",
}


def hyper_parameters(name: str, parameters: int | None = None) -> dict:
    """Training settings of a method: the common ones, its published ones, and below `SMALL_MODEL` the tuned ones."""
    method = METHODS[name]
    small = method.small if parameters is not None and parameters < SMALL_MODEL else {}
    return {**TRAINING_DEFAULTS, **method.defaults, **small}
