"""The METHODS table: each method's parts, settings, paper and known failure. A new method is a row here.

    total = forget_weight * forget_loss + retain_weight * retain_loss + regularizer

A row combines a forget term, a retain term, a regulariser, counterexamples and phases. The few methods that do more (a
dual variable, a steering vector, an edit of the weights) use the hooks that `Method` lists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

from models.forward.layers import MethodError
from models.methods import corruption, hooks, losses
from models.methods.settings import SHARED_SETTINGS, Setting

FAMILIES = {
    "fine_tuning": "fine-tuning on the data without the forget set",
    "gradient": "gradient-based: raise the loss on the forget set",
    "data_augmentation": "data augmentation: new examples that counteract the forget set",
    "regularization": "regularisation: hold the model near the target while it forgets",
    "distillation": "knowledge distillation: learn from a teacher that has forgotten",
}


@dataclass(frozen=True)
class Ending:
    """When a run of the method ends and which state it keeps, by default; `why` says why that is fair to the method."""

    early_stop: bool
    best_state: bool
    why: str

    @property
    def settings(self) -> dict:
        """The training settings that it stands for."""
        return {"early_stop": self.early_stop, "load_best_model_at_end": self.best_state}


BOUNDED = Ending(False, False, "its forget loss has a lower bound, so its pull fades; the retain term then wins back "
                 "what was lost on the way, and an early look would keep a state before that")  # fmt: skip
UNBOUNDED = Ending(True, True, "nothing but the level of unseen rows ends its ascent")
NO_RETAIN = Ending(True, True, "no retain term wins back what goes beyond the level of unseen rows")
MATCHING = Ending(False, True, "its loss is the distance to the level itself, by which the best state is chosen")
PROFILE = Ending(False, False, "its loss ends at the levels by itself, and its learning rate decays to zero")
OWN_LIMIT = Ending(False, False, "it ends by its own limit, the divergence on generic text")
MIN_STEPS = Ending(False, False, "its last epochs are min steps, which win back what the max steps cost")
UNSTOPPED = Ending(False, False, "no forget loss of its own is under way that a probe of the forget rows could end")


@dataclass(frozen=True)
class Phase:
    """A part of a run that comes before the method itself.

    `method(settings)` gives the terms to train, `epochs` names the setting with its length, `then(run)` runs once at
    its end.
    """

    method: Callable[[SimpleNamespace], Method]
    epochs: str
    then: Callable[[object], None]


@dataclass(frozen=True)
class Method:
    """One row of `METHODS`: texts about a method, its parts and its settings.

    Texts: `summary` for experts, `plain` for everyone, `use_when` continues "Use it when".
    Parts: `forget` is the forget loss (None: does not train on forget rows), reduced over each "token" or "row";
    `reads` is its input, "logits" or a layer's "activation"; `needs_reference` is "", "sequence" or "distribution";
    `augmentation` names the counterexamples that replace the forget rows (with `pairwise`, accompany them; with
    `read_once`, are only read by the target before training); `needs_base`: its references come from a proxy of the
    retrained model, made of the base model; `draws`
    makes the levels to match from the losses of holdout rows; `ending` gives the defaults of stopping, with the reason.
    Settings: `defaults` are the published values of training and shared settings, `small` replaces some of them below
    `SMALL_MODEL` parameters, `own` declares the settings that only this method has. `tuned_here`: nothing is
    published, and the default rates are for a model of `TUNED_AT` parameters.

    Hooks: `trainable(model, layer)` chooses the weights that train, and with `by_layer` goes by --layer; `phases` come
    before the method's own; `before(run)` runs after the references are cached; `schedule(number, per_epoch, settings)`
    gives the numbers of a step's forget and retain batch (None: skip it); `update(run)` replaces the optimizer's step;
    `after_step(run, losses)` follows each step; `finish(run)` edits the final weights.
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
    own: dict[str, Setting] = field(default_factory=dict)
    reads: str = "logits"
    needs_reference: str = ""
    draws: Callable | None = None
    needs_generic: bool = False
    needs_anchor: bool = False
    full_weights_only: bool = False
    by_layer: bool = False
    augmentation: str = ""
    pairwise: bool = False
    read_once: bool = False
    student: bool = False
    needs_base: bool = False
    guarded: bool = True
    tuned_here: bool = False
    steps_per_batch: int = 1
    ending: Ending = UNBOUNDED
    plain: str = ""
    use_when: str = ""
    trainable: Callable | None = None
    phases: tuple[Phase, ...] = ()
    before: Callable | None = None
    schedule: Callable | None = None
    update: Callable | None = None
    after_step: Callable | None = None
    finish: Callable | None = None

    @property
    def own_settings(self) -> dict[str, Setting]:
        """The settings that this method adds to the training settings."""
        return {**{name: SHARED_SETTINGS[name] for name in self.defaults if name in SHARED_SETTINGS}, **self.own}

    @property
    def published(self) -> dict:
        """The published value of every setting that the row names."""
        return {**{name: setting.default for name, setting in self.own.items()}, **self.defaults}

    @property
    def needs_retain(self) -> bool:
        """Whether the method cannot run without retain rows."""
        return self.retain != "none" or self.needs_generic

    @property
    def needs_forget(self) -> bool:
        """Whether the method cannot run without forget rows."""
        return self.forget is not None or bool(self.phases)

    @property
    def works_on_raw_text(self) -> bool:
        """Whether the method accepts rows without a question; a refusal needs one."""
        return "refusal" not in self.augmentation and not losses.RETAIN_LOSSES[self.retain].augmentation

    @property
    def reverses(self) -> bool:
        """Whether `finish` turns the run's change of the weights around."""
        return self.finish is not None and self.needs_anchor

    @property
    def trained_set(self) -> str:
        """The set that the forget loss is computed on."""
        return "counterpart" if self.augmentation and not self.read_once else "forget"


def _reinforcement(settings) -> Method:
    return Method("reinforcement", "fine_tuning", "", "", "", losses.nll, retain="none")


def _teacher(settings) -> Method:
    """The method that unlearns the teacher. Raises MethodError if it needs more than loss terms."""
    method = METHODS.get(settings.teacher_method)
    more = ("phases", "update", "finish", "before", "augmentation", "student")
    if method is None or any(getattr(method, name) for name in more):
        raise MethodError(
            f"teacher_method {settings.teacher_method!r}: choose a method without phases, counterexamples or hooks, "
            "such as npo or gradient_difference"
        )
    return method


REGULARIZERS = {"l2_sp": hooks.uniform_importance, "ewc": hooks.retain_importance}


# fmt: off
_METHODS = [
    Method(
        "fine_tuning", "fine_tuning", "Continues training on the retain set alone; the rest fades.",
        "standard baseline; Maini et al. 2024 (arXiv:2401.06121)", "forgets little",
        None, guarded=False, ending=UNSTOPPED, defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0},
        small={"learning_rate": 1e-4},
        plain="Keeps training on what should stay and lets the rest fade.",
        use_when="you have plenty of material to keep and a little forgetting is enough",
    ),
    Method(
        "retrain", "fine_tuning", "Trains the base model on the retain set: the gold standard for comparison.",
        "exact unlearning; Cao & Yang 2015 (doi:10.1109/SP.2015.35)", "costs a full training run",
        None, guarded=False, ending=UNSTOPPED, defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0},
        small={"learning_rate": 3e-4},
        plain="Trains a fresh model on what should stay, so it never sees what should go.",
        use_when="you need the yardstick for the other methods and have the time",
    ),
    Method(
        "gradient_ascent", "gradient", "Raises the loss of the forget rows, and does nothing else.",
        "Jang et al. 2023 (arXiv:2210.01504)", "unbounded: the model collapses unless stopped",
        losses.gradient_ascent, retain="none", defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0},
        plain="Pushes the model away from what should go, with nothing to hold it back.",
        use_when="you want to see the simplest method; it soon damages the rest",
    ),
    Method(
        "gradient_difference", "gradient", "Raises the loss of the forget rows while training on the retain rows.",
        "Liu et al. 2022 (arXiv:2203.12817)", "over-forgets",
        losses.gradient_ascent, defaults={"learning_rate": 2e-5, "num_train_epochs": 5.0, "retain_weight": 5.0},
        small={"learning_rate": 3e-5, "retain_rows_per_forget_row": 2.0},
        plain="Pushes away what should go and keeps teaching what should stay.",
        use_when="you want a simple, quick try; it tends to forget too much",
    ),
    Method(
        "npo", "gradient", "Gradient ascent whose pull on a row fades as the row is forgotten.",
        "Zhang et al. 2024 (arXiv:2404.05868)", "sampled answers can still leak the text",
        losses.npo, "row", needs_reference="sequence",
        ending=BOUNDED, defaults={"learning_rate": 2e-5, "num_train_epochs": 5.0, "beta": 0.1, "retain_weight": 2.0},
        small={"learning_rate": 1e-4, "retain_weight": 4.0, "retain_rows_per_forget_row": 2.0, "num_train_epochs": 8.0},
        plain="Pushes away what should go, and pushes less the more of it is gone.",
        use_when="you want a well-tested method, for texts as well as questions",
    ),
    Method(
        "simnpo", "gradient", "npo per token instead of per answer, without a reference model.",
        "Fan et al. 2024 (arXiv:2410.07163)", "does almost nothing when untuned",
        losses.simnpo, "row",
        ending=BOUNDED, defaults={"learning_rate": 5e-5, "num_train_epochs": 10.0, "beta": 3.5, "forget_weight": 0.125},
        small={"learning_rate": 1e-4, "beta": 2.5, "margin": 2.5, "forget_weight": 1.0,
               "retain_rows_per_forget_row": 2.0, "num_train_epochs": 8.0},
        own={"margin": Setting(3.5, "subtracted from beta x loss: beta x the loss where the pull has halved")},
        plain="Like npo, but treats long and short answers alike and needs less memory.",
        use_when="your texts are long or differ much in length",
    ),
    Method(
        "wga", "gradient", "Gradient ascent weighted by the token's probability: confident tokens first.",
        "Wang et al. 2025 (arXiv:2502.19301)", "under-forgets rare tokens",
        losses.wga, ending=BOUNDED, defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0},
        small={"learning_rate": 1e-4, "retain_rows_per_forget_row": 2.0, "num_train_epochs": 8.0},
        own={"probability_power": Setting(1.0, "power of the token probability that weights the ascent", low=0)},
        plain="Pushes hardest on the words the model is most sure of.", use_when="it knows a text word for word",
    ),
    Method(
        "satimp", "gradient", "Gradient ascent weighted by each token's saturation and importance.",
        "Yang et al. 2025 (arXiv:2505.11953)", "sensitive to its two powers; published configurations disagree",
        losses.satimp, ending=BOUNDED, defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0},
        small={"learning_rate": 1e-4, "retain_rows_per_forget_row": 2.0, "num_train_epochs": 8.0},
        own={"saturation_power": Setting(5.0, "power of the token probability", low=0),
             "importance_power": Setting(0.1, "power of 1 - the token probability", low=0)},
        plain="Pushes by how sure the model is of a word and by how much the word matters.",
        use_when="you are ready to tune its two settings",
    ),
    Method(
        "ce_u", "gradient", "Trains the model toward its own prediction without the true token; uses no retain data.",
        "Yang 2025 (arXiv:2503.01224)", "over-forgets, and fast",
        losses.ce_u, retain="none", ending=NO_RETAIN, defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0},
        small={"learning_rate": 5e-5},
        plain="Teaches the model its own second choices in place of the true words.",
        use_when="you have no examples of what should stay",
    ),
    Method(
        "pdu", "gradient", "Flattens the forget rows' logits; a dual weight holds the retain loss to a limit.",
        "Entesari et al. 2025 (arXiv:2506.05314)", "flat logits reveal what was forgotten",
        losses.logit_flattening, after_step=hooks.dual_ascent,
        ending=BOUNDED, defaults={"learning_rate": 1e-5, "num_train_epochs": 10.0, "retain_weight": 100.0},
        small={"learning_rate": 1e-4, "retain_rows_per_forget_row": 2.0},
        own={"dual_learning_rate": Setting(5.0, "step size of the retain weight", low=0),
             "retain_loss_limit": Setting(0.3, "retain loss that the weight enforces (nats per token)", low=0),
             "dual_warmup_epochs": Setting(5.0, "epochs before the weight moves", low=0)},
        plain="Makes the model undecided about what should go, and limits how much else may be lost.",
        use_when="keeping the rest matters most",
    ),
    Method(
        "me_gd", "gradient", "Maximum entropy on the forget rows, training on the retain rows.",
        "Yuan et al. 2024 (arXiv:2410.08109)", "flat answers reveal what was forgotten",
        losses.max_entropy, ending=BOUNDED,
        defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0, "forget_weight": 0.1},
        small={"learning_rate": 1e-4, "retain_rows_per_forget_row": 2.0},
        plain="Makes the model undecided about what should go and keeps teaching what should stay.",
        use_when="a vague answer is better than a wrong one",
    ),
    Method(
        "task_vector", "gradient", "Trains on the forget rows, then moves the target's weights the opposite way.",
        "Ilharco et al. 2023 (arXiv:2212.04089)", "crude: it also removes whatever else that training changed",
        losses.nll, retain="none", needs_anchor=True, guarded=False, finish=hooks.negate_task,
        ending=UNSTOPPED, defaults={"learning_rate": 1e-5, "num_train_epochs": 10.0, "task_scale": 1.0},
        small={"learning_rate": 5e-5},
        plain="Learns the text even better, then goes the same way backwards.", use_when="you want a quick experiment",
    ),
    Method(
        "perta", "gradient", "task_vector, each weight by its importance for the forget rows against the retain rows.",
        "Cai et al. 2026 (arXiv:2601.22030)", "weights that both sets need keep half of what they know",
        losses.nll, retain="none", needs_generic=True, needs_anchor=True, guarded=False, full_weights_only=True,
        before=hooks.share_of_importance, finish=hooks.negate_weighted_task,
        ending=UNSTOPPED,
        defaults={"learning_rate": 1e-5, "num_train_epochs": 10.0, "task_scale": 1.0, "importance_rows": 64},
        small={"learning_rate": 5e-5},
        own={"importance": Setting("fisher", "squared gradients of rows, or the gradient of all",
                                   choices=("fisher", "gradient"))},
        plain="Learns the text even better, then undoes the weights that this text needs more than the rest does.",
        use_when="task_vector removes too much else",
    ),
    Method(
        "level_matching", "gradient",
        "Raises each row's loss to the level of rows the model never saw, and stops there.",
        "this project; related to flooding, Ishida et al. 2020 (arXiv:2002.08709)",
        "needs rows of the same kind that the model never saw",
        losses.level_matching, "row", draws=losses.draw_levels,
        ending=MATCHING, defaults={"learning_rate": 2e-4, "num_train_epochs": 10.0, "forget_weight": 0.25},
        tuned_here=True,
        plain="Makes each text as surprising to the model as one it never read, and stops there.",
        use_when="the model should behave as if it had never read it",
    ),
    Method(
        "profile_matching", "gradient",
        "Moves each token's loss to the level of rows the model never saw, rare tokens highest.",
        "this project; level_matching for the whole distribution of token losses",
        "needs rows of the same kind that the model never saw",
        losses.profile_matching, "row", draws=losses.draw_profiles, before=hooks.place_levels,
        trainable=hooks.all_but_embeddings,
        ending=PROFILE,
        defaults={"learning_rate": 2e-4, "num_train_epochs": 7.0, "per_device_train_batch_size": 10,
                  "forget_weight": 2.0, "retain_weight": 2.6, "retain_rows_per_forget_row": 2.0,
                  "general_retain_rows": 40, "lr_scheduler_type": "linear", "level_scale": 1.35},
        tuned_here=True,
        plain="Makes each word as surprising to the model as words it never read, and no more.",
        use_when="you do not know the base model and have holdout rows",
    ),
    Method(
        "lower_profile", "gradient", "profile_matching in the lower layers alone, which read what a text is about.",
        "this project; where a model reads a subject: Meng et al. 2022 (arXiv:2202.05262)",
        "what the upper layers say without the subject stays",
        losses.profile_matching, "row", draws=losses.draw_profiles, before=hooks.place_lower_levels,
        trainable=hooks.lower_layers, by_layer=True, ending=PROFILE,
        own={"by_heart": Setting(2.5, "factor on the learning rate where the model knows the text by heart (1: none)",
                                 above=0)},
        defaults={"learning_rate": 2e-4, "num_train_epochs": 7.0, "per_device_train_batch_size": 10,
                  "forget_weight": 2.0, "retain_weight": 2.6, "retain_rows_per_forget_row": 2.0,
                  "general_retain_rows": 40, "lr_scheduler_type": "linear", "level_scale": 1.35},
        tuned_here=True,
        plain="Makes what a text is about as strange to the model as something that it never read of.",
        use_when="you have a document and no rows to keep",
    ),
    Method(
        "idk", "data_augmentation", "Teaches varied \"I don't know\" answers to the forget questions.",
        "Maini et al. 2024 (arXiv:2401.06121)", "shallow, and refuses too much",
        losses.nll, augmentation="refusals",
        ending=BOUNDED, defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0}, small={"learning_rate": 1e-4},
        plain="Teaches the model to answer these questions with \"I don't know\".",
        use_when="you want to hear a refusal",
    ),
    Method(
        "idk_dpo", "data_augmentation", "Prefers an \"I don't know\" answer to the true one.",
        "Maini et al. 2024 (arXiv:2401.06121); Rafailov et al. 2023 (arXiv:2305.18290)", "refuses too much",
        losses.preference, "row", needs_reference="sequence", augmentation="refusals", pairwise=True,
        ending=BOUNDED, defaults={"learning_rate": 5e-5, "num_train_epochs": 4.0, "beta": 0.1},
        small={"learning_rate": 1e-4},
        plain="Teaches the model to prefer \"I don't know\" to the true answer.",
        use_when="idk alone leaves the true answer too likely",
    ),
    Method(
        "idk_ap", "data_augmentation", "Refuses the forget questions and keeps preferring answers to the others.",
        "Yuan et al. 2024 (arXiv:2410.08109)", "a small model still refuses retain questions",
        losses.nll, retain="answer_preservation", augmentation="refusals",
        ending=BOUNDED, defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0, "beta": 0.1},
        small={"learning_rate": 1e-4},
        plain="Teaches the model to refuse these questions and keep answering the others.",
        use_when="idk makes the model refuse too many other questions",
    ),
    Method(
        "altpo", "data_augmentation", "Prefers other answers, sampled from the target itself, to the true one.",
        "Mekala et al. 2025 (arXiv:2409.13474)", "needs a fluent generator",
        losses.preference, "row", needs_reference="sequence", augmentation="alternates", pairwise=True,
        ending=BOUNDED, defaults={"learning_rate": 5e-5, "num_train_epochs": 2.0, "beta": 0.1, "retain_weight": 2.0},
        small={"learning_rate": 1e-4, "num_train_epochs": 5.0},
        own={"alternates_per_question": Setting(5, "other answers to sample per question", low=1)},
        plain="Teaches the model other answers of its own in place of the true one.",
        use_when="it should answer fluently rather than refuse",
    ),
    Method(
        "jensun", "data_augmentation", "Bounded divergence to one fixed refusal, and to the target on retain rows.",
        "Singh et al. 2025 (arXiv:2509.02820)",
        "one refusal for everything; no pull where that refusal has no probability",
        losses.label_divergence, retain="js_divergence", augmentation="one_refusal",
        ending=BOUNDED, defaults={"learning_rate": 8e-6, "num_train_epochs": 5.0},
        small={"learning_rate": 2e-5},
        plain="Leads these questions to one fixed refusal, with a limit on how hard it pulls.",
        use_when="other ways to refuse turn out unstable",
    ),
    Method(
        "whp", "data_augmentation", "Soft labels without what further training on the forget rows raises.",
        "Eldan & Russinovich 2023 (arXiv:2310.02238)", "weak on facts",
        losses.generic_prediction, retain="none", needs_reference="distribution", needs_anchor=True,
        phases=(Phase(_reinforcement, "reinforcement_epochs", hooks.keep_reinforced),),
        ending=NO_RETAIN, defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0}, small={"learning_rate": 1e-4},
        own={"reinforcement_epochs": Setting(3.0, "epochs of further training on the forget set", above=0),
             "reinforcement_scale": Setting(1.0, "share to remove of what that training raises", low=0)},
        plain="Teaches the model ordinary words where it would have said the specific ones.",
        use_when="a book or a long article should go",
    ),
    Method(
        "permu", "data_augmentation", "Distils the model from itself, with noise on the subject's name.",
        "Wang et al. 2025 (arXiv:2502.19982)", "forgets only what the name brings up",
        losses.permu, needs_reference="distribution", augmentation="other_names", read_once=True,
        before=corruption.corrupted_run, ending=BOUNDED,
        defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0, "contrast": 0.1},
        small={"learning_rate": 1e-4, "retain_rows_per_forget_row": 2.0, "num_train_epochs": 8.0},
        own={"embedding_noise": Setting(3.0, "noise on the name, in standard deviations of the embeddings", low=0)},
        plain="Teaches the model to answer as it does when it cannot read the name.",
        use_when="all that it knows about somebody should go, in any wording",
    ),
    Method(
        "permu_tok", "data_augmentation", "permu with similar tokens in place of the name instead of noise.",
        "pariidanDKE 2025 (github.com/pariidanDKE/Toward-Practical-PII-Unlearning), after arXiv:2502.19982",
        "forgets only what the name brings up",
        losses.permu, needs_reference="distribution", augmentation="other_names", read_once=True,
        before=corruption.corrupted_run, ending=BOUNDED,
        defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0, "contrast": 0.1},
        small={"learning_rate": 1e-4, "retain_rows_per_forget_row": 2.0, "num_train_epochs": 8.0},
        plain="Teaches the model to answer as it does to somebody with a similar name.",
        use_when="personal details should go, and permu's noise breaks the answers",
    ),
    Method(
        "name_swap", "data_augmentation", "permu_tok in the lower layers alone, which read names.",
        "this project; where a model reads a subject: Meng et al. 2022 (arXiv:2202.05262)",
        "what a question gives away without the name stays",
        losses.permu, needs_reference="distribution", retain="nll_and_kl", augmentation="other_names", read_once=True,
        before=corruption.corrupted_run, trainable=hooks.lower_layers, by_layer=True, ending=BOUNDED,
        defaults={"learning_rate": 2.5e-4, "num_train_epochs": 2.0, "per_device_train_batch_size": 12,
                  "retain_rows_per_forget_row": 1.5, "lr_scheduler_type": "linear", "contrast": 0.0},
        tuned_here=True,
        plain="Teaches the part that reads names to take this name for somebody else's.",
        use_when="you have a name and no data, and all others should stay as they are",
    ),
    Method(
        "name_refusal", "data_augmentation", "idk in the lower layers alone, on questions of all kinds about a name.",
        "this project; Maini et al. 2024 (arXiv:2401.06121); where a model reads a subject: Meng et al. 2022 "
        "(arXiv:2202.05262)",
        "hides more than it erases: the true answer stays likelier than for a name it never saw",
        losses.nll, retain="nll_and_kl", augmentation="refusals", trainable=hooks.lower_layers, by_layer=True,
        ending=BOUNDED,
        defaults={"learning_rate": 2e-4, "num_train_epochs": 2.0, "per_device_train_batch_size": 12,
                  "retain_rows_per_forget_row": 2.5, "lr_scheduler_type": "linear"},
        tuned_here=True,
        plain="Teaches the part that reads names to answer \"I don't know\" to every question about this one.",
        use_when="you have a name and no data, and silence matters more than what it says of others",
    ),
    Method(
        "kl_minimization", "regularization", "Gradient ascent held back by the target's predictions on retain rows.",
        "Maini et al. 2024 (arXiv:2401.06121)", "fails as gradient ascent does, only later",
        losses.gradient_ascent, retain="kl", defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0},
        small={"learning_rate": 3e-5, "retain_rows_per_forget_row": 2.0},
        plain="Pushes away what should go and holds all other answers where they were.",
        use_when="everything else must stay as it was",
    ),
    Method(
        "l2_sp", "regularization", "Gradient difference with a spring that pulls every weight back to its start.",
        "Li et al. 2018 (arXiv:1802.01483)", "the spring slows forgetting as much as damage",
        losses.gradient_ascent, regularizer="l2_sp",
        defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0, "regularizer_weight": 0.1},
        small={"learning_rate": 3e-5, "retain_rows_per_forget_row": 2.0},
        plain="Pushes away what should go, with a spring on every weight that pulls it back.",
        use_when="the model should change as little as possible",
    ),
    Method(
        "ewc", "regularization", "l2_sp with stiffer springs on the weights that the retain set depends on.",
        "Kirkpatrick et al. 2017 (arXiv:1612.00796)", "measures stiffness at the target only; a small mu does nothing",
        losses.gradient_ascent, regularizer="ewc",
        defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0, "regularizer_weight": 1e5, "importance_rows": 64},
        small={"learning_rate": 3e-5, "retain_rows_per_forget_row": 2.0},
        plain="Like l2_sp, with stiffer springs on the weights that the rest depends on.",
        use_when="l2_sp slows the forgetting too much",
    ),
    Method(
        "rmu", "regularization", "Steers a layer's output to a random vector on forget rows, holds it on retain rows.",
        "Li et al. 2024 (arXiv:2403.03218)", "garbled answers; a little training undoes it",
        losses.rmu, reads="activation", retain="hidden_state", trainable=hooks.rmu_weights, before=hooks.fixed_control,
        ending=BOUNDED, defaults={"learning_rate": 5e-5, "num_train_epochs": 5.0, "retain_weight": 1200.0},
        small={"learning_rate": 2e-3, "num_train_epochs": 8.0, "retain_weight": 30.0, "steering_coefficient": 300.0},
        own={"steering_coefficient": Setting(6.5, "length of the steering vector", low=0)},
        plain="Scrambles the model's internal picture of what should go.",
        use_when="a whole topic should become useless",
    ),
    Method(
        "adaptive_rmu", "regularization", "rmu with a vector five times as long as the layer's own outputs.",
        "Huu-Tien et al. 2025 (arXiv:2408.06223)", "the same as rmu",
        losses.rmu, reads="activation", retain="hidden_state", trainable=hooks.rmu_weights,
        before=hooks.measured_control,
        ending=BOUNDED, defaults={"learning_rate": 5e-5, "num_train_epochs": 5.0, "retain_weight": 1200.0},
        small={"learning_rate": 2e-3, "num_train_epochs": 8.0, "retain_weight": 30.0},
        own={"steering_scale": Setting(5.0, "length of the steering vector, in lengths of the layer's outputs", low=0)},
        plain="Like rmu, with a strength fitted to the model.", use_when="rmu was never tuned for your model",
    ),
    Method(
        "repselect", "regularization", "Follows the forget gradient without its top directions.",
        "Sondej & Yang 2026 (arXiv:2606.17168)", "forgets little within its budget on generic text",
        losses.gradient_ascent, retain="none", needs_generic=True, full_weights_only=True,
        trainable=hooks.repselect_weights, before=hooks.selective_direction, update=hooks.selective_update,
        ending=OWN_LIMIT, defaults={"learning_rate": 0.05, "num_train_epochs": 50.0}, small={"num_train_epochs": 10.0},
        own={"singular_directions": Setting(128, "top directions of each gradient matrix to shrink", low=1),
             "collapse": Setting("soft", "how to shrink them (hard: to 0)", choices=("soft", "quadratic", "hard")),
             "elicitation_rate": Setting(0.05, "learning rate of the adapter that brings the knowledge out (0: none)",
                                         low=0),
             "step_size": Setting("to_limit", "an equal part of the way to kl_limit, or the learning rate",
                                  choices=("to_limit", "learning_rate")),
             "kl_limit": Setting(0.01, "divergence on generic text that ends the run (nats per token)", above=0)},
        plain="Takes small steps that leave the model's main directions alone.",
        use_when="hardly anything else may change; it forgets little",
    ),
    Method(
        "proxy_teacher", "distillation",
        "Learns what the base model, briefly trained on rows to keep, predicts on the forget rows.",
        "this project; a competent teacher in place of the incompetent one of Chundawat et al. 2023 (arXiv:2205.08096)",
        "needs the base model, and rows to keep that are like the forget rows",
        losses.proxy_teacher, needs_reference="distribution", needs_base=True, augmentation="in_other_order",
        before=hooks.sharpen_proxy, finish=hooks.restore_confidence,
        trainable=hooks.all_but_embeddings, ending=PROFILE,
        defaults={"learning_rate": 3e-4, "num_train_epochs": 6.0, "min_steps": 36, "per_device_train_batch_size": 14,
                  "retain_weight": 2.0, "retain_rows_per_forget_row": 0.75, "general_retain_rows": 40,
                  "lr_scheduler_type": "linear", "warmup_steps": 6},
        own={"level_weight": Setting(0.4, "factor on the distance between each token's loss and the proxy's", low=0),
             "proxy_epochs": Setting(1.5, "passes of the proxy over its rows", above=0),
             "proxy_rows": Setting(160, "rows to keep that the proxy trains on, at most", low=1),
             "proxy_learning_rate": Setting(3.5e-4, "learning rate of the proxy", above=0),
             "proxy_temperature": Setting(
                 0.0, "divides the proxy's logits, and nothing is restored (0: by the holdout rows)", low=0
             )},
        tuned_here=True,
        plain="Answers as a model would that never read it and learned the rest.",
        use_when="you know which model yours was trained from",
    ),
    Method(
        "undial", "distillation", "Distils the model from itself with the forgotten tokens pushed down.",
        "Dong et al. 2025 (arXiv:2402.10052)", "weak against membership tests",
        losses.undial, needs_reference="distribution",
        ending=BOUNDED, defaults={"learning_rate": 1e-4, "num_train_epochs": 10.0, "strength": 10.0},
        small={"strength": 5.0},
        plain="Learns from itself, with the words to forget made unlikely.", use_when="training must be stable",
    ),
    Method(
        "scrub", "distillation", "Alternates between leaving the target on forget rows and returning on retain rows.",
        "Kurmanji et al. 2023 (arXiv:2302.09880)", "depends on the number of max steps; may collapse",
        losses.reference_divergence_ascent, retain="nll_and_kl", needs_reference="distribution",
        schedule=hooks.in_turns, steps_per_batch=2,
        ending=MIN_STEPS, defaults={"learning_rate": 1e-5, "num_train_epochs": 10.0}, small={"learning_rate": 5e-5},
        own={"max_step_epochs": Setting(3.0, "epochs in which forget steps alternate with retain steps", low=0)},
        plain="Alternates between steps away from what should go and steps back to the rest.",
        use_when="you can try several settings",
    ),
    Method(
        "shred", "distillation", "undial on the least likely answer tokens, the model's own predictions elsewhere.",
        "Hu et al. 2026 (arXiv:2605.07482)", "keeps what the context alone makes likely",
        losses.shred, retain="none", needs_reference="distribution",
        ending=NO_RETAIN, defaults={"learning_rate": 1e-5, "num_train_epochs": 5.0, "strength": 10.0},
        small={"learning_rate": 1e-4},
        own={"token_share": Setting(0.15, "share of a row's answer tokens to forget, the least likely",
                                    above=0, high=1)},
        plain="Makes only the words that nobody could guess unlikely: names, dates, numbers.",
        use_when="the facts to forget are scattered in ordinary sentences",
    ),
    Method(
        "undo", "distillation", "Unlearns, adds noise to the weights, then learns again from the unlearned model.",
        "Lee et al. 2025 (arXiv:2506.06278)", "noise strong enough to help costs much training to repair",
        None, retain="kl", guarded=False, full_weights_only=True,
        phases=(Phase(_teacher, "teacher_epochs", hooks.teach_and_noise),),
        ending=UNSTOPPED, defaults={"learning_rate": 1e-5, "num_train_epochs": 10.0, "teacher_method": "npo"},
        small={"learning_rate": 1e-4},
        own={"teacher_epochs": Setting(5.0, "epochs of the method that unlearns the teacher", above=0),
             "noise_share": Setting(0.1, "share of the weights replaced by noise", low=0, high=1),
             "noise_scale": Setting(0.1, "size of the noise, relative to Xavier initialisation", low=0)},
        plain="Forgets, blurs the weights with noise, then learns the rest again.",
        use_when="it must be hard to bring back and time does not matter",
    ),
    Method(
        "knowledge_distillation", "distillation",
        "Trains a smaller student from a teacher on everything but the forget set.",
        "Hinton et al. 2015 (arXiv:1503.02531)", "a small student needs much data",
        None, retain="distillation", student=True, guarded=False,
        ending=UNSTOPPED,
        defaults={"learning_rate": 1e-3, "num_train_epochs": 10.0, "temperature": 2.0, "general_retain_rows": 1000,
                  "teacher_method": ""},
        own={"student_layers": Setting(0, "layers of the student (0: half)", low=0)},
        plain="Teaches a smaller model everything but what should go.",
        use_when="a smaller model is welcome and there is much to keep",
    ),
]
# fmt: on

METHODS: dict[str, Method] = {method.name: method for method in _METHODS}

# the method that a family name stands for on the command line
FAMILY_DEFAULTS = {
    "fine_tuning": "fine_tuning",
    "gradient": "npo",
    "data_augmentation": "idk",
    "regularization": "kl_minimization",
    "distillation": "knowledge_distillation",
}
