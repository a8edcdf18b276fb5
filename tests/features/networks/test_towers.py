"""Blocks watched during a pass."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fusiform.errors import SettingsError
from fusiform.features.networks.towers import Tower, blocks_of, watched

transformers = pytest.importorskip("transformers")

SIZES = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 20}


def over_tokens(state: Tensor) -> Tensor:
    return state.mean(1)


def hooks_of(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules())


def test_names_and_rows_of_every_layer() -> None:
    network: Any = transformers.LlamaModel(transformers.LlamaConfig(**SIZES)).eval()
    ids = torch.tensor([[3, 4, 5], [6, 7, 8]])
    with torch.inference_mode(), watched([Tower(network, over_tokens, "language.", "block")]) as found:
        output = network(input_ids=ids, output_hidden_states=True)
    assert list(found) == [f"language.{name}" for name in ("embeddings", "block1", "block2", "final")]
    torch.testing.assert_close(found["language.embeddings"], output.hidden_states[0].mean(1))
    torch.testing.assert_close(found["language.block1"], output.hidden_states[1].mean(1))
    torch.testing.assert_close(found["language.final"], output.last_hidden_state.mean(1))


def test_hooks_are_gone_afterwards_whatever_happens() -> None:
    network: Any = transformers.BertModel(transformers.BertConfig(**SIZES)).eval()
    before = hooks_of(network)

    def broken(_: Tensor) -> Tensor:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"), watched([Tower(network, broken)]):
        network(input_ids=torch.tensor([[3, 4]]))
    with watched([Tower(network, over_tokens)]) as found:
        network(input_ids=torch.tensor([[3, 4]]))
    assert list(found) == ["embeddings", "1", "2"]
    assert hooks_of(network) == before


def test_a_network_that_calls_one_block_again_and_again() -> None:
    sizes = {**SIZES, "embedding_size": 8, "num_hidden_layers": 3}
    network = transformers.AlbertModel(transformers.AlbertConfig(**sizes))
    with pytest.raises(SettingsError, match="AlbertModel has no list of 3 blocks, one per layer; bring this network"):
        blocks_of(network)
