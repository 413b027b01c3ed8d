//! The stored form of a configuration: nanochat's JSON, and what older programs left out.

use super::{ConfigError, Family, GptConfig, Parts};
use serde::Deserialize;

/// The JSON form. nanochat writes the sizes only, and the window pattern, which tells the current family; what it does not write
/// has the family's value. A field
/// nobody knows means another architecture, so it is refused rather than ignored.
#[derive(Deserialize)]
pub(super) struct ConfigJson {
    family: Option<Family>,
    sequence_len: Option<usize>,
    vocab_size: Option<usize>,
    n_layer: Option<usize>,
    n_head: Option<usize>,
    n_kv_head: Option<usize>,
    n_embd: Option<usize>,
    rope_base: Option<f32>,
    softcap: Option<f32>,
    norm_eps: Option<f32>,
    window_pattern: Option<String>,
    vocab_multiple: Option<usize>,
    qk_gain: Option<f32>,
    value_embeds: Option<bool>,
    mixing: Option<bool>,
    smear: Option<bool>,
    backout: Option<bool>,
    tied_head: Option<bool>,
    gated_mlp: Option<bool>,
    norm_before_rope: Option<bool>,
    adjacent_pairs: Option<bool>,
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

impl TryFrom<ConfigJson> for GptConfig {
    type Error = ConfigError;

    fn try_from(json: ConfigJson) -> Result<Self, ConfigError> {
        if let Some(field) = json.unknown.keys().next() {
            return Err(ConfigError::OtherFamily { field: field.clone() });
        }
        let size = |value: Option<usize>, field| value.ok_or(ConfigError::Missing { field });
        let told = if json.window_pattern.is_some() { Family::Current } else { Family::Classic };
        let family = json.family.unwrap_or(told);
        let default = Self::of(family);
        let parts = Parts {
            value_embeds: json.value_embeds.unwrap_or(default.parts.value_embeds),
            mixing: json.mixing.unwrap_or(default.parts.mixing),
            smear: json.smear.unwrap_or(default.parts.smear),
            backout: json.backout.unwrap_or(default.parts.backout),
            tied_head: json.tied_head.unwrap_or(false),
            gated_mlp: json.gated_mlp.unwrap_or(false),
            norm_before_rope: json.norm_before_rope.unwrap_or(false),
            adjacent_pairs: json.adjacent_pairs.unwrap_or(false),
        };
        let n_head = size(json.n_head, "n_head")?;
        let config = Self {
            family,
            sequence_len: size(json.sequence_len, "sequence_len")?,
            vocab_size: size(json.vocab_size, "vocab_size")?,
            n_layer: size(json.n_layer, "n_layer")?,
            n_head,
            n_kv_head: json.n_kv_head.unwrap_or(n_head),
            n_embd: size(json.n_embd, "n_embd")?,
            rope_base: json.rope_base.unwrap_or(default.rope_base),
            softcap: json.softcap.unwrap_or(default.softcap),
            norm_eps: json.norm_eps.unwrap_or(default.norm_eps),
            // Before there were windows every layer saw all of the context.
            window_pattern: json.window_pattern.unwrap_or_else(|| before_windows(family)),
            vocab_multiple: json.vocab_multiple.unwrap_or(default.vocab_multiple),
            qk_gain: json.qk_gain.unwrap_or(default.qk_gain),
            parts,
        };
        config.validate()?;
        Ok(config)
    }
}

/// The pattern of a stored configuration that has none.
fn before_windows(family: Family) -> String {
    let letters = match family {
        Family::Classic => "",
        Family::Current => "L",
    };
    letters.into()
}
