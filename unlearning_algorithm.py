"""Unlearning of language models: the loop, as a generator of step records.

Vocabulary: the *target model* is the model before unlearning; the *forget set* is what it should forget; the *retain
set* is what it should keep; the *holdout set* holds rows of the same kind that it never saw; the *reference* is the
target model's frozen outputs; the *retrained model*, trained without the forget set, is the gold standard: it is used
to judge a run, never to steer it; a *student* is a smaller model.

    total = forget_weight * forget_loss + retain_weight * retain_loss + regularizer

A forget loss is a pure function from `Answers` (logits at the positions that predict answer tokens) to one value per
token or per row. A method is such a function (models/methods/losses.py) plus one row in `METHODS`
(models/methods/table.py). The loop reduces: it divides the sum by the number of tokens or rows of the whole effective
batch, so a batch of 1 accumulated 8 times equals a batch of 8.

The loop writes no files, prints nothing and knows no tokenizer.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

from models.forward import proof
from models.forward.answers import answer_outputs, join_batches, split_rows, unwrapped
from models.forward.layers import MethodError, chosen_layer
from models.forward.reference import Reference, cache_reference, probe, summary, token_losses
from models.methods.defaults import hyper_parameters
from models.methods.losses import RETAIN_LOSSES, draw_levels, own_levels, stay_forgotten
from models.methods.table import FAMILIES, FAMILY_DEFAULTS, METHODS, REGULARIZERS, Method  # noqa: F401
from models.store.on_first_use import sharded, torch, weights
from models.training import range_test, together
from models.training.stages import Stage, planned_stages
from models.training.step import Term, learning_rate_at, load_run_state, pair_rows, run_state, until_it_fits

SETS = ("forget", "retain", "holdout", "counterpart", "retain_counterpart", "generic", "earlier")  # see `Unlearning`
CLEARLY_ABOVE = 1.0  # nats per token: each token is e times less likely than before
LOST_ON_THE_WAY = 0.5  # of the retain probe: what a method may lose for a while that wins it back by its end
UNTOUCHED = 1e9  # the criterion's value for the untouched target


class Diverged(ValueError):
    """A loss, gradient or weight is not finite, or would become so; no step was taken."""

    exit_code = 5


class Unlearning:
    """One run: `prepare()` caches what the losses need, `steps()` yields a record per step and per evaluation point.

    `rows`: sets by name, each with `.lengths`, `.answer_lengths`, `.take(indices)`, `.batch(indices, pad_token_id)`:
    "forget" and "retain"; optional "holdout" (levels, stopping), "counterpart" (examples of the augmentation; their
    `example_index` names the forget example they answer), "retain_counterpart" (the same for retain examples),
    "generic" (text that must not change), "earlier" (rows of earlier requests, which must stay forgotten),
    "retain_probe" (the retain rows to probe, when "retain" holds others too). Refuses other sets: rows that judge a run
    must not steer it.
    `settings`: see models/methods/settings.py and the method's row. `unseen`: the token losses of each forget row
    under a model that never saw it, such as the base model; they give the levels where there is no holdout set.
    The caller may stop between any two records; `close()` gives the model plain weights again. Raises `MethodError` for
    rows, models or settings that do not fit the method.
    """

    def __init__(
        self,
        model,
        rows: dict,
        method: str | Method,
        settings: dict,
        *,
        pad_token_id=0,
        accelerator=None,
        references=None,
        unseen=None,
    ):
        self.method = METHODS[method] if isinstance(method, str) else method
        chosen = {**hyper_parameters(self.method.name), **settings}
        chosen["retain_loss"] = chosen["retain_loss"] or self.method.retain
        self.settings = SimpleNamespace(**{**RETAIN_LOSSES[chosen["retain_loss"]].defaults, **chosen})
        self.model, self.rows, self.pad = model, dict(rows), pad_token_id
        self.references, self.unseen = dict(references or {}), unseen
        self.accelerator = accelerator
        self._world, self._rank = together.count(accelerator), together.rank(accelerator)
        self.step, self.best, self.levels, self.ended = 0, None, None, None
        self.anchor, self.importance, self.layer, self.finished = None, None, None, False
        self.context, self.partners, self.products, self.frozen, self.dropouts = {}, {}, set(), [], []
        self.sharded = self._world > 1 and sharded.wanted(accelerator)
        self.cut, self.news = 1, []  # parts that each requested micro-batch is cut into; records waiting to be yielded
        self._check()
        self._pair()

    # -- preparation

    def _check(self):
        """Raises for rows, models and settings that the method cannot run on."""
        method, settings, name = self.method, self.settings, self.method.name
        if others := sorted({each.removesuffix("_probe") for each in self.rows} - set(SETS)):
            raise MethodError(f"{name} has no use for {', '.join(others)} rows; the loop reads {', '.join(SETS)}")
        if self.sharded:
            sharded.refuse(method, settings)
        if not settings.learning_rate <= 1:
            raise Diverged(
                f"learning rate {settings.learning_rate:g}: one AdamW step moves every weight by about that much and "
                "would destroy the model at step 1; nothing was changed. Use 1e-6 to 1e-3"
            )
        retain = RETAIN_LOSSES[settings.retain_loss]
        needed = {
            "forget": method.needs_forget,
            "retain": retain.function or (method.needs_generic and not len(self.rows.get("generic") or ())),
            "counterpart": method.augmentation,
            "retain_counterpart": retain.augmentation,
        }
        missing = [each for each, wanted in needed.items() if wanted and not len(self.rows.get(each) or ())]
        if missing:
            raise MethodError(f"{name} needs {' and '.join(missing)} rows")
        if settings.find_learning_rate:
            range_test.check(method)
        if method.needs_base and method.trained_set not in self.references:
            raise MethodError(f"{name} needs references from a proxy, see results.run.training.proxy_references")
        if method.student and settings.update_scale != 1:
            raise MethodError(f"{name}: a student has no target to go back to; remove --update_scale")
        if method.full_weights_only and any("lora_" in each for each, _ in self.model.named_parameters()):
            raise MethodError(f"{name} edits the weights themselves, so it does not run with --use_peft")

    def _pair(self):
        """Gives each row of a pairwise loss its partner row; drops rows without one."""
        if self.method.pairwise:
            self.rows["counterpart"], partner_of = pair_rows(self.rows["counterpart"], self.rows["forget"])
            self.partners["counterpart"] = ("forget", partner_of)
        if RETAIN_LOSSES[self.settings.retain_loss].augmentation:
            self.rows["retain"], partner_of = pair_rows(self.rows["retain"], self.rows["retain_counterpart"])
            self.partners["retain"] = ("retain_counterpart", partner_of)
        if not all(len(partner_of) for _, partner_of in self.partners.values()):
            raise MethodError(f"{self.method.name}: none of the rows has a counterexample")

    def plan(self):
        """Fixes the stages, their batches and the number of steps from the settings."""
        parameters = sum(p.numel() for p in self.model.parameters())
        self.stages = planned_stages(self.method, self.settings, self.rows, self._world, parameters)
        last = self.stages[-1]
        self.total_steps, self.steps_per_epoch = last.first + last.steps, last.per_epoch
        looks = 10 if self.settings.early_stop or self.settings.load_best_model_at_end else 5
        self.eval_steps = self.settings.eval_steps or max(1, math.ceil(self.total_steps / looks))
        self._enter(self.stages[0])

    def prepare(self):
        """Casts the weights, caches references and levels, probes every set once."""
        settings, method = self.settings, self.method
        self.plan()
        some = next(rows for rows in self.rows.values() if rows is not None and len(rows))
        proof.prove_rows(self.model, some, self.pad)  # before the weights change their type
        if method.by_layer or any("activation" in need for _, need in self._needs()):
            self.layer = chosen_layer(unwrapped(self.model), settings.layer)
        if method.trainable:
            self._freeze_all_but(method.trainable(unwrapped(self.model), self.layer))
        self._make_optimizer()
        weights.return_freed_memory(cycles=False)  # of the weights' earlier type
        if settings.dropout is not None:
            self.dropouts = weights.set_dropout(self.model, settings.dropout)
        if settings.gradient_checkpointing:
            # inputs must require gradients, or checkpointed layers under frozen embeddings silently train nothing
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            self.model.enable_input_require_grads()
        for name, need in sorted(self._needs()):
            if name and need and name not in self.references:
                self.references[name] = self.cache(self.rows[name], need)
        regularized = method.regularizer != "none" and settings.regularizer_weight
        if method.needs_anchor or regularized or settings.update_scale != 1:
            self.anchor = self.optimizer.snapshot()
        if regularized:
            self.importance = REGULARIZERS[method.regularizer](self)
        self._first_look()
        if method.before:
            method.before(self)
        if settings.find_learning_rate:
            told = self.news  # the test's own steps tell nothing
            self.news = [*told, range_test.find(self)]

    def _make_optimizer(self):
        settings, device = self.settings, next(self.model.parameters()).device
        # bfloat16 cannot resolve a sharpness-aware step
        dtype = weights.compute_dtype("float32" if settings.sam_rho else settings.dtype, device)
        chosen = {"weight_decay": settings.weight_decay, "compute_dtype": dtype}
        if self.sharded:
            chosen |= {"accelerator": self.accelerator, "frozen": self.frozen}
        optimizer = sharded.ShardedAdamW if self.sharded else weights.FlatAdamW
        self.optimizer = optimizer(self.model, **chosen)

    def _first_look(self):
        """Probes every set before training; sets the level that counts as forgotten and the levels to match."""
        method, holdout = self.method, self.rows.get("holdout")
        self._probe_rows = self._choose_probe_rows()
        unseen, known = [], {}
        if holdout is not None and len(holdout):
            unseen, accuracy = token_losses(self.model, holdout, self.pad, accelerator=self.accelerator)
        means = np.array([values.mean() for values in unseen])
        if unseen and "holdout_probe" not in self.rows:
            few = self._probed("holdout", holdout)
            known["holdout"] = summary(means[few], accuracy[few])
        self.start = self._look(known)
        own = not unseen and self._knows_more_than_unseen()
        means = np.array([values.mean() for values in self.unseen]) if own else means
        self.level = float(means.mean()) if len(means) else self._stated_level()
        if method.draws and own:
            self.levels = own_levels(self.unseen, method.draws)
        elif method.draws:
            unseen = means if method.draws is draw_levels else unseen
            levels = method.draws(unseen, len(self.rows["forget"]), self.level, self.settings.seed)
            self.levels = levels * getattr(self.settings, "level_scale", 1.0)

    def _knows_more_than_unseen(self) -> bool:
        """Whether `unseen` says how surprising the forget rows are to a model that knows them less than the target."""
        if not self.unseen or "forget" not in self.start:
            return False
        return float(np.mean([values.mean() for values in self.unseen])) > self.start["forget"]["loss"]

    def _stated_level(self) -> float:
        """`level`, but at least the forget rows' loss at the start plus `CLEARLY_ABOVE`.

        Otherwise a text that the model finds unlikely from the start would count as forgotten before any step.
        """
        begins = self.start["forget"]["loss"] if "forget" in self.start else -math.inf
        return max(self.settings.level, begins + CLEARLY_ABOVE)

    def _freeze_all_but(self, chosen: list):
        chosen = set(chosen)
        self.frozen = [p for p in self.model.parameters() if p.requires_grad and p not in chosen]
        for p in self.frozen:
            p.requires_grad = False

    def _needs(self) -> set[tuple[str, str]]:
        """(set, the kind of target outputs that the losses need on it), over all stages."""
        needs = set()
        for stage in self.stages:
            if stage.forget:
                needs.add((stage.method.trained_set, stage.method.needs_reference))
                if stage.method.pairwise:
                    needs.add((self.partners[stage.method.trained_set][0], stage.method.needs_reference))
                needs.add(("", stage.method.reads))
            if stage.kept:
                needs.add(("retain", stage.retain.needs_reference))
            if stage.earlier:
                needs.add(("earlier", "sequence"))
        return needs

    def cache(self, rows, need: str) -> Reference:
        """The model's current outputs on `rows`, of the kind `need`."""
        layer = self.layer if need == "activation" else None
        distribution = need == "distribution"
        return cache_reference(
            self.model, rows, self.pad, distribution=distribution, layer=layer, accelerator=self.accelerator
        )

    def keep(self, name: str, reference: Reference):
        """Keeps a reference made during the run; checkpoints hold it, because a resumed run cannot make it again."""
        self.references[name] = reference
        self.products.add(name)

    def _choose_probe_rows(self) -> dict:
        chosen = {}
        for name in ("forget", "retain", "holdout", "earlier"):
            rows = self.rows.get(f"{name}_probe", self.rows.get(name))
            if rows is not None and len(rows):
                chosen[name] = rows.take(self._probed(name, rows))
        return chosen

    def _probed(self, name: str, rows):
        """The rows of a set to probe; more of the forget set, because it decides when to stop."""
        order = np.random.default_rng([self.settings.seed, 11]).permutation(len(rows))
        return np.sort(order[: self.settings.probe_rows * (2 if name == "forget" else 1)])

    # -- one step

    def _enter(self, stage: Stage):
        self.stage, self.retain_weight = stage, stage.settings.retain_weight

    def _advance(self):
        """Enters the next stage when the current one is over."""
        if self.step == self.stage.first + self.stage.steps and self.stage is not self.stages[-1]:
            self.stage.then(self)
            self.optimizer.reset()
            self._enter(self.stages[self.stages.index(self.stage) + 1])

    def _terms(self, number: int) -> list[Term]:
        """The terms of the stage's step `number`."""
        stage, method, retain = self.stage, self.stage.method, self.stage.retain
        schedule = method.schedule or (lambda number, per_epoch, settings: (number, number))
        forget, kept = schedule(number, stage.per_epoch, stage.settings)
        terms = []
        if stage.forget and forget is not None:
            term = self._term("forget", method.trained_set, stage.forget[forget], method.forget, method.reduction)
            term.weight, term.reads = stage.settings.forget_weight, method.reads
            terms.append(term)
        if stage.kept and kept is not None:
            term = self._term("retain", "retain", stage.kept[kept], retain.function, retain.reduction)
            term.weight, term.reads = self.retain_weight, retain.reads
            terms.append(term)
        if stage.earlier:
            term = self._term("earlier", "earlier", stage.earlier[number], stay_forgotten, "row")
            term.weight = stage.settings.earlier_weight
            terms.append(term)
        return terms

    def _term(self, name, set_name, indices, loss, reduction) -> Term:
        rows, (partner, partner_of) = self.rows[set_name], self.partners.get(set_name, (None, None))
        context = {"reference": self.references.get(set_name), **self.context}
        context["partner_reference"] = self.references.get(partner)
        if name == "forget":
            context.update(levels=self.levels, reinforced=self.references.get("reinforced"))
        count = len(indices) if reduction == "row" else int(rows.answer_lengths[indices].sum())
        return Term(name, rows, indices, count, loss, context, self.stage.settings, self.rows.get(partner), partner_of)

    def _micro_batches(self, rows, indices) -> Iterator[np.ndarray]:
        """This process's share of an effective batch in micro-batches, each of rows of similar length."""
        mine = indices[np.argsort(rows.lengths[indices], kind="stable")][self._rank :: self._world]
        parts = max(1, math.ceil(len(mine) / self._rows_at_once(len(indices))))
        return (part for part in np.array_split(mine, parts) if len(part))

    def _rows_at_once(self, effective: int) -> int:
        return max(1, math.ceil(effective / (self.settings.gradient_accumulation_steps * self.cut) / self._world))

    def _groups(self, terms) -> list[tuple]:
        """([rows of each term], weight) of every forward pass; a weight of 0 only keeps sharded processes in step."""
        groups = [(group, 1) for group in itertools.zip_longest(
            *(self._micro_batches(term.rows, term.indices) for term in terms)
        )]  # fmt: skip
        if self.sharded:  # the first process has the most rows, and a forward pass needs every process
            shares = ((math.ceil(len(t.indices) / self._world), self._rows_at_once(len(t.indices))) for t in terms)
            most = max(math.ceil(share / rows) for share, rows in shares)
            groups += [((terms[0].indices[:1], *[None] * (len(terms) - 1)), 0)] * (most - len(groups))
        return groups

    def _backward(self, terms) -> dict:
        """Adds the gradients of all terms to the optimizer; returns the losses by name. Terms share forward passes."""
        losses = {term.name: 0.0 for term in terms}
        logits = any(term.reads == "logits" for term in terms)
        for group, counts in self._groups(terms):
            present = [(term, part) for term, part in zip(terms, group) if part is not None]
            batches = [(term, batch) for term, part in present for batch in term.batches(part, self.pad)]
            joined = join_batches([batch for _, batch in batches])
            outputs = answer_outputs(self.model, joined, layer=self.layer, logits=logits)
            outputs = split_rows(outputs, [len(batch["lengths"]) for _, batch in batches])
            total = 0.0
            for term, _ in present:
                loss = term.value([answers for (owner, _), answers in zip(batches, outputs) if owner is term])
                losses[term.name] += float(loss.detach()) if counts else 0.0
                total = total + term.weight * loss * counts
            total.backward()
        self.optimizer.gather()
        return losses

    def _accumulate(self, terms) -> dict:
        """`_backward`, with smaller micro-batches if memory runs out (`auto_batch`)."""
        return until_it_fits(self, terms) if self.settings.auto_batch else self._backward(terms)

    def _reduce(self, losses: dict):
        """Sums gradients and losses over the processes; each has already divided its part by the whole batch."""
        if self._world == 1:
            return
        together.agree(self.accelerator)
        for grad in () if self.sharded else self.optimizer.parts():  # a sharded backward pass has summed already
            grad.copy_(self.accelerator.reduce(grad, "sum"))
        if losses:
            values = torch.tensor([losses[name] for name in losses], device=self.accelerator.device)
            losses.update(zip(losses, self.accelerator.reduce(values, "sum").tolist()))

    def _gradients(self, terms) -> dict:
        """Puts the step's gradient into the optimizer: one joint pass, or one per term if a flag compares terms."""
        settings = self.settings
        apart = (settings.sam_rho or settings.gradient_surgery) and any(term.name == "forget" for term in terms)
        if not apart:
            losses = self._accumulate(terms)
            self._reduce(losses)
            return losses
        losses, taken = {}, {}
        for term in terms:
            losses.update(self._accumulate([term]))
            self._reduce(losses)
            taken[term.name] = self.optimizer.take_grads()
        if settings.sam_rho:
            taken["forget"] = self._sharpness_aware(terms[0], taken["forget"])
        if settings.gradient_surgery and "retain" in taken:
            taken["forget"] = weights.without_conflict(taken["forget"], taken["retain"])
        for gradient in taken.values():
            for grad, part in zip(self.optimizer.grads, gradient):
                grad.add_(part)
        return losses

    def _sharpness_aware(self, term: Term, gradient: list) -> list:
        """The forget gradient where the forget loss is worst within `sam_rho`. Fan et al. 2025 (arXiv:2502.05374)."""
        here = self.optimizer.snapshot()
        self.optimizer.move(weights.ascent_step(gradient, self.settings.sam_rho))
        self._accumulate([term])
        self._reduce({})
        self.optimizer.restore(here)
        return self.optimizer.take_grads()

    def _regularize(self) -> float:
        """(mu/2) sum_j F_j (theta_j - theta_target,j)^2 and its gradient, on the flat master; l2_sp has F = 1."""
        if self.importance is None:
            return 0.0
        weight, value = self.settings.regularizer_weight, 0.0
        parts = zip(self.optimizer.flats, self.optimizer.grads, self.anchor, self.importance)
        for flat, grad, anchor, importance in parts:
            pull = (flat - anchor) * importance
            grad.add_(pull, alpha=weight)
            value += weight / 2 * float(torch.dot(pull, flat - anchor))
        return value

    def _optimize(self) -> dict:
        """One AdamW step on the stage's terms. Raises `Diverged` when loss or gradient is not finite."""
        stage = self.stage
        number, settings = self.step - stage.first, stage.settings
        self.model.train()
        self.optimizer.begin_step()
        terms = self._terms(number)
        losses = self._gradients(terms)
        loss = sum(term.weight * losses[term.name] for term in terms) + self._regularize()
        norm = self.optimizer.grad_norm()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise Diverged(
                f"step {self.step + 1}: loss {loss:g}, gradient norm {norm:g}: not finite, so the step was not taken "
                "and the last good state is kept. Lower --learning_rate or --forget_weight"
            )
        clip = settings.max_grad_norm
        rate = learning_rate_at(number, stage.steps, settings)
        self.optimizer.step(rate, min(1.0, clip / (norm + 1e-6)) if clip else 1.0)
        tokens = sum(term.tokens for term in terms)
        return {"losses": losses, "loss": loss, "norm": norm, "rate": rate, "tokens": tokens}

    def _train_step(self) -> dict:
        self._advance()
        started, method = time.perf_counter(), self.stage.method
        # each process draws its own dropout noise, and a resumed run draws the same
        self.dropout_seed = (self.settings.seed * 1_000_003 + self.step) * self._world + self._rank
        torch.manual_seed(self.dropout_seed)
        done = method.update(self) if method.update else self._optimize()
        self.step += not self.ended
        if method.after_step:
            method.after_step(self, done["losses"])
        seconds = time.perf_counter() - started
        return {
            "event": "step",
            "step": self.step,
            "epoch": round(self.step / self.steps_per_epoch, 4),
            "loss": done["loss"],
            "forget_loss": done["losses"].get("forget"),
            "retain_loss": done["losses"].get("retain"),
            "learning_rate": done["rate"],
            "grad_norm": done["norm"],
            "tokens_per_second": round(done.get("tokens", 0) / seconds, 1),
            "seconds": round(seconds, 4),
        }

    # -- evaluation points

    def _look(self, known=()) -> dict:
        """The probe of each set, except those in `known`."""
        return {
            name: known[name] if name in known else probe(self.model, rows, self.pad, self.accelerator)
            for name, rows in self._probe_rows.items()
        }

    def criterion(self, seen: dict) -> float:
        """The score that the best state minimises: share still to forget (or over-forgotten) + 5 x retain share lost.

        |L - l_f| / (L - l_f0) + 5 max(0, 1 - p_r / p_r0), and with earlier requests + 5 max(0, l_e0 - l_e) /
        (L - l_f0). L is the mean loss of the holdout rows under the target model (or `level`), l_f the forget probe's
        loss, p_r the retain probe's answer probability, l_e the earlier requests' probe loss; index 0: at the start.
        """
        gap = max(self.level - self.start["forget"]["loss"], 0.1)
        left = abs(self.level - seen["forget"]["loss"]) / gap
        back = max(0.0, self.start["earlier"]["loss"] - seen["earlier"]["loss"]) / gap if "earlier" in seen else 0.0
        return left + 5 * (self._retain_lost(seen) + back)

    def _retain_lost(self, seen: dict) -> float:
        if "retain" not in seen:
            return 0.0
        start = max(self.start["retain"]["answer_probability"], 1e-12)
        return max(0.0, 1 - seen["retain"]["answer_probability"] / start)

    def _evaluation_record(self, seen: dict, started: float) -> dict:
        epoch = round(self.step / self.steps_per_epoch, 4)
        return {"event": "evaluation", "step": self.step, "epoch": epoch, **seen,
                "seconds": round(time.perf_counter() - started, 4)}  # fmt: skip

    def _judge(self, seen: dict) -> dict | None:
        """Keeps the best state; returns a record if the run ends here."""
        if not (self.method.guarded and "forget" in seen) or (self.step and self.stage is not self.stages[-1]):
            return None
        lost, allowed = self._retain_lost(seen), 1 - self.settings.collapse_guard
        wins_back = not self.method.ending.early_stop and self.step < self.total_steps
        limit = max(allowed, LOST_ON_THE_WAY) if wins_back else allowed
        if lost > limit:
            kept = f", the state of step {self.best[1]} is kept" if self.best else ""
            message = f"the retain probe fell below {1 - limit:.0%} of its start: stopped{kept}"
            return {"event": "collapse", "step": self.step, "message": message}
        # the untouched target is kept only in case of a collapse: never return it silently
        score = self.criterion(seen) if self.step else UNTOUCHED
        # a method that ends by itself is meant to go on to its end, so its last state within the limit is the best
        lower = self.best is None or not self.method.ending.best_state or score < self.best[0]
        better = lost <= allowed and lower
        if self.settings.load_best_model_at_end and better:
            held = self.best and self.best[2]  # reused: a second snapshot would be the largest item in memory
            self.best = (score, self.step, self.optimizer.snapshot(held))
        if self.settings.early_stop and self.step and seen["forget"]["loss"] >= self.level:
            loss = seen["forget"]["loss"]
            whose = "of rows never seen" if "holdout" in seen else "that counts as forgotten"
            message = f"the forget rows' loss {loss:.3f} reached the level {self.level:.3f} {whose}"
            return {"event": "early_stop", "step": self.step, "message": message}
        return None

    # -- the loop

    def steps(self) -> Iterator[dict]:
        """Trains; yields step, evaluation, early_stop, collapse, best and scaled records; ends in the best state."""
        if not self.step:
            seen, started = self.start, time.perf_counter()
            self._judge(seen)
            yield from self.news
            self.news = []
            yield self._evaluation_record(seen, started)
        while self.step < self.total_steps and not self.ended:
            record = self._train_step()
            yield from self.news
            self.news = []
            yield record
            if self.step % self.eval_steps == 0 or self.step == self.total_steps or self.ended:
                started = time.perf_counter()
                seen = self._look()
                self.ended = self.ended or self._judge(seen)  # before the record, so a checkpoint there contains it
                yield self._evaluation_record(seen, started)
                if self.ended:
                    yield self.ended
        if self.best is not None:
            score, number, snapshot = self.best
            self.optimizer.restore(snapshot)
            self.best = None if self.method.finish else self.best  # a resumed run must not undo what follows
            which = "the lowest" if self.method.ending.best_state else "the last within --collapse_guard"
            message = f"kept the state of step {number}: forgetting left + 5 x retain lost = {score:.3f}, {which}"
            if score == UNTOUCHED:
                message = "kept the state of step 0, the target itself: nothing was unlearned"
            yield {"event": "best", "step": number, "message": message}
        if self.method.finish and not self.finished:
            started, self.finished = time.perf_counter(), True
            self.method.finish(self)
            yield self._evaluation_record(self._look(), started)
        if self.settings.update_scale != 1:  # weights between target and unlearned (arXiv:2109.01903), or beyond
            self.optimizer.extrapolate(self.anchor, self.settings.update_scale)
            message = f"multiplied the total weight change by {self.settings.update_scale:g}"
            yield {"event": "scaled", "step": self.step, "message": message}

    state, load_state = run_state, load_run_state  # for checkpoints
    diverged = Diverged

    def close(self):
        """Gives the model plain weights in its own type, from the fp32 master.

        After a sharded run `model` is the whole model in the main process and None in the others.
        """
        self.model.eval()
        for holder, name, value in self.dropouts:  # a config holds some, and is saved with the model
            setattr(holder, name, value)
        whole = self.optimizer.release()
        self.model = whole if self.sharded else self.model
        for p in self.frozen:
            p.requires_grad = True
        self.frozen = []


def unlearn(
    model, rows: dict, method: str = "profile_matching", settings: dict | None = None, **options
) -> Iterator[dict]:
    """Unlearns in place: a generator of step records. At its end the model holds the best state in its own type.

    `rows` {"forget", "retain", "holdout"}: encoded sets; `settings` override the method's defaults; options:
    `pad_token_id`, `accelerator`, `references`, `unseen`. Raises `Diverged` before a step that would not be finite.
    """
    run = Unlearning(model, rows, method, settings or {}, **options)
    run.prepare()
    try:
        yield from run.steps()
    finally:
        run.close()
