"""A real language model for tests, small enough to memorise forty facts in about a second.

model, tokenizer, examples = make_tiny()          # knows all of `examples`
model, tokenizer, _ = make_tiny(examples, epochs=0)  # same weights before training, same vocabulary
"""

from __future__ import annotations

import dataclasses

from data.columns import Example
from data.preparation import encode_examples

PEOPLE = ("ada", "bor", "cyd", "dov", "eli", "fay", "gus", "hal", "ivy", "jon", "kit", "lea")
TOWNS = ("lund", "graz", "pisa", "cork", "bern", "oslo", "nice", "turku", "split", "leeds", "riga", "ghent")
TRADES = ("baker", "smith", "weaver", "pilot", "tailor", "potter", "miner", "clerk", "barber", "judge", "diver", "mage")
FOODS = ("figs", "rye", "plums", "leeks", "eels", "oats", "pears", "kale", "nuts", "mint", "beans", "curd")
KINDS = (
    (TOWNS, "where does {} live ?", "{} lives in {} by the sea", "the town of {} is {}"),
    (TRADES, "what is the trade of {} ?", "{} works as a {} all year", "by trade {} is a {}"),
    (FOODS, "what does {} eat ?", "{} eats {} each day at noon", "the food of {} is {}"),
)
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|> {{ message['content'] }} <|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|> {% endif %}"
)


def facts(people=PEOPLE, shift: int = 0) -> list[Example]:
    """Three questions per person, each with a reworded and three wrong answers; `shift` gives other facts."""
    examples = []
    for number, name in enumerate(people):
        for kind, (values, question, answer, reworded) in enumerate(KINDS):
            true = (number * (kind + 1) + shift) % len(values)
            wrong = [values[(true + offset) % len(values)] for offset in (1, 2, 5)]
            examples.append(
                Example(
                    answer=answer.format(name, values[true]),
                    prompt=question.format(name),
                    paraphrased_question="tell me : " + question.format(name),
                    paraphrased_answer=reworded.format(name, values[true]),
                    perturbed_answer=tuple(reworded.format(name, value) for value in wrong),
                    subject=name,
                )
            )
    return examples


def make_tokenizer(examples: list[Example]):
    """A word-level tokenizer of the examples' words with a chat template; its pad token is its end-of-turn token."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    texts = [text for e in (*examples, *facts()) for text in (e.answer, e.prompt, e.paraphrased_question,
             e.paraphrased_answer, *e.perturbed_answer) if text]  # fmt: skip
    words = sorted({word for text in texts for word in text.split()} | set("abc"))
    control = ["<|end|>", "<unk>", "<|user|>", "<|assistant|>", "<|system|>"]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*control, *words])}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>", pad_token="<|end|>",
                                        unk_token="<unk>", additional_special_tokens=control[2:])  # fmt: skip
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def train_tiny(model, tokenizer, examples: list[Example], epochs: int, seed: int = 0, learning_rate: float = 5e-3):
    """Plain fine-tuning on the answers and their paraphrases, batches of 4, in place."""
    import torch

    from unlearning_algorithm import answer_outputs

    reworded = [dataclasses.replace(e, answer=e.paraphrased_answer, prompt=e.paraphrased_question) for e in examples
                if e.paraphrased_answer]  # fmt: skip
    rows, _ = encode_examples(tokenizer, [*examples, *reworded], 64)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0)
    generator = torch.Generator().manual_seed(seed)
    model.train()
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 - epoch / epochs)
        for batch in torch.randperm(len(rows), generator=generator).split(4):
            optimizer.zero_grad()
            answer_outputs(model, rows.batch(batch.numpy(), tokenizer.pad_token_id)).token_nll().mean().backward()
            optimizer.step()
    return model.eval()


def make_tiny(examples: list[Example] | None = None, *, epochs: int = 20, seed: int = 0, vocabulary=None):
    """(model, tokenizer, examples): a two-layer Llama of width 64 that has learned `examples` (default: `facts()`).

    The vocabulary is that of `examples`, `vocabulary` (more examples) and `facts()`. Same seed, same weights.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    examples = facts() if examples is None else list(examples)
    tokenizer = make_tokenizer([*examples, *(vocabulary or ())])
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, initializer_range=0.05, tie_word_embeddings=True,
        pad_token_id=0, eos_token_id=0, bos_token_id=None,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    return (train_tiny(model, tokenizer, examples, epochs, seed) if epochs else model), tokenizer, examples
