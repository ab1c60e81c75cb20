"""Small random models, rows and answers for tests, and the plain loss of rows."""

from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
import transformers

import unlearning_algorithm as algorithm
from data.preparation import EncodedRows
from models.forward.answers import Answers
from models.forward.reference import Reference
from models.methods.corruption import Corrupted

VOCABULARY = 53


def encoded(rows, starts):
    lengths = [len(row) for row in rows]
    return EncodedRows(np.concatenate(rows), np.concatenate([[0], np.cumsum(lengths)]), starts, np.arange(len(rows)))


def random_rows(count=6, seed=0, shared=0):
    draw = np.random.default_rng(seed)
    opening = draw.integers(3, VOCABULARY, shared)
    lengths = draw.integers(6, 20, count)
    rows = [np.concatenate([opening, draw.integers(3, VOCABULARY, length)]) for length in lengths]
    return encoded(rows, [shared + int(draw.integers(1, length - 2)) for length in lengths])


def random_answers(lengths=(3, 5, 1), seed=0, requires_grad=True):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(sum(lengths), VOCABULARY, generator=generator, dtype=torch.float32) * 2
    labels = torch.randint(0, VOCABULARY, (sum(lengths),), generator=generator)
    row = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    return Answers(logits.requires_grad_(requires_grad), labels, row, len(lengths), torch.arange(len(lengths)))


DECLARED = {name: setting.default for m in algorithm.METHODS.values() for name, setting in m.own_settings.items()}


def settings(**values):
    """All settings of methods at their declared defaults, except `values`."""
    return SimpleNamespace(**{**DECLARED, **values})


def own_reference(answers):
    """A reference with the model's current outputs."""
    offsets = np.concatenate([[0], np.cumsum(answers.lengths().long().numpy())])
    return Reference(answers.sequence_nll().detach(), answers.logits.detach().clone(), offsets, lambda hidden: hidden)


def hidden_run(seed, named=()):
    """What the model says without the name: `own_reference` of other answers; `named`: answer tokens of the name."""
    reference = own_reference(random_answers(seed=seed))
    marks = torch.zeros(len(reference.hidden), dtype=torch.bool)
    marks[list(named)] = True
    return Corrupted(**{**vars(reference), "named": marks})


def gradient(values, answers):
    return torch.autograd.grad(values, answers.logits, retain_graph=True)[0]


ARCHITECTURES = {
    "llama": lambda: transformers.LlamaConfig(num_key_value_heads=2, **SIZES),
    "qwen2": lambda: transformers.Qwen2Config(num_key_value_heads=2, **SIZES),
    "qwen3": lambda: transformers.Qwen3Config(num_key_value_heads=2, head_dim=8, **SIZES),
    "gemma2": lambda: transformers.Gemma2Config(
        num_key_value_heads=2, head_dim=8, sliding_window=6, final_logit_softcapping=5.0, attn_logit_softcapping=3.0,
        **SIZES
    ),
    "gemma3": lambda: transformers.Gemma3TextConfig(
        num_key_value_heads=2, head_dim=8, sliding_window=6,
        layer_types=["sliding_attention", "full_attention"], **SIZES
    ),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(**SIZES),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
        bos_token_id=1, eos_token_id=2,
    ),
    "cohere": lambda: transformers.CohereConfig(num_key_value_heads=2, logit_scale=0.25, **SIZES),
}  # fmt: skip
SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
}  # fmt: skip


def tiny(name="llama", seed=0):
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(ARCHITECTURES[name]())
    for parameter in model.parameters():
        parameter.data += torch.randn_like(parameter) * 0.1
    return model.eval()


def plain_losses(model, rows):
    """The oracle: one row at a time, logits everywhere, the model's own forward."""
    found = []
    for i in range(len(rows)):
        ids = torch.tensor(rows.ids_of(i), dtype=torch.long)
        logits = model(input_ids=ids[None]).logits[0, :-1]
        start = int(rows.answer_starts[i])
        found.append(F.cross_entropy(logits[start - 1 :].float(), ids[start:], reduction="sum"))
    return torch.stack(found)


def zero(values) -> bool:
    return float(values.detach().abs().max()) < 1e-6
