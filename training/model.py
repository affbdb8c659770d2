"""glimpse: a small Idefics3 (SigLIP-style tower, pixel shuffle, Llama with grouped-query attention) and its 4-bit rounding."""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import Idefics3Config, Idefics3ForConditionalGeneration

IMAGE, PATCH, SHUFFLE = 96, 16, 2
VOCAB = 1280
CONTEXT = 4096
VISION = dict(hidden_size=128, intermediate_size=512, num_hidden_layers=6, num_attention_heads=4)
TEXT = dict(hidden_size=128, intermediate_size=256, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, head_dim=32)
LOOKER = 2  # the layer whose first two heads training tells where to look
BLOCK = 32


def config(image_token_id, eos_token_id):
    return Idefics3Config(
        image_token_id=image_token_id,
        scale_factor=SHUFFLE,
        tie_word_embeddings=False,
        use_cache=True,
        vision_config=dict(
            image_size=IMAGE, patch_size=PATCH, hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6, attention_dropout=0.0,
            num_channels=3, initializer_range=0.02, **VISION,
        ),
        text_config=dict(
            model_type="llama", vocab_size=VOCAB, hidden_act="silu", rms_norm_eps=1e-5, rope_theta=100000.0, max_position_embeddings=CONTEXT,
            attention_bias=False, mlp_bias=False, bos_token_id=1, eos_token_id=eos_token_id, pad_token_id=2, tie_word_embeddings=False, **TEXT,
        ),
        pad_token_id=2,
    )


class Glimpse(nn.Module):
    """The Idefics3 model, with the training-only head that names what each patch shows."""

    def __init__(self, cfg, classes):
        super().__init__()
        self.idefics = Idefics3ForConditionalGeneration(cfg)
        self.patch_classes = nn.Linear(cfg.vision_config.hidden_size, 2 * classes)

    def patches(self, frames, kept=None):
        """(n, 3, 96, 96) pixels in [-1, 1] -> (n, 36, width). Frames are always full, so no patch mask is needed.

        `kept` (n, k) leaves the tower only k patches of each frame: training sees more pictures in the same time."""
        tower = self.idefics.model.vision_model
        x = tower.embeddings.patch_embedding(frames).flatten(2).transpose(1, 2)
        x = x + tower.embeddings.position_embedding.weight
        if kept is not None:
            x = x.gather(1, kept.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
        for layer in tower.encoder.layers:
            x = layer(x, None)
            x = x[0] if isinstance(x, tuple) else x
        return tower.post_layernorm(x)

    def named(self, patches):
        """Logits of what the left and the right half of each patch show: (..., width) -> (..., 2, classes)."""
        return self.patch_classes(patches).unflatten(-1, (2, -1))

    def picture_tokens(self, patches):
        return self.idefics.model.connector(patches)

    def hidden(self, ids, positions, mask, features, looks=None):
        """Decoder states; `mask` (b, s, s) is true where a token may look, so that packed conversations do not see each other.

        With `looks` (rows, heads, places) also the log of the share of attention that these give to every place in LOOKER."""
        text = self.idefics.model.text_model
        embeds = text.embed_tokens(ids)
        if features is not None:
            at_picture = (ids == self.idefics.config.image_token_id).unsqueeze(-1).expand_as(embeds)
            embeds = embeds.masked_scatter(at_picture, features.to(embeds.dtype))
        cos, sin = (t.unsqueeze(1) for t in text.rotary_emb(embeds, position_ids=positions))
        bias = torch.zeros(mask.shape, dtype=embeds.dtype).masked_fill_(~mask, torch.finfo(embeds.dtype).min).unsqueeze(1)
        attention = None
        for number, layer in enumerate(text.layers):
            embeds, seen = decoder_layer(layer, embeds, cos, sin, bias, looks if number == LOOKER else None)
            attention = attention if seen is None else seen
        return rms_norm(text.norm, embeds), attention


def rms_norm(module, x):
    return F.rms_norm(x, module.weight.shape, module.weight, module.variance_epsilon)


def decoder_layer(layer, x, cos, sin, bias, looks=None):
    """LlamaDecoderLayer's forward with fewer, larger operations: at this width the small ones cost more than the arithmetic."""
    attn, mlp, (batch, length, _) = layer.self_attn, layer.mlp, x.shape
    heads, kv_heads, width = TEXT["num_attention_heads"], TEXT["num_key_value_heads"], TEXT["head_dim"]
    y = rms_norm(layer.input_layernorm, x)
    qkv = F.linear(y, torch.cat([attn.q_proj.weight, attn.k_proj.weight, attn.v_proj.weight]))
    qkv = qkv.view(batch, length, heads + 2 * kv_heads, width).transpose(1, 2)
    qk, v = qkv[:, : heads + kv_heads], qkv[:, heads + kv_heads :]
    half = width // 2
    qk = torch.addcmul(qk * cos, torch.cat([-qk[..., half:], qk[..., :half]], -1), sin)
    k, v = (t.repeat_interleave(heads // kv_heads, 1) for t in (qk[:, heads:], v))
    attention = None
    if looks is not None:
        row, head, place = looks
        scores = torch.einsum("nd,nkd->nk", qk[row, head, place], k[row, head]) / width**0.5
        attention = (scores + bias[row, 0, place]).log_softmax(-1)
    z = F.scaled_dot_product_attention(qk[:, :heads], k, v, attn_mask=bias)
    x = x + attn.o_proj(z.transpose(1, 2).reshape(batch, length, heads * width))
    y = rms_norm(layer.post_attention_layernorm, x)
    gate, up = F.linear(y, torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])).chunk(2, -1)
    return x + mlp.down_proj(F.silu(gate) * up), attention


def is_quantized(name, tensor):
    """The matrices that become MatMulNBits: every linear layer, not the embeddings, not the patch convolution."""
    return tensor.ndim == 2 and name.endswith("weight") and "embed" not in name and "patch_classes" not in name


def round_to_4_bits(weight):
    """Symmetric 4 bit in blocks of 32 along the input: (levels 0..15 with zero point 8, scales), the exporter's rounding."""
    n, k = weight.shape
    blocks = weight.reshape(n, k // BLOCK, BLOCK)
    extreme = blocks.gather(2, blocks.abs().argmax(2, keepdim=True))
    scale = extreme / -8
    safe = torch.where(scale == 0, torch.ones_like(scale), scale)
    levels = torch.clamp(torch.round(blocks / safe) + 8, 0, 15)
    return levels, scale


class FakeQuantize(nn.Module):
    """Rounds a weight on the way forward and passes the gradient straight through."""

    def forward(self, weight):
        levels, scale = round_to_4_bits(weight.detach())
        rounded = ((levels - 8) * scale).reshape(weight.shape)
        return weight + (rounded - weight).detach()


def fake_quantize(model):
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and is_quantized(name + ".weight", module.weight):
            nn.utils.parametrize.register_parametrization(module, "weight", FakeQuantize())


def plain_state(model):
    """The weights under their plain names, whether or not fake quantisation is on."""
    return {k.replace("parametrizations.weight.original", "weight"): v for k, v in model.state_dict().items()}
