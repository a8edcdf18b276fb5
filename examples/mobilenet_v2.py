"""A pretrained network as a plug-in: MobileNetV2, run by TensorFlow Lite, every block as a layer.

    pip install 'fusiform[examples]'
    PYTHONPATH=examples fusiform extract --dataset kay2017 --backbone mobilenet_v2:MobileNetV2 --reduce mean

The network is `tf2_mobilenet_v2_1.0_224_ptq.tflite` of github.com/google-coral/test_data (Apache-2.0), trained on
ImageNet, its weights and activations in 8 bits. It is looked for in `mobilenet_v2/` in the data folders.
"""

import hashlib
import re
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fusiform.data import Kind
from fusiform.datasets.base import locate
from fusiform.features.preprocess import Picture, describe
from fusiform.features.tokens import Tokens
from fusiform.registry import need

FILE = "tf2_mobilenet_v2_1.0_224_ptq.tflite"
LAYERS = {  # the first part of a tensor's name -> what it is called here; an addition closes its block
    r"MobileNetV2/Conv2d_(0|18)_\d/relu6": "conv{}",
    r"MobileNetV2/expanded_conv_(\d+)/(?:project|add)": "block{}",
    r"MobileNetV2/top/(Reshape)": "pooled",
    r"MobileNetV2/top/(Conv2d_1x1_output)/BiasAdd": "logits",
}


class MobileNetV2:
    """Sandler et al. 2018 (CVPR): local `conv0`, `block1` ... `block17`, `conv18`; global `pooled` and `logits`.

    Args:
        file: of the network; the one in the data folders by default.
    """

    name = "mobilenet_v2"
    kind: Kind = "image"

    def __init__(self, file: str | None = None) -> None:
        self.file = Path(file) if file else locate("mobilenet_v2", FILE) / FILE
        self.preprocess = Picture(224, normalise="none")
        self.settings = {"preprocess": describe(self.preprocess)}

    @cached_property
    def revision(self) -> str:
        """Digest of the file."""
        return hashlib.sha256(self.file.read_bytes()).hexdigest()[:16]

    @cached_property
    def interpreter(self) -> Any:
        """TensorFlow Lite with the network, keeping what is between input and output."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors")  # it is what we want
            lite = need("ai_edge_litert.interpreter", extra="examples")
            made = lite.Interpreter(str(self.file), experimental_preserve_all_tensors=True, num_threads=1)
        made.allocate_tensors()
        return made

    @cached_property
    def tensors(self) -> dict[str, Any]:
        """layer -> the tensor that holds it, in the order of the network."""
        found = {}
        for tensor in self.interpreter.get_tensor_details():
            for pattern, layer in LAYERS.items():
                match = re.match(pattern, tensor["name"])
                if match and len(tensor["shape"]) == 4 and tensor["shape"][0] == 1:  # weights have no batch axis
                    found[layer.format(match[1])] = tensor
        return found

    def get_tokens(self, x: Tensor) -> Tokens:
        """[B, 3, 224, 224] in [0, 1] -> local and global tokens of every layer."""
        pictures = (x.movedim(1, 3).cpu().numpy() * 255).round().astype(np.uint8)
        each = [self._run(picture[None]) for picture in pictures]
        layers = {layer: torch.cat([one[layer] for one in each]) for layer in self.tensors}
        local = {layer: value for layer, value in layers.items() if value.shape[2:] != (1, 1)}
        return Tokens(local, {layer: value.flatten(1) for layer, value in layers.items() if layer not in local})

    def _run(self, picture: Any) -> dict[str, Tensor]:
        """[1, 224, 224, 3] uint8 -> layer -> [1, C, H, W]."""
        self.interpreter.set_tensor(self.interpreter.get_input_details()[0]["index"], picture)
        self.interpreter.invoke()
        return {layer: self._read(tensor) for layer, tensor in self.tensors.items()}

    def _read(self, tensor: Any) -> Tensor:
        """What a tensor holds, [1, H, W, C] in 8 bits, as [1, C, H, W] in units of the network."""
        scale, zero = tensor["quantization"]
        values = (self.interpreter.get_tensor(tensor["index"]).astype(np.float32) - zero) * scale
        return torch.from_numpy(values).movedim(3, 1)
