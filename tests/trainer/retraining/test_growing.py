"""An output layer that grows: what it knew stays as it was."""

import json

import pytest

pytestmark = pytest.mark.torch


def test_known_rows_stay_and_new_ones_say_that_their_label_is_rare() -> None:
    import torch

    from earshot_trainer.network.model import ModelConfig, StreamingCrnn
    from earshot_trainer.retraining.growing import RARE_LOG_ODDS, grow

    torch.manual_seed(1)
    network = StreamingCrnn(ModelConfig(labels=("siren", "horn"))).eval()
    frames = torch.randn(2, 40, 80)
    before = network(frames)[0]
    after = grow(network, 3)(frames)[0]
    assert after.shape[2] == 5
    assert torch.equal(after[:, :, :2], before)
    assert bool((after[:, :, 2:] == RARE_LOG_ODDS).all())


def test_grown_network_is_that_of_a_checkpoint_with_all_labels() -> None:
    import torch

    from earshot_trainer.network.model import ModelConfig, StreamingCrnn
    from earshot_trainer.retraining.growing import GrownOutput, grow, joined, with_labels

    torch.manual_seed(1)
    config = ModelConfig()
    grown = grow(StreamingCrnn(config).eval(), 1)
    assert isinstance(grown.output, GrownOutput)
    torch.nn.init.normal_(grown.output.added.weight)
    values = {"config": config.to_dict(), "recipe": json.dumps({"name": "x", "model": {"labels": ["siren"]}})}
    described = with_labels(values, ("doorbell",))
    assert json.loads(described["recipe"]) == {"name": "x", "model": {"labels": ["siren", "doorbell"]}}

    plain = StreamingCrnn(ModelConfig.from_dict(described["config"])).eval()
    plain.load_state_dict(joined(grown.state_dict()))
    frames = torch.randn(1, 40, 80)
    assert torch.allclose(plain(frames)[0], grown(frames)[0], atol=1e-6)


def test_network_that_gets_no_label_is_left_alone() -> None:
    from earshot_trainer.network.model import ModelConfig, StreamingCrnn
    from earshot_trainer.retraining.growing import grow, joined

    network = StreamingCrnn(ModelConfig())
    output = network.output
    assert grow(network, 0).output is output
    assert set(joined(network.state_dict())) == set(network.state_dict())
