"""Convolutions that stop a run, one for each way in which a run may end before its time."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

import torch
from torch import nn


class Faulty(nn.Conv2d):
    """A convolution whose first forward pass in training goes wrong."""

    def forward(self, input):
        if self.training:
            self.fail()
        return super().forward(input)

    def fail(self):
        raise ValueError("a kernel has gone astray")


Raises = Faulty


class Exits(Faulty):
    def fail(self):
        sys.exit(4)


class ExitsAtOnce(Faulty):
    def fail(self):
        os._exit(3)


class Killed(Faulty):
    def fail(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Segfaults(Faulty):
    def fail(self):
        ctypes.string_at(0)


class LacksMemory(Faulty):
    def fail(self):
        raise MemoryError("no room for a kernel")


class Greedy(Faulty):
    def fail(self):
        self.kernels = torch.ones(2 * 10**9)


class Hangs(Faulty):
    def fail(self):
        time.sleep(600)


class HangsForGood(Faulty):
    def fail(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)


class ShowsGpu(Faulty):
    def fail(self):
        raise ValueError(f"sees GPU {os.environ.get('CUDA_VISIBLE_DEVICES')}")


class Reads(nn.Conv2d):
    """Reads its weights while it is built, which weights on the meta device do not allow."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.largest = self.weight.max().item()


FAULTS = [Raises, Exits, ExitsAtOnce, ExitsAtOnce, Killed, Segfaults, LacksMemory, LacksMemory, Hangs, Hangs]


def seed() -> int:
    """Return the seed of the run, as its process was told."""
    return int(next(word.split("=")[1] for word in sys.argv if word.startswith("seed=")))


class EveryFourth(Faulty):
    """Goes wrong with the seeds 4, 8, ... 40, each time in another way, while FAULTS is set."""

    def fail(self):
        if "FAULTS" in os.environ and seed() % 4 == 0:
            FAULTS[seed() // 4 - 1].fail(self)


class Recorded(nn.Conv2d):
    """Notes in the file TRAINED, once a process, that a run is trained."""

    noted = False

    def forward(self, input):
        if self.training and not Recorded.noted:
            Recorded.noted = True
            with open(os.environ["TRAINED"], "a") as file:
                file.write(f"{seed()}\n")
        return super().forward(input)
