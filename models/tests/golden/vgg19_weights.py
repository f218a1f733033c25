"""Makes `vgg19/*.pth`: the first block of a VGG19 in the containers that PyTorch writes.

    python vgg19_weights.py FOLDER            (needs torch)

The weights are no trained ones. Value `i` of tensor `k` is `((37 i + 11 k) mod 251 - 125) / 256`, which float16 and
bfloat16 hold exactly; the tests compute the same. All but `block1_legacy.pth`, whose keys are addresses of the process,
come out the same again.
"""

import collections
import pathlib
import sys

import torch
from torch import nn


def values(k, *shape):
    i = torch.arange(torch.Size(shape).numel())
    return (((37 * i + 11 * k) % 251 - 125).float() / 256).reshape(shape)


class Vgg(nn.Module):
    """The first block, and a classifier that no reader wants."""

    def __init__(self, batch_norm=False):
        super().__init__()
        norm = (lambda: [nn.BatchNorm2d(64)]) if batch_norm else list
        first, second = nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1)
        self.features = nn.Sequential(first, *norm(), nn.ReLU(), second, *norm(), nn.ReLU(), nn.MaxPool2d(2))
        self.classifier = nn.Sequential(nn.Linear(4, 2))
        with torch.no_grad():
            tensors = [first.weight, first.bias, second.weight, second.bias, *self.classifier.parameters()]
            for k, tensor in enumerate(tensors):
                tensor.copy_(values(k, *tensor.shape))


folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
half, brain = Vgg().half(), Vgg().bfloat16()
torch.save(half.state_dict(), folder / "block1.pth")
torch.save(brain.state_dict(), folder / "block1_legacy.pth", _use_new_zipfile_serialization=False)
parallel = collections.OrderedDict((f"module.{name}", tensor) for name, tensor in half.state_dict().items())
torch.save({"epoch": 3, "state_dict": parallel}, folder / "block1_checkpoint.pth")
# A whole module, its weights not in the order of their indices.
torch.save(brain.to(memory_format=torch.channels_last), folder / "block1_module.pth")
torch.save(Vgg(batch_norm=True).half().state_dict(), folder / "block1_bn.pth")
