"""A vision transformer as transformers' `save_pretrained` leaves it: tiny, and its weights random."""

import json
from pathlib import Path

SIDE, PATCH = 64, 8  # pixels: a grid of 8 x 8, which `pool:8x8` leaves as it is
LAYERS = ("embeddings", "block1", "block2", "final")
_CONFIG = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
_FILE = {"image_processor_type": "ViTImageProcessor", "size": {"height": SIDE, "width": SIDE}}


def write(folder: Path) -> None:
    """Write the network and how its pictures are made ready into `folder`."""
    import torch
    from transformers import ViTConfig, ViTModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ViTModel(ViTConfig(image_size=SIDE, patch_size=PATCH, **_CONFIG), add_pooling_layer=False)
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(_FILE))
