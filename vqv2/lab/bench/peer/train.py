"""The peer's side of the training steps."""

from vqv2.config import AutoencoderConfig
from vqv2.lab.bench.cases import training_case, training_data
from vqv2.lab.bench.peer import device
from vqv2.lab.bench.peer.autoencoder import Autoencoder
from vqv2.lab.bench.peer.framework import torch
from vqv2.lab.bench.peer.prior import Prior
from vqv2.lab.bench.subject import Subject

LEARNING_RATE = 2e-4
POLYAK_DECAY = 0.9999


def prepare(name):
    """Let PyTorch load what it loads late, on a tiny model."""
    build(name, scale="tiny").run()


def build(name, compiled=False, **options):
    """One training step of `cases.training_case(name, **options)`; operations are not counted."""
    torch.manual_seed(0)
    case = training_case(name, **options)
    data = to_tensors(case, training_data(case))
    return Subject(training_step(build_model(case), data, case.config.precision, compiled))


def training_step(model, data, precision="float32", compiled=False):
    """A function that trains for one step in a precision and returns the loss, a tensor."""
    parameters = list(model.parameters())
    averages = [parameter.detach().clone() for parameter in parameters]
    optimizer = torch.optim.Adam(parameters, LEARNING_RATE, fused=device.on_device())
    update_averages = torch.optim.swa_utils.get_ema_multi_avg_fn(POLYAK_DECAY)
    loss_of = torch.compile(model.loss) if compiled else model.loss

    def step():
        with device.precision_of(precision):
            optimizer.zero_grad()
            with device.autocast(precision):
                loss = loss_of(*data)
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                update_averages(averages, parameters, None)
        return loss.detach()

    return step


def build_model(case):
    """The peer's model of a case, training."""
    with torch.device(device.place()):  # where its first weights are drawn
        if isinstance(case.config, AutoencoderConfig):
            model = Autoencoder(case.config)
        else:
            model = Prior(case.config, case.codes, case.size, case.coarser, case.classes)
    return device.placed(model)


def to_tensors(case, data):
    """`cases.training_data` for PyTorch, images as (N, C, H, W)."""
    if isinstance(case.config, AutoencoderConfig):
        images = torch.from_numpy(data[0]).permute(0, 3, 1, 2)
        return (device.placed(images.contiguous()),)
    codes, label, coarser = data
    label = None if label is None else device.placed(torch.from_numpy(label))
    coarser = [device.placed(torch.from_numpy(c)) for c in coarser]
    return device.placed(torch.from_numpy(codes)), label, coarser
