"""A small Llama with early exits, written so that its parameter names are Hugging Face's own.

Shapes in the comments: B rows, T tokens per row, D width, H heads, K = D / H, V vocabulary.

An exit sits after some layer e and reads the residual stream there (the "row"):
    exit logits = head(final_norm(weight @ row + bias))
The affine map starts as the identity, so at first an exit is the plain logit lens. It shares the
final norm and the head with the model, so an exit costs D*D + D parameters and no vocabulary matrix.
"""

import json
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file


@dataclass
class Config:
    vocab_size: int = 2048
    hidden_size: int = 256
    intermediate_size: int = 688
    num_hidden_layers: int = 8
    num_attention_heads: int = 4
    max_position_embeddings: int = 512
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    exits: tuple = (2, 4)
    dropout: float = 0.0   # on what each attention and each MLP adds to the residual stream


class RMSNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rotary_tables(length, head_size, theta):
    """cos and sin of the rotary angles, each (T, K): the second half repeats the first."""
    frequencies = theta ** (-torch.arange(0, head_size, 2).float() / head_size)   # (K/2,)
    angles = torch.outer(torch.arange(length).float(), frequencies)               # (T, K/2)
    angles = torch.cat([angles, angles], dim=-1)                                  # (T, K)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """Rotary embedding in the half-rotation layout. x: (B, H, T, K)."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def attend(q, k, v, blocks=4):
    """Causal attention; q, k, v: (B, H, T, K) -> (B, H, T, K).

    On a CPU the fused kernel is slower than plain products, so the queries go block by block, each
    block against the keys up to its own end: 5/8 of the full square instead of all of it.
    """
    T = q.shape[2]
    if q.is_cuda or T % blocks:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    size = T // blocks
    above = torch.ones(size, size, dtype=torch.bool, device=q.device).triu(1)   # within the last block
    q = q * q.shape[-1] ** -0.5
    out = []
    for begin in range(0, T, size):
        end = begin + size
        scores = q[:, :, begin:end] @ k[:, :, :end].mT               # (B, H, size, end)
        scores[..., begin:].masked_fill_(above, float("-inf"))       # earlier blocks are all visible
        out.append(scores.softmax(dim=-1) @ v[:, :, :end])
    return torch.cat(out, dim=2)


def dropout(x, p, training):
    """Ordinary dropout with p rounded to 1/256: one random byte per element.

    PyTorch draws one random number per element, which costs a CPU 8 % of the training time.
    Here eight bytes come out of every 64-bit draw.
    """
    limit = round(p * 256)
    if not training or limit == 0:
        return x
    draws = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device).random_(-2**63, None)
    keep = draws.view(torch.uint8)[:x.numel()].view(x.shape) >= limit
    return x * (keep * (256 / (256 - limit))).to(x.dtype)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads = c.num_attention_heads
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(c.hidden_size, c.hidden_size, bias=False))

    def forward(self, x, cos, sin):
        B, T, D = x.shape
        # One product instead of three: on a CPU the wider matrix is noticeably faster.
        weight = torch.cat([self.q_proj.weight, self.k_proj.weight, self.v_proj.weight])   # (3D, D)
        q, k, v = F.linear(x, weight).view(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        q = rotate(q, cos, sin).to(v.dtype)   # (B, H, T, K)
        k = rotate(k, cos, sin).to(v.dtype)
        y = attend(q, k, v)
        return self.o_proj(y.transpose(1, 2).reshape(B, T, D))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.up_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.down_proj = nn.Linear(c.intermediate_size, c.hidden_size, bias=False)

    def forward(self, x):
        weight = torch.cat([self.gate_proj.weight, self.up_proj.weight])   # (2F, D)
        gate, up = F.linear(x, weight).chunk(2, dim=-1)
        return self.down_proj(F.silu(gate) * up)


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.self_attn = Attention(c)
        self.post_attention_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.mlp = MLP(c)
        self.dropout = c.dropout

    def forward(self, x, cos, sin):
        x = x + dropout(self.self_attn(self.input_layernorm(x), cos, sin), self.dropout, self.training)
        return x + dropout(self.mlp(self.post_attention_layernorm(x)), self.dropout, self.training)


class Trunk(nn.Module):
    """Embedding, layers and final norm: what Hugging Face calls `model`."""

    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))
        self.norm = RMSNorm(c.hidden_size, c.rms_norm_eps)


class StoryModel(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.config = c
        self.model = Trunk(c)
        self.exits = nn.ModuleDict({str(e): nn.Linear(c.hidden_size, c.hidden_size) for e in c.exits})
        cos, sin = rotary_tables(c.max_position_embeddings, c.hidden_size // c.num_attention_heads, c.rope_theta)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.reset()

    def reset(self):
        """Matrices uniform with variance 1/fan_in, what writes to the residual stream starts at zero."""
        for name, p in self.named_parameters():
            if "embed_tokens" in name:
                nn.init.normal_(p, std=0.02)
            elif "o_proj" in name or "down_proj" in name:
                nn.init.zeros_(p)
            elif p.dim() == 2 and "exits" not in name:
                bound = (3.0 / p.shape[1]) ** 0.5
                nn.init.uniform_(p, -bound, bound)
        for linear in self.exits.values():
            nn.init.eye_(linear.weight)
            nn.init.zeros_(linear.bias)

    def rows(self, tokens):
        """Residual stream after each exit's layer and after the last one: {e: (B, T, D)}."""
        T = tokens.shape[1]
        x = self.model.embed_tokens(tokens)   # (B, T, D), kept in float32 between the layers
        out = {}
        for number, layer in enumerate(self.model.layers, start=1):
            x = layer(x, self.cos[:T], self.sin[:T])
            if number in self.config.exits:
                out[number] = x
        out["final"] = x
        return out

    def head(self, row):
        """Logits (..., V) of a residual row (..., D); the head is the embedding itself."""
        return F.linear(self.model.norm(row), self.model.embed_tokens.weight)

    def exit_head(self, e, row):
        return self.head(self.exits[str(e)](row))

    def forward(self, tokens):
        """All logits, in float32: {2: (B, T, V), 4: ..., "final": ...}."""
        out = {}
        for key, row in self.rows(tokens).items():
            out[key] = (self.head(row) if key == "final" else self.exit_head(key, row)).float()
        return out


def load_exported(folder):
    """The model that export.py wrote, weights in float32."""
    c = json.loads((folder / "config.json").read_text())
    exits = load_file(folder / "exits.safetensors")
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
             "max_position_embeddings", "rms_norm_eps", "rope_theta")
    after = tuple(sorted({int(name.split(".")[1]) for name in exits}))
    model = StoryModel(Config(exits=after, **{n: c[n] for n in names}))
    weights = load_file(folder / "model.safetensors") | exits
    model.load_state_dict({n: w.float() for n, w in weights.items()})
    return model.eval()
