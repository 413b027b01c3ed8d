"""Reads a safetensors file: u64 header length, JSON header, raw little-endian tensors.

Only the two dtypes the reference data uses; anything else is refused by name.
"""

import json
import struct
from pathlib import Path

import torch

DTYPES = {"F32": torch.float32, "I32": torch.int32}


def load(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor of the file by name, copied out of it."""
    raw = path.read_bytes()
    (header_len,) = struct.unpack_from("<Q", raw)
    data_start = 8 + header_len
    header = json.loads(raw[8:data_start])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in DTYPES:
            raise ValueError(f"{path}: {name} is {entry['dtype']}; this reader knows {sorted(DTYPES)}")
        begin, end = entry["data_offsets"]
        payload = bytearray(raw[data_start + begin : data_start + end])
        tensors[name] = torch.frombuffer(payload, dtype=DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors
