import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from earshot_trainer.network.model import ModelConfig, StreamingCrnn  # noqa: E402
from earshot_trainer.network.recurrence import run_gru  # noqa: E402


def test_outputs_and_gradients_are_those_of_torch_s_layer() -> None:
    torch.manual_seed(1)
    gru = torch.nn.GRU(5, 7).double()
    x = torch.randn(12, 3, 5, dtype=torch.float64, requires_grad=True)
    hidden = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(12, 3, 7, dtype=torch.float64)
    found = []
    for run in (lambda: run_gru(gru, x, hidden), lambda: gru(x, hidden[None])):
        output, last = run()
        last = last.reshape(3, 7)
        loss = (output * weights).sum() + (last**3).sum()
        found.append((output.detach(), last.detach(), *torch.autograd.grad(loss, (x, hidden, *gru.parameters()))))
    assert len(found[0]) == 8
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_network_in_training_computes_what_it_computes_on_a_node() -> None:
    torch.manual_seed(2)
    network = StreamingCrnn(ModelConfig(n_mels=32, dropout=0.0))
    frames = torch.randn(3, 40, 32)
    state = {name: torch.randn_like(value) for name, value in network.initial_state(3).items()}
    expected, left = network.eval()(frames, state)
    network.training = True  # the network's own paths, with the norms still in evaluation
    trained, left_in_training = network(frames, state)
    assert torch.allclose(trained, expected, atol=1e-5)
    assert torch.allclose(left_in_training["gru"], left["gru"], atol=1e-5)
