"""The blocks of a transformer watched during a pass: what each gives on, pooled at once, so that none is kept whole.

The hidden states that transformers returns are not the same thing in all families: the last one is the last block's in
some and that of the final norm in others. Watching the blocks themselves gives every block as it is, in all of them.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fusiform.errors import DataError, SettingsError

__all__ = ["Pool", "Tower", "blocks_of", "watched"]

Pool = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Tower:
    """A stack of blocks.

    Its layers are `embeddings`, what the first block takes; a number per block, what it gives on; and `final`, the last
    state with the final norm, where that is another than the last block's.

    Args:
        module: that gives the last state on.
        pool: a state [..., T, C] to its rows [B, C].
        prefix: before the names of its layers, such as `"vision."`.
        unit: before their numbers, such as `"block"`.
    """

    module: nn.Module
    pool: Pool
    prefix: str = ""
    unit: str = ""

    def watch(self, found: dict[str, Tensor]) -> Iterator[Any]:
        """Hooks that put every layer's rows into `found`; the caller removes them."""
        blocks = blocks_of(self.module)
        last = f"{self.prefix}{self.unit}{len(blocks)}"

        def enter(_: nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
            state = positional[0] if positional else named["hidden_states"]
            found[f"{self.prefix}embeddings"] = self.pool(state)

        def leave(_: nn.Module, __: Any, output: Any) -> None:
            final, state = self.pool(_last_state(output)), found[last]
            if final.shape != state.shape or not torch.allclose(final, state, rtol=1e-4, atol=1e-6):
                found[f"{self.prefix}final"] = final

        yield blocks[0].register_forward_pre_hook(enter, with_kwargs=True)
        for number, block in enumerate(blocks, 1):
            yield block.register_forward_hook(self._keep(found, f"{self.prefix}{self.unit}{number}"))
        yield self.module.register_forward_hook(leave)

    def _keep(self, found: dict[str, Tensor], layer: str) -> Callable[..., None]:
        def keep(_: nn.Module, __: Any, output: Any) -> None:
            found[layer] = self.pool(output[0] if isinstance(output, tuple) else output)

        return keep


@contextmanager
def watched(towers: Iterable[Tower]) -> Iterator[dict[str, Tensor]]:
    """layer -> [B, C], filled while the network is called inside."""
    found: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for tower in towers:
            for handle in tower.watch(found):
                hooks.callback(handle.remove)
        yield found


def blocks_of(network: Any) -> list[nn.Module]:
    """The blocks of a transformer: the outermost list of as many modules as its configuration has layers.

    Raises:
        SettingsError: there is none, as in networks that call one block again and again.
    """
    config: Any = network.config
    count: int = config.num_hidden_layers if hasattr(config, "num_hidden_layers") else getattr(config, "depth", 0)
    lists = [module for module in network.modules() if isinstance(module, nn.ModuleList)]
    for blocks in lists:
        if len(blocks) == count > 0:
            return list(blocks)
    raise SettingsError(
        f"{type(network).__name__} has no list of {count} blocks, one per layer; bring this network through hook_layers"
    )


def _last_state(output: Any) -> Tensor:
    state = getattr(output, "last_hidden_state", None)
    state = output[0] if state is None else state
    if not isinstance(state, Tensor):
        raise DataError(f"a network gave a {type(output).__name__} without a last state; wanted one")
    return state
