"""Makes `vgg19/reference.safetensors`: what PyTorch computes of the first two blocks of a VGG19 with a head.

    python vgg19_reference.py FOLDER            (needs torch and safetensors)

Weights and inputs are no trained ones and are not stored: they are draws of a generator of whole numbers, which the test
repeats. Stored are what the network gives for the first input (of each block, the embedding of all frames and of
frames 7 to 19, the logits), the cross-entropy of both inputs, and its gradients: of the first convolution and of all biases
whole, of the others every 97th value and the length.
"""

import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

BLOCKS = [[(0, 3, 64), (2, 64, 64)], [(5, 64, 128), (7, 128, 128)]]
BANDS, FRAMES, CLASSES = 20, 27, 4
PART = (7, 19)
LABELS = [1, 3]
# Of 1/64: the width of the range of a tensor's values; for a weight about sqrt(24 / (9 * in_channels)).
WIDTHS = {0: 60, 2: 13, 5: 13, 7: 9}


def draws(seed, width, *shape):
    """Whole numbers of 16 bits from a congruential generator, brought to `width / 64 * [-0.5, 0.5)` without rounding."""
    state, numbers = seed, []
    for _ in range(torch.Size(shape).numel()):
        state = (state * 1664525 + 1013904223) % 2**32
        numbers.append(((state >> 16) - 32768) * width)
    return (torch.tensor(numbers, dtype=torch.float32) / 2**22).reshape(shape)


def embed(blocks, frames=None):
    parts = []
    for number, x in enumerate(blocks, start=1):
        if frames is not None:
            x = x[..., frames[0] // 2**number : frames[1] // 2**number]
        parts += [x.mean((2, 3)), x.amax((2, 3)), (x.var((2, 3), correction=0) + 1e-5).sqrt()]
    return torch.cat(parts, 1)


torch.use_deterministic_algorithms(True)
torch.set_num_threads(1)
convs = {
    index: (
        draws(100 + index, WIDTHS[index], outputs, inputs, 3, 3).requires_grad_(),
        draws(200 + index, 8, outputs).requires_grad_(),
    )
    for block in BLOCKS
    for index, inputs, outputs in block
}
dim = 3 * (64 + 128)
mean, scale = draws(301, 32, dim), draws(302, 16, dim) + 0.25
weight, bias = draws(303, 32, CLASSES, dim).requires_grad_(), draws(304, 32, CLASSES).requires_grad_()
x = draws(1, 256, len(LABELS), 3, BANDS, FRAMES)

blocks, given = [], x
for block in BLOCKS:
    for index, _, _ in block:
        given = F.conv2d(given, *convs[index], padding=1).relu()
    given = F.max_pool2d(given, 2)
    blocks.append(given)
embedding = embed(blocks)
logits = (embedding - mean) * scale @ weight.T + bias
loss = F.cross_entropy(logits, torch.tensor(LABELS))
loss.backward()

found = {f"block{number}": block[:1] for number, block in enumerate(blocks, start=1)}
found |= {"embedding": embedding[:1], "embedding_part": embed(blocks, PART)[:1], "logits": logits[:1], "loss": loss.reshape(1)}
for index, (kernel, offset) in convs.items():
    values = kernel.grad.flatten()
    found[f"grad.features.{index}.weight"] = values if index == 0 else values[::97]
    found[f"grad.features.{index}.weight.length"] = values.double().norm().float().reshape(1)
    found[f"grad.features.{index}.bias"] = offset.grad
found |= {"grad.head.weight": weight.grad, "grad.head.bias": bias.grad}

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
save_file({name: tensor.detach().clone().contiguous() for name, tensor in found.items()}, folder / "reference.safetensors")
