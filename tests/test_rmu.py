"""rmu: its loss, its control vector, the weights it trains, and activations of a layer."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from random_loops import PAD, prepared, rows_for
from random_models import ARCHITECTURES, random_answers, random_rows, settings, tiny, zero

import unlearning_algorithm as algorithm
from models.forward import packing
from models.forward.layers import MethodError, chosen_layer, decoder_layers
from models.methods import hooks, losses
from models.methods.losses import Context


def steered(lengths, hidden, control):
    answers = random_answers(lengths)
    answers.activation = hidden
    return losses.rmu(answers, Context(control=control), settings())


def test_rmu_is_zero_at_the_control_vector_and_c_squared_over_d_at_zero():
    direction = hooks.steering_direction(32, seed=1)
    assert float(direction.norm()) == pytest.approx(1, rel=1e-6)
    control = 6.5 * direction
    assert zero(steered((2, 3), control.expand(5, 32), control))
    torch.testing.assert_close(steered((2, 3), torch.zeros(5, 32), control), torch.full((5,), 6.5**2 / 32))


def test_rmu_does_not_broadcast_rows_of_other_lengths():
    """OpenUnlearning's rmu divided (b,) by (b, 1) into (b, b), so a row's loss depended on the other rows' lengths."""
    generator = torch.Generator().manual_seed(0)
    hidden, control = torch.randn(9, 8, generator=generator), torch.ones(8)
    together = steered((2, 6, 1), hidden, control)
    apart = torch.cat(
        [steered((n,), part, control) for n, part in zip((2, 6, 1), hidden.split([2, 6, 1]), strict=True)]
    )
    torch.testing.assert_close(together, apart)
    assert together.shape == (9,)


def test_rmu_clips_by_the_norm_of_its_own_gradients():
    """OpenUnlearning's rmu clipped over frozen parameters too."""
    unlearning = prepared("rmu")
    unlearning.optimizer.zero_grad()
    unlearning._accumulate(unlearning._terms(0))
    own = [p.grad for p in unlearning.model.parameters() if p.requires_grad]
    assert unlearning.optimizer.grad_norm() == pytest.approx(float(torch.stack([g.norm() for g in own]).norm()))
    assert all(p.grad is None for p in unlearning.model.parameters() if not p.requires_grad)


def test_rmu_trains_only_the_output_matrices_of_three_layers():
    torch.manual_seed(0)
    config = ARCHITECTURES["llama"]()
    config.num_hidden_layers = 5
    model = type(tiny())(config)
    unlearning = prepared("rmu", model=model, layer=3)
    assert [name for name, p in model.named_parameters() if p.requires_grad] == [
        f"model.layers.{number}.mlp.down_proj.weight" for number in (1, 2, 3)
    ]
    unlearning.close()
    assert all(p.requires_grad for p in model.parameters())


def test_the_default_layer_is_the_published_one():
    deep = SimpleNamespace(layers=torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(32)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.forward.layers.decoder_layers", lambda model: model.layers)
        assert chosen_layer(deep, 0) == 7 and chosen_layer(deep, 12) == 12
        with pytest.raises(MethodError, match="layer 32: the model has 32 layers"):
            chosen_layer(deep, 32)


def test_adaptive_rmu_measures_the_layer():
    rows = rows_for(algorithm.METHODS["adaptive_rmu"])
    unlearning = prepared("adaptive_rmu", rows=rows, per_device_train_batch_size=6)
    with torch.no_grad():
        answers = algorithm.answer_outputs(tiny(), rows["forget"].batch(np.arange(6), PAD), layer=unlearning.layer)
    expected = 5 * float(answers.activation.norm(dim=-1).mean())
    assert float(unlearning.context["control"].norm()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_truncated_forward_pass_gives_the_same_activation_and_gradient(name, packed, monkeypatch):
    if not packed:
        monkeypatch.setattr(packing, "supported", lambda model: False)
    model, batch = tiny(name), random_rows(shared=11).batch([0, 2, 5], PAD)
    outputs = []
    for logits in (True, False):
        model.zero_grad()
        answers = algorithm.answer_outputs(model, batch, layer=0, logits=logits)
        answers.activation.square().sum().backward()
        outputs.append((answers.activation.detach(), [p.grad for p in model.parameters() if p.grad is not None]))
    assert answers.logits.shape[1] == 0
    torch.testing.assert_close(outputs[0][0], outputs[1][0], rtol=0, atol=0)
    for a, b in zip(outputs[0][1], outputs[1][1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert model.config.get_text_config().num_hidden_layers == len(decoder_layers(model))
