//! What the current family adds to a configuration, each of it a switch: windows, value embeddings, mixing, smear, backout.
//!
//! A window of W means that a position sees itself and the W before it. L is `sequence_len`, S is a quarter of it, rounded up
//! to a multiple of 128 (so in a very short context S may exceed L). The last layer is always L. Value embeddings are in
//! every other layer and always in the last. The embedding and the head get rows up to a multiple of 64, which no token has.
//! Which parts there are, and how each is switched: `config/parts.rs`.
//! Where to read next: `block.rs` and `gpt.rs`, which compute all this.

use super::{ConfigError, Family, GptConfig, MAX_LAYERS, Parts, check_size};

/// Channels that the gate of a value embedding reads.
pub(super) const VALUE_GATE_CHANNELS: usize = 12;
/// Channels that the gate of the smear reads.
pub(super) const SMEAR_GATE_CHANNELS: usize = 24;
/// Size of a head of the series.
const HEAD_DIM: usize = 128;
/// Short windows are multiples of this.
const WINDOW_MULTIPLE: usize = 128;

impl GptConfig {
    /// The defaults of a family: 12 layers of width 768.
    pub fn of(family: Family) -> GptConfig {
        match family {
            Family::Classic => GptConfig::default(),
            Family::Current => GptConfig {
                family,
                sequence_len: 2048,
                vocab_size: 32768,
                rope_base: 100_000.0,
                window_pattern: "SSSL".into(),
                vocab_multiple: 64,
                qk_gain: 1.2,
                parts: Parts::ALL,
                ..GptConfig::default()
            },
        }
    }

    /// The current family from its depth: width 64·depth rounded up to a multiple of 128, heads of 128.
    pub fn current_from_depth(
        depth: usize,
        vocab_size: usize,
        sequence_len: usize,
    ) -> Result<Self, ConfigError> {
        check_size("depth", depth, MAX_LAYERS)?;
        let n_embd = (64 * depth).next_multiple_of(HEAD_DIM);
        let n_head = n_embd / HEAD_DIM;
        let sizes =
            GptConfig { n_layer: depth, n_embd, n_head, n_kv_head: n_head, ..Self::of(Family::Current) };
        let config = GptConfig { vocab_size, sequence_len, ..sizes };
        config.validate()?;
        Ok(config)
    }

    /// The rules of the current family.
    pub(super) fn validate_current(&self) -> Result<(), ConfigError> {
        let letter = |c: &char| !matches!(c.to_ascii_uppercase(), 'S' | 'L');
        if let Some(letter) = self.window_pattern.chars().find(letter) {
            return Err(ConfigError::WindowLetter { pattern: self.window_pattern.clone(), letter });
        }
        let reads = [
            (self.parts.smear, "smear", SMEAR_GATE_CHANNELS),
            (self.parts.value_embeds, "the gate of value_embeds", VALUE_GATE_CHANNELS),
        ];
        for (built, part, needs) in reads {
            if built && self.n_embd < needs {
                return Err(ConfigError::TooNarrow { part, n_embd: self.n_embd, needs });
            }
        }
        if self.parts.smear && self.sequence_len < 2 {
            return Err(ConfigError::ShortSequence(self.sequence_len));
        }
        Ok(())
    }

    /// Rows of the embedding and the head: the vocabulary, rounded up.
    pub fn padded_vocab(&self) -> usize {
        self.vocab_size.next_multiple_of(self.vocab_multiple.max(1))
    }

    /// How many positions before its own a position of this layer sees; `None`: all.
    pub fn window(&self, layer: usize) -> Option<usize> {
        let letters = self.window_pattern.as_bytes();
        if letters.is_empty() {
            return None;
        }
        let short = letters[layer % letters.len()].eq_ignore_ascii_case(&b'S') && layer + 1 < self.n_layer;
        let quarter = self.sequence_len.div_ceil(4).next_multiple_of(WINDOW_MULTIPLE);
        Some(if short { quarter } else { self.sequence_len })
    }

    /// Positions that all layers together attend to, for a query with `context` positions, where W and the own one count as W.
    pub fn attended(&self, context: usize) -> u64 {
        (0..self.n_layer).map(|layer| self.window(layer).map_or(context, |w| w.min(context)) as u64).sum()
    }

    /// Does this layer have value embeddings?
    pub fn has_values(&self, layer: usize) -> bool {
        self.parts.value_embeds && layer % 2 == (self.n_layer - 1) % 2
    }

    /// The numbers that come first among the weights.
    pub(super) fn leading_scalars(&self) -> Vec<(String, Vec<usize>)> {
        let all = [
            (self.parts.mixing, "resid_lambdas", self.n_layer),
            (self.parts.mixing, "x0_lambdas", self.n_layer),
            (self.parts.smear, "smear_lambda", 1),
            (self.parts.backout, "backout_lambda", 1),
        ];
        all.iter().filter(|(built, ..)| *built).map(|(_, name, n)| (name.to_string(), vec![*n])).collect()
    }

    /// The weights that come after the head.
    pub(super) fn trailing_weights(&self) -> Vec<(String, Vec<usize>)> {
        let gate = ("smear_gate.weight".to_string(), vec![1, SMEAR_GATE_CHANNELS]);
        let mut weights = if self.parts.smear { vec![gate] } else { Vec::new() };
        let shape = vec![self.padded_vocab(), self.n_kv_head * self.head_dim()];
        let layers = (0..self.n_layer).filter(|&layer| self.has_values(layer));
        weights.extend(layers.map(|layer| (format!("value_embeds.{layer}.weight"), shape.clone())));
        weights
    }
}
