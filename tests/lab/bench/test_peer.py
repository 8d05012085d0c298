"""The peer computes the same function from the same weights: outputs, losses, all gradients."""

import dataclasses

import numpy as np
import pytest

from vqv2.autodiff import Tensor
from vqv2.lab.bench import kernels
from vqv2.lab.bench import train as ours
from vqv2.lab.bench.cases import training_case, training_data

torch = pytest.importorskip("torch", reason="the peer needs PyTorch: pip install -e '.[bench]'")

from vqv2.lab.bench.peer import kernels as peer_kernels  # noqa: E402  (they import PyTorch)
from vqv2.lab.bench.peer import train as peer  # noqa: E402
from vqv2.lab.bench.peer import weights  # noqa: E402

PRIORS = ("prior", "conditioned prior", "full-size prior")
DIFFERENTIABLE = [name for name in kernels.CASES["tiny"] if name not in kernels.FORWARD_ONLY]


def close(actual, expected, tolerance=2e-5, floor=0.0):
    """Equal within float32 rounding, relative to the largest number of the array (or `floor`)."""
    scale = max(float(np.abs(expected).max()), floor)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


def pair(case):
    """(our model, the peer's with our weights), all weights random, biases too."""
    rng = np.random.default_rng(1)
    ours_model, peer_model = ours.build_model(case), peer.build_model(case)
    for parameter in ours_model.parameters().values():
        if parameter.ndim == 1:
            parameter.array[...] = rng.normal(0.5, 0.2, parameter.shape)
    for quantizer in getattr(ours_model, "quantizers", ()):
        quantizer.vectors[...] = rng.normal(size=quantizer.vectors.shape)
    weights.load(peer_model, ours_model.state())
    return ours_model, peer_model


def assert_same_gradients(ours_model, peer_model):
    shapes = {name: p.shape for name, p in ours_model.parameters().items()}
    found = weights.gradients(peer_model, shapes)
    largest = max(float(np.abs(p.grad).max()) for p in ours_model.parameters().values())
    for name, parameter in ours_model.parameters().items():
        # The floor is for gradients that are zero but for rounding, such as that of keys' biases.
        close(found[name], parameter.grad, 1e-4, floor=1e-3 * largest)


def test_autoencoder():
    case = training_case("autoencoder", scale="tiny")
    ours_model, peer_model = pair(case)
    data = training_data(case)
    images = peer.to_tensors(case, data)
    peer_model.eval()  # the codebooks stay as they are
    expected = ours_model(*data)
    image, codes, _ = peer_model(*images)
    close(image.detach().permute(0, 2, 3, 1).numpy(), expected.image.array)
    for peer_codes, our_codes in zip(codes, expected.codes, strict=True):
        np.testing.assert_array_equal(peer_codes.numpy(), our_codes)
    loss, _, _ = ours_model.loss(*data)
    peer_loss = peer_model.loss(*images)
    assert peer_loss.item() == pytest.approx(loss.item(), rel=1e-5)
    loss.backward()
    peer_loss.backward()
    assert_same_gradients(ours_model, peer_model)


@pytest.mark.parametrize("name", PRIORS)
def test_prior(name):
    case = training_case(name, scale="tiny", settings={"dropout": 0.0})
    ours_model, peer_model = pair(case)
    codes, label, coarser = training_data(case)
    rng = np.random.default_rng(0)  # training, for the batch statistics; nothing is dropped
    logits = ours_model(codes, label, coarser, rng).array
    data = peer.to_tensors(case, (codes, label, coarser))
    close(peer_model(*data).detach().permute(0, 2, 3, 1).numpy(), logits)
    loss, peer_loss = ours_model.loss(codes, label, coarser, rng), peer_model.loss(*data)
    assert peer_loss.item() == pytest.approx(loss.item(), rel=1e-5)
    loss.backward()
    peer_loss.backward()
    assert_same_gradients(ours_model, peer_model)


def test_options_of_the_prior():
    settings = {"dropout": 0.0, "second_kernel": 3, "condition_output_stack": True}
    case = training_case("conditioned prior", scale="tiny", settings=settings)
    case = dataclasses.replace(
        case, classes=3, config=dataclasses.replace(case.config, output_stack_layers=1)
    )
    ours_model, peer_model = pair(case)
    data = training_data(case)
    logits = ours_model(*data, rng=np.random.default_rng(0)).array
    found = peer_model(*peer.to_tensors(case, data)).detach().permute(0, 2, 3, 1).numpy()
    close(found, logits)


def test_a_weight_that_is_missing_is_noticed():
    case = training_case("prior", scale="tiny")
    ours_model, peer_model = ours.build_model(case), peer.build_model(case)
    state = ours_model.state()
    del state["blocks.0.first.weight"]
    with pytest.raises(KeyError, match=r"blocks\.0\.first\.weight"):
        weights.load(peer_model, state)


@pytest.mark.parametrize("case", DIFFERENTIABLE)
def test_kernel_cases(case):
    inputs = kernels.arrays(case, kernels.CASES["tiny"][case])
    tensors = [Tensor(array, array.dtype.kind == "f") for array in inputs]
    output = kernels.operation(case)(*tensors)
    run, leaves = peer_kernels.operation(case, inputs)
    found = run()
    close(to_ours(found.detach()), output.array)
    output.backward(np.ones_like(output.array))
    found.sum().backward()
    close(to_ours(leaves[0].grad), tensors[0].grad, 1e-4)


def to_ours(tensor):
    """Maps (N, C, H, W) -> (N, H, W, C); anything else as it is."""
    return (tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor).numpy()


def test_quantise_and_statistics_cases():
    vectors, codebook, codes = kernels.arrays("quantise", kernels.CASES["tiny"]["quantise"])
    build = peer_kernels.FUNCTIONS
    tensors = [torch.from_numpy(a) for a in (vectors, codebook, codes)]
    distances = ((vectors[:, None] - codebook) ** 2).sum(-1)
    np.testing.assert_array_equal(build["quantise"](*tensors)().numpy(), distances.argmin(1))
    counts, sums = build["codebook statistics"](*tensors)()
    np.testing.assert_array_equal(counts.numpy(), np.bincount(codes, minlength=len(codebook)))
    expected = np.stack([vectors[codes == k].sum(0) for k in range(len(codebook))])
    close(sums.numpy(), expected)
