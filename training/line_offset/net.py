"""The net: three strided convolutions and two dense layers, trained in float32."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from training.line_offset.scenes import Batch

CHANNELS = (12, 24, 48)
DENSE = 64
OUTPUTS = 4  # offset, heading, curvature, confidence
WEIGHTS = torch.tensor([6.0, 1.5, 1.0])
"""What an error of each label costs: the offset steers."""


class Net(nn.Module):
    """(n, 1, 32, 48) in 0..1 -> (n, 4); the activations are what quantisation has to know the range of."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        inputs = 1
        for outputs in CHANNELS:
            self.convolutions.append(nn.Conv2d(inputs, outputs, 3, stride=2))
            inputs = outputs
        self.dense = nn.ModuleList([nn.Linear(4 * 6 * inputs, DENSE), nn.Linear(DENSE, OUTPUTS)])

    def activations(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """The output of every layer; the dense ones see rows, columns, channels, as TFLite lays them out."""
        found, value = [], pictures
        for layer in self.convolutions:
            value = functional.relu(layer(functional.pad(value, (0, 1, 0, 1))))  # TFLite's SAME at stride 2
            found.append(value)
        value = value.permute(0, 2, 3, 1).flatten(1)
        found.append(value := functional.relu(self.dense[0](value)))
        found.append(self.dense[1](value))
        return found

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """The last layer's output."""
        return self.activations(pictures)[-1]


def train(data: Batch, epochs: int, seed: int) -> Net:
    """Adam with a one-cycle schedule; mirrored pictures count as further ones."""
    torch.manual_seed(seed)
    net = Net()
    pictures = torch.from_numpy(data.pictures)
    labels, sure = torch.from_numpy(data.labels), torch.from_numpy(data.sure)
    size = 256
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=epochs * (len(sure) // size))
    for epoch in range(epochs):
        order, total = torch.randperm(len(sure)), 0.0
        for start in range(0, len(sure) - size + 1, size):
            chosen = order[start : start + size]
            total += _step(net, optimizer, pictures[chosen], labels[chosen], sure[chosen])
            schedule.step()
        print(f"epoch {epoch + 1}/{epochs}: loss {total / (len(sure) // size):.5f}", flush=True)
    return net.eval()


def _step(
    net: Net, optimizer: torch.optim.Optimizer, pictures: torch.Tensor, labels: torch.Tensor, sure: torch.Tensor
) -> float:
    inputs = pictures[:, None].float() / 255.0
    if torch.rand(()) < 0.5:
        inputs, labels = inputs.flip(3), -labels
    answer = net(inputs)
    errors = functional.smooth_l1_loss(answer[:, :3], labels, beta=0.03, reduction="none")
    loss = (errors * WEIGHTS * sure[:, None]).sum(1).mean()
    loss = loss + 0.3 * functional.mse_loss(answer[:, 3].clamp(-1.1, 1.1), 2.0 * sure - 1.0)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())
