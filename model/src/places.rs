//! Where each weight is in a model's list.

use crate::config::GptConfig;

/// Places of the weights. A part that the model lacks has none.
pub(crate) struct Places {
    pub wte: usize,
    pub lm_head: usize,
    pub resid_lambdas: Option<usize>,
    pub x0_lambdas: Option<usize>,
    pub smear_lambda: Option<usize>,
    pub smear_gate: Option<usize>,
    pub backout_lambda: Option<usize>,
    pub blocks: Vec<BlockPlaces>,
}

/// Those of one block.
pub(crate) struct BlockPlaces {
    /// c_q, c_k, c_v, attention's c_proj, c_fc, the MLP's c_proj.
    pub matrices: [usize; 6],
    /// c_up, where the MLP has a gate.
    pub mlp_up: Option<usize>,
    /// The gate of the value embedding, and the embedding.
    pub values: Option<(usize, usize)>,
}

impl Places {
    /// Of weights with these names.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>, config: &GptConfig) -> Places {
        let names: Vec<&str> = names.collect();
        let find = |name: &str| names.iter().position(|n| *n == name);
        // In every model, unless its matrices were taken away to be packed; then nobody asks for this place.
        let here = |name: &str| find(name).unwrap_or(usize::MAX);
        let block = |i: usize| {
            let at = |part: &str| here(&format!("transformer.h.{i}.{part}.weight"));
            let gate = find(&format!("transformer.h.{i}.attn.ve_gate.weight"));
            BlockPlaces {
                matrices: ["attn.c_q", "attn.c_k", "attn.c_v", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]
                    .map(at),
                mlp_up: find(&format!("transformer.h.{i}.mlp.c_up.weight")),
                values: gate.zip(find(&format!("value_embeds.{i}.weight"))),
            }
        };
        Places {
            wte: here("transformer.wte.weight"),
            lm_head: here(if config.parts.tied_head { "transformer.wte.weight" } else { "lm_head.weight" }),
            resid_lambdas: find("resid_lambdas"),
            x0_lambdas: find("x0_lambdas"),
            smear_lambda: find("smear_lambda"),
            smear_gate: find("smear_gate.weight"),
            backout_lambda: find("backout_lambda"),
            blocks: (0..config.n_layer).map(block).collect(),
        }
    }
}
