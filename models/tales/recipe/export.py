"""Write a checkpoint as a Hugging Face Llama folder plus exits.safetensors, and check what was written.

    python export.py --checkpoint path/to/run/checkpoint.pt --corpus path/to/prepared --out path/to/model

The exported weights are the moving average, rounded to float16. Every file is replaced atomically.
The check reads the files back and runs them through a second, plain NumPy forward pass.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from data import END
from model import Config, StoryModel
from train import CURVE, write_atomically, write_curve

END_OF_STORY = "<|endoftext|>"


def config_files(c):
    """config.json, generation_config.json and tokenizer_config.json as dictionaries."""
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "float16",
        "hidden_size": c.hidden_size, "intermediate_size": c.intermediate_size,
        "num_hidden_layers": c.num_hidden_layers, "num_attention_heads": c.num_attention_heads,
        "num_key_value_heads": c.num_attention_heads, "head_dim": c.hidden_size // c.num_attention_heads,
        "vocab_size": c.vocab_size, "max_position_embeddings": c.max_position_embeddings,
        "rms_norm_eps": c.rms_norm_eps, "rope_theta": c.rope_theta, "rope_scaling": None,
        "hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "attention_dropout": 0.0,
        "tie_word_embeddings": True, "bos_token_id": END, "eos_token_id": END, "use_cache": True,
        "initializer_range": 0.02,
    }
    generation = {"bos_token_id": END, "eos_token_id": END, "do_sample": True, "temperature": 0.8,
                  "max_length": c.max_position_embeddings}
    tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END_OF_STORY,
                 "eos_token": END_OF_STORY, "add_bos_token": True, "add_prefix_space": False,
                 "clean_up_tokenization_spaces": False, "model_max_length": c.max_position_embeddings}
    return {"config.json": config, "generation_config.json": generation, "tokenizer_config.json": tokenizer}


def export(state, corpus, out):
    config = Config(**state["config"])
    weights = {name: value.float().numpy().astype(np.float16) for name, value in state["average"].items()}
    trunk = {name: value for name, value in weights.items() if name.startswith("model.")}
    exits = {name: value for name, value in weights.items() if name.startswith("exits.")}
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "model.safetensors", lambda p: save_file(trunk, p, metadata={"format": "pt"}))
    write_atomically(out / "exits.safetensors", lambda p: save_file(exits, p, metadata={"format": "pt"}))
    for name in ("model.safetensors", "exits.safetensors"):
        (out / name).chmod(0o644)   # the library writes files that only their owner can read
    for name, content in config_files(config).items():
        text = json.dumps(content, indent=2) + "\n"
        write_atomically(out / name, lambda p, text=text: p.write_text(text, encoding="utf-8"))
    write_atomically(out / "tokenizer.json", lambda p: shutil.copyfile(corpus / "tokenizer.json", p))
    write_curve(state, out)


# ---------------------------------------------------------------- the check

def norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(x, w, prefix, heads, theta):
    """x: (T, D). Plain causal attention with the half-rotation rotary layout."""
    T, D = x.shape
    K = D // heads
    q, k, v = ((x @ w[f"{prefix}.{n}_proj.weight"].T).reshape(T, heads, K).transpose(1, 0, 2) for n in "qkv")
    angles = np.outer(np.arange(T), theta ** (-np.arange(0, K, 2) / K))   # (T, K/2)
    cos, sin = np.cos(angles), np.sin(angles)

    def rotate(a):
        first, second = a[..., :K // 2], a[..., K // 2:]
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)

    scores = rotate(q) @ rotate(k).transpose(0, 2, 1) / np.sqrt(K)        # (H, T, T)
    scores = np.where(np.tril(np.ones((T, T), dtype=bool)), scores, -np.inf)
    y = (softmax(scores) @ v).transpose(1, 0, 2).reshape(T, D)
    return y @ w[f"{prefix}.o_proj.weight"].T


def reference_logits(folder, tokens):
    """{2: (T, V), 4: ..., "final": ...} from the exported files alone."""
    c = json.loads((folder / "config.json").read_text())
    w = {n: a.astype(np.float32) for f in ("model", "exits") for n, a in load_file(folder / f"{f}.safetensors").items()}
    table, eps = w["model.embed_tokens.weight"], c["rms_norm_eps"]
    x = table[tokens]
    out = {}
    for i in range(c["num_hidden_layers"]):
        layer = f"model.layers.{i}"
        h = norm(x, w[f"{layer}.input_layernorm.weight"], eps)
        x = x + attention(h, w, f"{layer}.self_attn", c["num_attention_heads"], c["rope_theta"])
        h = norm(x, w[f"{layer}.post_attention_layernorm.weight"], eps)
        gate, up = (h @ w[f"{layer}.mlp.{n}_proj.weight"].T for n in ("gate", "up"))
        x = x + (gate / (1 + np.exp(-gate)) * up) @ w[f"{layer}.mlp.down_proj.weight"].T
        if f"exits.{i + 1}.weight" in w:
            row = x @ w[f"exits.{i + 1}.weight"].T + w[f"exits.{i + 1}.bias"]
            out[i + 1] = norm(row, w["model.norm.weight"], eps) @ table.T
    out["final"] = norm(x, w["model.norm.weight"], eps) @ table.T
    return out


def check(state, corpus, out):
    """Largest logit difference between the checkpoint's model in float32 and the exported files."""
    arrays = np.load(corpus / "corpus.npz")
    tokens = np.concatenate([[END], arrays["valid_tokens"][:200].astype(np.int64)])
    model = StoryModel(Config(**state["config"])).eval()
    result = {}
    for label, cast in (("before_rounding", lambda v: v), ("after_rounding", lambda v: v.half().float())):
        model.load_state_dict({n: cast(v) for n, v in state["average"].items()})
        with torch.no_grad():
            logits = {k: v[0].numpy() for k, v in model(torch.from_numpy(tokens)[None]).items()}
        reference = reference_logits(out, tokens)
        result[label] = {str(k): float(np.abs(logits[k] - reference[k]).max()) for k in logits}
    assert max(result["after_rounding"].values()) < 2e-3, result
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True, help="folder written by prepare_corpus.py")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    state = torch.load(args.checkpoint, weights_only=False, map_location="cpu")
    export(state, args.corpus, args.out)
    print("largest logit difference:", json.dumps(check(state, args.corpus, args.out)))
    if state["curve"]:
        print("last report:", dict(zip(CURVE, state["curve"][-1])))


if __name__ == "__main__":
    main()
