"""Proves on a model's first rows that a fast way of computing gives what the plain computation gives.

The plain computation is the model's own forward pass of one row at a time: no padding, the library's attention, no
cache. A few short rows made of the first batch's tokens go through it and through the fastest way. The rows have
unequal lengths, and two of them share a prefix. If logits or gradients differ, the next slower way is tried. The result
belongs to the model object, and a line says once what could not be used and what that costs.

Most models compute right in the fastest ways. So `prove` first tries these together, beside a plain pass of two rows.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from models.forward import generation, packing
from models.forward.answers import WAYS, Way, drops_out, evaluating, outputs_by, unwrapped
from models.store.folders import ModelError, first_line, out_of_memory
from models.store.on_first_use import F, torch

# tokens of the prefix that two rows share, the fewest that packing computes once; of their own ends; of a third prompt
SHARED, TAILS = packing.WORTH_SHARING, (4, 2, 5)
# largest difference of logits as a share of the largest logit, and of a gradient as a share of its largest value
NEAR = {"float32": (1e-4, 1e-3), "float16": (2e-2, 1e-1), "bfloat16": (1e-1, 2.0)}
PRECISE = 2 << 30  # weights of larger models are compared in the type they compute in, with what its rounding explains
# names of config fields with lengths at which a family may change how it computes, and how far beyond them is proved
CHANGES, LONGER = r"window|top_?k|chunk|block_size|compress|original_max_position", 8
CHANGED = 1e-3  # of the largest logit, by which later tokens change the logits of a model that is no causal LM
SMALL = 1 << 18  # weights of this many elements have their gradients compared too: norms, biases, routers
LIMITS = ((3, 1), (2, 2, 1))  # new tokens of the two trial batches of prompts, see `_trial_prompts`
AT_ONCE = ((3, 2, 1), (1, 1))  # the same where the fastest ways are tried together, see `_check_fastest`
TEXTS = dict(zip(WAYS, (
    "packed rows with this tool's norms and rotary embeddings", "packed rows", "padded rows",
    "padded rows with logits at every position", "one row at a time",
)))  # fmt: skip
_said: set = set()  # lines that were printed


class Differs(Exception):
    """A way of computing is not right for this model; the message says by how much."""


@dataclass
class Proofs:
    """What is proved for a model: ways by (packing possible, trial length), ways of generation by trial length.

    `lengths`: the lengths in its config at which it may compute otherwise.
    """

    lengths: list[int]
    ways: dict = field(default_factory=dict)
    generation: dict = field(default_factory=dict)


def proofs(model) -> Proofs:
    """The model's proofs; they stay with the model object."""
    base = unwrapped(model)
    if not hasattr(base, "_unlearning_proofs"):
        base._unlearning_proofs = Proofs(sorted(_changes(base.config.get_text_config().to_dict())))
    return base._unlearning_proofs


# ---------------------------------------------------------------------------------------------------------------------
# Rows


def way_of(model, batch: dict) -> Way:
    """The fastest proved way of `WAYS` for this model and now; proves it on `batch` when first asked.

    Raises ModelError for a model whose logits depend on later tokens or that cannot compute from token ids alone.
    """
    known, (packed, length) = proofs(model).ways, _to_prove(model, batch)
    if (packed, length) not in known:
        ways = [way for way in WAYS if packed or not way.packed]
        known[packed, length] = _first_right_way(model, batch, length, ways)
    return known[packed, length]


def _to_prove(model, batch: dict) -> tuple[bool, int]:
    """(whether packed rows are possible now, tokens of the longest trial row)."""
    base = unwrapped(model)
    return packing.supported(base) and not drops_out(base), _length(base, int(batch["lengths"].max()))


def packs(model, rows, pad_token_id: int) -> bool:
    """Whether these encoded rows will be packed."""
    return len(rows) > 0 and prove_rows(model, rows, pad_token_id).packed


def prove_rows(model, rows, pad_token_id: int) -> Way:
    """`way_of` for these encoded rows."""
    return way_of(model, _first_batch(rows, pad_token_id))


def prove(model, rows, pad_token_id: int):
    """Finds the ways for rows and for generation before they are needed, on the first of these encoded rows."""
    if not _fastest_is_right(model, _first_batch(rows, pad_token_id)):
        prove_rows(model, rows, pad_token_id)
        way_of_generation(model, [rows.prompt_ids(i) for i in range(min(3, len(rows)))], int(rows.lengths.max()))


def _first_batch(rows, pad_token_id: int) -> dict:
    """The longest row, which decides what has to be proved, and the first two."""
    return rows.batch([int(np.argmax(rows.lengths)), *range(min(2, len(rows)))], pad_token_id)


def _length(model, longest: int) -> int:
    """Tokens of the longest trial row for rows of up to `longest` tokens.

    Some families compute otherwise from a length on that their config states: windows, chunks, the most keys that are
    attended to, the context before scaling. Rows beyond such a number are proved beyond it. The position table holds a
    trial row and what is generated after it.
    """
    wanted = max((n + LONGER for n in proofs(model).lengths if n < longest), default=0)
    return max(2, min(max(SHARED + TAILS[0], wanted), generation.positions(model) - max(LIMITS[0])))


def _changes(node) -> Iterator[int]:
    """Yields the lengths in a config at which a family may change how it computes."""
    for key, value in node.items() if isinstance(node, dict) else ():
        yield from _changes(value)
        if isinstance(value, int) and SHARED < value < 1 << 24 and re.search(CHANGES, str(key)):
            yield value


def _trial_rows(rows: list, length: int) -> list[np.ndarray]:
    """Three rows of ids from up to three of the user's, the first of `length` tokens.

    The first two share their first `SHARED` tokens, the third shares nothing and serves as a prompt only.
    """
    rows = [np.resize(np.asarray(row, np.int64), max(len(row), SHARED)) for row in rows]
    begin, (_, *ends) = rows[0][:SHARED], [rows[i % len(rows)][-size:] for i, size in enumerate(TAILS)]
    long = np.resize(rows[0][-max(TAILS[0], min(len(rows[0]), length) - SHARED) :], max(TAILS[0], length - SHARED))
    return [row[:length] for row in (np.concatenate([begin, long]), np.concatenate([begin, ends[0]]), ends[1])]


def _user_rows(batch: dict) -> list[np.ndarray]:
    """Up to three rows of ids of a batch, the longest first."""
    ids, lengths = batch["input_ids"].cpu().numpy(), batch["lengths"].tolist()
    chosen = dict.fromkeys([int(np.argmax(lengths)), *range(min(3, len(lengths)))])
    return [ids[i][: lengths[i]] for i in chosen][:3]


def _trial_batch(batch: dict, length: int) -> dict:
    """The first two `_trial_rows` of a batch, as a batch; loss falls on all tokens but a row's first third."""
    rows, lengths = _trial_rows(_user_rows(batch), length)[:2], batch["lengths"].tolist()
    pad = next((int(row[-1]) for row, length in zip(batch["input_ids"], lengths) if length < len(row)), 0)
    return _batch_of(rows, [max(1, len(row) // 3) for row in rows], pad)


def _batch_of(rows: list, answer_starts: list[int], pad: int = 0) -> dict:
    width = max(map(len, rows))
    padded = np.stack([np.pad(row, (0, width - len(row)), constant_values=pad) for row in rows])
    return {"input_ids": torch.from_numpy(padded), "lengths": torch.tensor([len(row) for row in rows]),
            "answer_starts": torch.tensor(answer_starts), "indices": torch.arange(len(rows))}  # fmt: skip


@dataclass
class _Found:
    """What one way computes: logits of the answer tokens (A, V), gradients of the summed loss by name."""

    logits: object
    gradients: dict


def _first_right_way(model, batch: dict, length: int, ways: list[Way]) -> Way:
    """The first of the ways that is right on trial rows; says what it costs on the user's own batch."""
    reasons = []
    with _aside(model):
        trial = _trial_batch(batch, length)
        truth, _ = _plain(model, trial)
        for way in ways:
            try:
                _compare(_by_way(way, model, trial), truth, model)
            except Exception as error:
                reasons.append((way, _reason(error)))
            else:
                break
        else:
            raise ModelError(f"{_name(model)}: no way of computing agrees with its own forward pass ({reasons[-1][1]})")
    if reasons:
        _say(model, TEXTS[reasons[0][0]], reasons[0][1], f"{TEXTS[way]} instead: {_cost(way, batch)}")
    return way


def _cost(way: Way, batch: dict) -> str:
    """What a way costs on the first batch beside packed rows."""
    lengths, size = batch["lengths"], batch["input_ids"].numel()
    if way.packed:
        return "a step of a small model takes about a twentieth longer"
    if way.alone:
        return f"{len(lengths)} forward passes instead of 1 for the first {len(lengths)} rows"
    if not way.narrow:
        wanted = int((lengths - batch["answer_starts"]).sum())
        return f"logits at all {size} positions of the first batch instead of {wanted}"
    rows = [ids[:length].numpy() for ids, length in zip(batch["input_ids"], lengths.tolist())]
    return f"{size / len(packing.lay_out(rows).ids):.1f} times as many tokens in the first batch"


def _say(model, cannot: str, why: str, instead: str):
    """Prints once per class and reason which way cannot be used, why, and what the way taken costs."""
    text = f"note: {_name(model)}: {cannot} cannot be used ({why}); {instead}"
    if text not in _said:
        _said.add(text)
        print(text, flush=True)


def _name(model) -> str:
    return type(unwrapped(model)).__name__


@contextlib.contextmanager
def _aside(model):
    """Computes with gradients in evaluation mode and leaves the model and the random state as they were."""
    was_training = model.training
    devices, graded = [next(model.parameters()).device], not _sharded(model)
    with torch.inference_mode(False), torch.random.fork_rng([d for d in devices if d.type == "cuda"]):
        try:
            with evaluating(model), _precise(model), torch.set_grad_enabled(graded):
                yield
        finally:
            model.train(was_training)


@contextlib.contextmanager
def _precise(model):
    """Computes in float32 where memory allows: in bf16 equal ways differ by as much as wrong ones.

    Measured at 135M: bf16 gradients of norm weights differ by more than their largest value, float32 ones not at all.
    """
    halves = (torch.bfloat16, torch.float16)
    weights = [(p, p.data) for p in model.parameters() if p.dtype in halves]
    if not weights or _sharded(model) or sum(data.numel() for _, data in weights) > PRECISE:
        yield
        return
    for weight, data in weights:
        weight.data = data.float()
    try:
        yield
    finally:
        for weight, data in weights:
            weight.data = data


def _reason(error: Exception) -> str:
    """What a failed way is said to have done. Raises the error again if memory ran out."""
    if out_of_memory(error):
        raise error
    return str(error) if isinstance(error, Differs) else f"{type(error).__name__}: {first_line(error)}"


def plain_logits(model, ids):
    """(T, V) logits of one row of ids (T,) by the model's own forward pass. Raises ModelError if it has none."""
    return _own_logits(model, torch.as_tensor(ids)[None])[0]


def _own_logits(model, ids):
    """(B, T, V) logits of rows of equal length (B, T)."""
    device = next(model.parameters()).device
    try:
        logits = model(input_ids=ids.to(device), use_cache=False).logits
    except Exception as error:
        if out_of_memory(error):
            raise
        raise _unfit(model, f"{type(error).__name__}: {first_line(error)}") from error
    if logits.ndim != 3 or logits.shape[:2] != ids.shape:
        raise _unfit(model, f"{ids.shape[1]} tokens give logits of shape {tuple(logits.shape[1:])}")
    return logits


def _unfit(model, why: str) -> ModelError:
    return ModelError(f"{_name(model)} cannot compute from token ids alone ({why}); unlearning needs a causal LM")


def _plain(model, batch: dict, together: bool = False) -> tuple[_Found, list]:
    """The truth, and the logits (T, V) of each row. Raises ModelError unless equal prefixes have equal logits.

    `together`: in one pass, without a mask; what fills up a row comes after its tokens, so they do not see it.
    """
    near, _ = _nearness(model)
    with _nudged(model, batch) as asked:
        ids, lengths = batch["input_ids"], batch["lengths"].tolist()
        rows = _own_logits(model, ids) if together else [plain_logits(model, ids[i][:n]) for i, n in enumerate(lengths)]
        first, second = (logits[:SHARED].detach() for logits in rows[:2])
        share = _apart(first, second)
        if share > max(CHANGED, near):
            raise ModelError(
                f"{_name(model)} is not a causal LM: the logits of a token change with later tokens (by {share:.1g} "
                "of the largest); unlearning needs a causal LM"
            )
        loss, kept = 0.0, []
        for logits, ids, start, length in zip(rows, batch["input_ids"], batch["answer_starts"], batch["lengths"]):
            kept.append(logits[start - 1 : length - 1])
            loss = loss + F.cross_entropy(kept[-1].float(), ids[start:length].to(logits.device), reduction="sum")
        return _Found(torch.cat(kept).detach(), asked.gradients(loss)), [logits.detach() for logits in rows]


def _by_way(way: Way, model, batch: dict) -> _Found:
    with _nudged(model, batch) as asked:
        answers = outputs_by(way, model, batch)
        return _Found(answers.logits.detach(), asked.gradients(answers.token_nll().sum()))


def _sharded(model) -> bool:
    """Whether this process holds parts of the weights (FSDP), so that a gradient cannot be taken aside."""
    return hasattr(next(model.parameters()), "full_tensor")


class _Asked:
    """What gradients are taken of: a shift of each token's embedding, and the model's small weights."""

    def __init__(self, model):
        self.shift, self.weights = None, {}
        tables = {id(p) for m in model.modules() if isinstance(m, torch.nn.Embedding) for p in m.parameters()}
        if torch.is_grad_enabled():  # the gradient of a table is that of the shift; the optimizer collects its rows
            self.weights = {name: p for name, p in model.named_parameters()
                            if p.requires_grad and p.numel() <= SMALL and id(p) not in tables}  # fmt: skip

    def gradients(self, loss) -> dict:
        """{name: gradient}; the shift's is called "embeddings"."""
        asked = {**({} if self.shift is None else {"embeddings": self.shift}), **self.weights}
        if not asked:
            return {}
        found = torch.autograd.grad(loss, list(asked.values()), allow_unused=True)
        return {name: torch.zeros_like(p) if grad is None else grad for (name, p), grad in zip(asked.items(), found)}


@contextlib.contextmanager
def _nudged(model, batch: dict):
    """Adds a zero shift (U, d), one per distinct token, to the embeddings; yields its `_Asked`.

    Its gradient passes through every layer, and is the same for rows in any layout.
    """
    base = unwrapped(model)
    asked = _Asked(base)
    known = torch.unique(F.pad(batch["input_ids"].flatten(), (0, 1)))  # 0 fills up a packed batch
    known = known.to(next(base.parameters()).device)

    def shifted(_module, args, output):
        ids = args[0] if args else None
        if not (torch.is_grad_enabled() and isinstance(ids, torch.Tensor) and output.shape[:-1] == ids.shape):
            return None
        if asked.shift is None:
            asked.shift = output.new_zeros(len(known), output.shape[-1]).requires_grad_()
        return output + asked.shift[torch.searchsorted(known, ids).clamp(max=len(known) - 1)]

    handle = base.get_input_embeddings().register_forward_hook(shifted)
    try:
        yield asked
    finally:
        handle.remove()


def _compare(found: _Found, truth: _Found, model):
    """Raises Differs if logits or gradients are further apart than rounding explains."""
    near, near_gradient = _nearness(model)
    apart = _apart(found.logits, truth.logits)
    if apart > near:
        raise Differs(f"logits differ by {apart:.1g} of the largest")
    whole = max((_size(gradient) for gradient in truth.gradients.values()), default=1.0)
    for name, gradient in truth.gradients.items():
        apart = float((found.gradients[name] - gradient).abs().max())
        if not apart <= near_gradient * (_size(gradient) + 0.01 * whole) and bool(gradient.isfinite().all()):
            raise Differs(f"the gradient of {name} differs by {apart / _size(gradient):.1g} of its largest value")


def _nearness(model) -> tuple[float, float]:
    return NEAR.get(str(unwrapped(model).dtype).removeprefix("torch."), NEAR["bfloat16"])


def _apart(found, truth) -> float:
    """The largest difference as a share of the largest value; 0 if the truth is not finite, as a broken model's."""
    if found.shape != truth.shape:
        raise Differs(f"logits have the shape {tuple(found.shape)}, not {tuple(truth.shape)}")
    if not bool(truth.isfinite().all()):
        return 0.0
    apart = float((found - truth).abs().max()) / _size(truth)
    return math.inf if math.isnan(apart) else apart


def _size(values) -> float:
    return float(values.abs().max()) or 1.0


def rebuilds(model, head, answers, tokens: int) -> bool:
    """Whether a frozen copy of the output head gives these answers' logits from its input.

    If not, a line says that the logits of all `tokens` answer tokens are kept instead.
    """
    near, _ = _nearness(model)
    try:
        right = answers.hidden is not None and _apart(head(answers.hidden), answers.logits) <= near
    except Differs:
        right = False
    if not right:
        size = tokens * answers.logits[:1].numel() * answers.logits.element_size() / 1e6
        _say(model, "a frozen copy of the output head", "it gives other logits", f"the logits are kept: {size:,.0f} MB")
    return right


# ---------------------------------------------------------------------------------------------------------------------
# The fastest ways, together


def _fastest_is_right(model, batch: dict) -> bool:
    """Whether the fastest ways for rows and for generation were just shown to be right; notes it if they were.

    Generation lengthens the trial prompts. One plain forward pass of the lengthened rows then is the truth for both. It
    computes two rows at once, without padding: a way that disagrees with it is tried again beside one row at a time.
    """
    known, (packed, length) = proofs(model), _to_prove(model, batch)
    if not packed or length < SHARED + TAILS[0] or _sharded(model):
        return False
    if (packed, length) in known.ways or length in known.generation:
        return False
    way = next(iter(generation.WAYS))
    with _aside(model):
        try:
            _check_fastest(model, _user_rows(batch), length, way)
        except Exception as error:
            _reason(error)
            return False
    known.ways[packed, length], known.generation[length] = WAYS[0], way
    return True


def _check_fastest(model, rows: list, length: int, way: str):
    """Raises unless the fastest ways agree with a plain forward pass.

    Two prompts with a common prefix, one of them twice, are lengthened in two steps. Shorter ones are padded on the
    left, and their prefix is not shared. They get one token each, for nothing but the place of the padding differs.
    """
    first, second, _ = _trial_rows(rows, length)
    prompts = [first[: length - 2], second[: SHARED + 1]]
    batches = [(way, [*prompts, prompts[1]]), ("padded", [first[: SHARED // 2], second[: SHARED // 2 - 1]])]
    with torch.no_grad():
        steps = [_steps(model, by, given, limits) for (by, given), limits in zip(batches, AT_ONCE)]
    rows = [np.concatenate([prompt, tokens[:-1]]) for prompt, tokens in zip(prompts, steps[0][0])]
    trial = _batch_of(rows, [max(1, len(row) // 3) for row in rows], int(first[0]))
    truth, logits = _plain(model, trial, together=length == SHARED + TAILS[0])  # a long row would be computed twice
    for (_, given), (said, seen) in zip(batches, steps):
        for row, prompt, tokens, found in zip((0, 1, 1), given, said, seen):
            begin = len(prompt) - 1
            _check_steps(model, tokens, found, logits[row][begin : begin + len(tokens)])
    _compare(_by_way(WAYS[0], model, trial), truth, model)


# ---------------------------------------------------------------------------------------------------------------------
# Generation


def way_of_generation(model, prompts: list, longest: int) -> str:
    """The fastest of `generation.WAYS` that gives the tokens of a greedy loop without cache; proves it when new.

    A way passes if a forward pass without cache over each prompt with its generated tokens has the logits with which
    they were chosen. Tokens that the model finds equally likely therefore need not be the same ones. `longest`: tokens
    of the longest prompt with its answer.
    """
    base = unwrapped(model)
    length, known = _length(base, longest), proofs(model).generation
    if length in known:
        return known[length]
    reasons = []
    with torch.inference_mode(False):
        rows = _trial_rows(prompts[:3], length)
        by = way_of(model, _batch_of(rows, [1] * len(rows)))  # proved: it stands for the plain forward pass
    with _aside(model), torch.no_grad():
        for way in generation.WAYS:
            try:
                _check_generation(model, way, by, _trial_prompts(rows))
            except Exception as error:
                reasons.append((way, _reason(error)))
            else:
                break
    if reasons:
        name, cost = generation.WAYS[way]
        _say(model, generation.WAYS[reasons[0][0]][0], reasons[0][1], f"{name} instead: {cost}")
    known[length] = way
    return way


def _trial_prompts(rows: list) -> list[tuple]:
    """Batches of (prompts, limits): two prompts with a shared prefix; two without, one of them twice."""
    first, second, third = rows
    return [([first, second], LIMITS[0]), ([second, third, third], LIMITS[1])]


def _check_generation(model, way: str, by: Way, batches: list):
    """Raises Differs if a way's logits are not those of forward passes without cache, which the way `by` makes."""
    steps, rows = [], {}
    for prompts, limits in batches:
        for prompt, tokens, logits in zip(prompts, *_steps(model, way, prompts, limits)):
            row = np.concatenate([prompt, tokens]).astype(np.int64)
            steps.append((rows.setdefault(row.tobytes(), (len(rows), row, len(prompt)))[0], tokens, logits))
    answers = outputs_by(by, model, _batch_of([row for _, row, _ in rows.values()], [at for _, _, at in rows.values()]))
    truths = answers.logits.split(answers.lengths().long().tolist())
    for number, tokens, logits in steps:
        _check_steps(model, tokens, logits, truths[number])


def _steps(model, way: str, prompts: list, limits: tuple) -> tuple[list, list]:
    """(the tokens that follow each prompt, the logits (limit, V) with which they were chosen)."""
    seen: list = [[] for _ in prompts]
    said = generation.by_way(way, model, prompts, list(limits), set(), seen=seen)
    for tokens, limit, logits in zip(said, limits, seen):
        if len(tokens) != limit or len(logits) < limit:
            raise Differs(f"{len(tokens)} of {limit} tokens came")
    return said, [torch.stack(logits[:limit]) for limit, logits in zip(limits, seen)]


def _check_steps(model, tokens: list[int], logits, truth):
    """Raises Differs unless the logits (n, V) of n new tokens are the true ones, and no token has much larger ones."""
    near, _ = _nearness(model)
    if (apart := _apart(logits, truth)) > near:
        raise Differs(f"its logits differ by {apart:.1g} of the largest from those without a cache")
    chosen = truth.gather(1, torch.tensor(tokens, device=truth.device)[:, None])[:, 0]
    if bool((truth.max(-1).values - chosen > 2 * near * _size(truth)).any()):
        raise Differs("it chooses other tokens than the largest logits")
