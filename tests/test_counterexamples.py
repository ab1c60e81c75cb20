"""Counterexamples: the question they answer, what they must not contain, and what is refused."""

import pytest

from data import augmentation
from data.columns import DataError, Example

EXAMPLES = [
    Example(
        answer=f"Person {i} was born in the old town of Lund in Sweden .",
        prompt=f"Where was person {i} born ?",
        paraphrased_question=f"Birthplace of person {i} ?",
        paraphrased_answer=f"The birthplace of person {i} is Lund .",
        perturbed_answer=(f"The birthplace of person {i} is Graz .", f"The birthplace of person {i} is Oslo ."),
    )
    for i in range(4)
]
RAW = [Example(answer=" ".join(f"w{(7 * i + 3 * j) % 97}" for j in range(60))) for i in range(3)]


def evaluation_strings(examples):
    return {
        text for e in examples for text in (e.paraphrased_question, e.paraphrased_answer, *e.perturbed_answer) if text
    }


def parrot(prompts, count, max_new_tokens, seed):
    """A model that says the evaluation's strings, the true answers, and sometimes something else."""
    said = sorted(evaluation_strings(EXAMPLES)) + [e.answer for e in EXAMPLES] + ["", "  ", "In Cork , of all places ."]
    return [[said[(5 * seed + 3 * k + n) % len(said)] for k in range(count)] for n in range(len(prompts))]


def make(name, examples):
    source = augmentation.AUGMENTATIONS[name]
    return source.make(examples, 0, **({"sample": parrot, "count": 8} if source.needs_model else {}))


@pytest.mark.parametrize("name", augmentation.AUGMENTATIONS)
def test_no_evaluation_string_enters_the_training_rows(name):
    made = make(name, EXAMPLES)
    forbidden = evaluation_strings(EXAMPLES)
    for example in made.examples:
        assert not {example.answer, example.prompt} & forbidden
        assert not evaluation_strings([example])
    assert len(made.examples) == len(made.of) > 0 and set(made.of) <= set(range(4))


OTHER_TEXTS = sorted({*augmentation.AUGMENTATIONS} - {"other_names", "in_other_order"})  # tokens; the rows too


@pytest.mark.parametrize("name", OTHER_TEXTS)
def test_counterexamples_keep_the_question_of_their_example(name):
    made = make(name, EXAMPLES)
    for example, number in zip(made.examples, made.of, strict=True):
        assert example.prompt == EXAMPLES[number].prompt
        assert example.answer != EXAMPLES[number].answer


def test_refusals_of_one_question_differ():
    made = augmentation.refusals(EXAMPLES, seed=1)
    for number in range(4):
        said = [e.answer for e, of in zip(made.examples, made.of, strict=True) if of == number]
        assert len(said) == len(set(said)) == augmentation.REFUSALS_PER_QUESTION
    assert made == augmentation.refusals(EXAMPLES, seed=1) != augmentation.refusals(EXAMPLES, seed=2)


@pytest.mark.parametrize("name", ["refusals", "one_refusal"])
def test_a_raw_text_cannot_be_refused(name):
    with pytest.raises(DataError, match="raw text has no question to refuse"):
        augmentation.AUGMENTATIONS[name].make(RAW, 0)


def test_a_continuation_shares_no_span_of_eight_tokens_with_the_forget_text():
    def sample(prompts, count, max_new_tokens, seed):
        assert all(len(p.answer.split()) == 20 for p in prompts)
        own = [next(raw for raw in RAW if raw.answer.startswith(p.answer)) for p in prompts]
        learned = [" ".join(raw.answer.split()[20:40]) for raw in own]
        short = [" ".join(raw.answer.split()[20:27]) + " and so on" for raw in own]
        return [[a, b, "quite another end", "quite another end"] for a, b in zip(learned, short, strict=True)]

    made = augmentation.alternates(RAW, 0, sample, count=4)
    assert made.of == [0, 0, 1, 1, 2, 2]
    spans = {tuple(raw.answer.split()[i : i + 8]) for raw in RAW for i in range(53)}
    for example, number in zip(made.examples, made.of, strict=True):
        start = " ".join(RAW[number].answer.split()[:20])
        assert example.prompt is None and example.answer.startswith(start + " ")
        rest = example.answer[len(start) :].split()
        assert not {tuple(rest[i : i + 8]) for i in range(len(rest))} & spans


def test_a_model_without_alternate_answers_is_reported():
    with pytest.raises(DataError, match="no alternative to prefer"):
        augmentation.alternates(EXAMPLES, 0, lambda prompts, count, *_: [[p.answer] * count for p in prompts])


def test_long_raw_texts_become_passages_and_questions_stay():
    cut = augmentation.passages([*RAW, EXAMPLES[0]], words=25)
    assert [len(e.answer.split()) for e in cut[:9]] == [20] * 9 and cut[9] is EXAMPLES[0]
    assert " ".join(e.answer for e in cut[:3]) == RAW[0].answer


def test_encoding_keeps_the_number_of_each_counterexamples_example():
    from tiny_models import make_tokenizer

    made = augmentation.refusals(EXAMPLES[::-1], seed=0)
    rows, _ = made.encode(make_tokenizer(EXAMPLES), 64)
    assert rows.example_index.tolist() == made.of
