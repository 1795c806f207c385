from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from magicseg.ops.batch_norm import batch_norm_vectors


@pytest.fixture
def norm():
    norm = nn.BatchNorm1d(2)
    norm.running_mean.copy_(torch.tensor([1.0, -1.0]))
    norm.running_var.copy_(torch.tensor([4.0, 1.0]))
    return norm


@pytest.mark.parametrize("training", [True, False])
def test_two_samples_are_normalised_as_ever(norm, training):
    v, reference = torch.randn(2, 2), copy.deepcopy(norm)
    torch.testing.assert_close(batch_norm_vectors(norm.train(training), v), reference.train(training)(v))
    torch.testing.assert_close(norm.state_dict(), reference.state_dict())


def test_a_training_batch_of_one_uses_the_running_statistics_and_keeps_them(norm):
    before = copy.deepcopy(norm.state_dict())
    result = batch_norm_vectors(norm.train(), torch.tensor([[5.0, 0.0]]))
    torch.testing.assert_close(result, torch.tensor([[2.0, 1.0]]), atol=1e-4, rtol=0)
    torch.testing.assert_close(norm.state_dict(), before)
    result.sum().backward()
    torch.testing.assert_close(norm.weight.grad, torch.tensor([2.0, 1.0]), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("processes", "own_way"), [(1, True), (2, False)])
def test_a_batch_of_one_takes_part_in_what_processes_synchronise(norm, monkeypatch, processes, own_way):
    """Were it normalised alone, the other processes would wait for its mean and variance for ever."""
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(norm).train()
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda group=None: processes)
    monkeypatch.setattr(nn.SyncBatchNorm, "forward", lambda self, v: v + 100)
    result = batch_norm_vectors(synced, torch.tensor([[5.0, 0.0]]))
    expected = torch.tensor([[2.0, 1.0]] if own_way else [[105.0, 100.0]])
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=0)


def test_an_empty_batch_passes(norm):
    assert batch_norm_vectors(norm.train(), torch.zeros(0, 2)).shape == (0, 2)
