//! What a model may have or lack, whatever its family: the parts of the current one, and others that people ask for.
//!
//! A family is a choice of parts ([`Parts::NONE`], [`Parts::ALL`]); [`GptConfig::with`] and [`GptConfig::without`] change it by
//! one. So an idea is judged by training the same model with it and without it. The last five are in neither family: they
//! are what is often taken for granted about such models. What is asked for twice, or taken away where it is not, is refused:
//! then the two models would be the same, and the comparison would say nothing.

use super::{ConfigError, Family, GptConfig};
use serde::Serialize;

/// Switches of the architecture that are no numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Parts {
    /// A second embedding of every token, added to the values of every other layer through a gate.
    pub value_embeds: bool,
    /// Before each block, `x ← resid·x + x0·x₀` with the smeared embedding x₀ and two learned numbers per layer.
    pub mixing: bool,
    /// Each embedding is given a gated share of the one before it.
    pub smear: bool,
    /// What the middle block left is partly taken back at the end.
    pub backout: bool,
    /// The embedding is the head, too.
    #[serde(skip_serializing_if = "is_false")]
    pub tied_head: bool,
    /// `relu²(W₁x)∘W₂x` in the MLP in place of `relu²(W₁x)`.
    #[serde(skip_serializing_if = "is_false")]
    pub gated_mlp: bool,
    /// Queries and keys are normalised first and rotated then.
    #[serde(skip_serializing_if = "is_false")]
    pub norm_before_rope: bool,
    /// Channels 2j and 2j+1 are rotated together, in place of j and j + D/2.
    #[serde(skip_serializing_if = "is_false")]
    pub adjacent_pairs: bool,
}

/// What is off is not written, so that older programs read what they know.
fn is_false(on: &bool) -> bool {
    !*on
}

impl Parts {
    /// The classic family.
    pub const NONE: Parts = Parts {
        value_embeds: false,
        mixing: false,
        smear: false,
        backout: false,
        tied_head: false,
        gated_mlp: false,
        norm_before_rope: false,
        adjacent_pairs: false,
    };
    /// The current family.
    pub const ALL: Parts =
        Parts { value_embeds: true, mixing: true, smear: true, backout: true, ..Parts::NONE };
}

/// Something that a model has or lacks, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// Windows.
    Windows,
    /// Value embeddings.
    ValueEmbeds,
    /// Mixing.
    Mixing,
    /// Smear.
    Smear,
    /// Backout.
    Backout,
    /// Normalised queries and keys longer than 1.
    QkGain,
    /// Rows of embedding and head up to a multiple of 64.
    VocabPadding,
    /// One matrix as embedding and head.
    TiedHead,
    /// A gate in the MLP.
    GatedMlp,
    /// The norm of queries and keys before the rotation.
    NormBeforeRope,
    /// Rotation of neighbouring channels.
    AdjacentPairs,
    /// As many heads as blocks, and a quarter as many for keys and values.
    GroupedHeads,
}

impl Part {
    /// All of them, in the order in which they are listed.
    pub const EVERY: [Part; 12] = [
        Part::Windows,
        Part::ValueEmbeds,
        Part::Mixing,
        Part::Smear,
        Part::Backout,
        Part::QkGain,
        Part::VocabPadding,
        Part::TiedHead,
        Part::GatedMlp,
        Part::NormBeforeRope,
        Part::AdjacentPairs,
        Part::GroupedHeads,
    ];

    /// As it is written on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Part::Windows => "windows",
            Part::ValueEmbeds => "value-embeds",
            Part::Mixing => "mixing",
            Part::Smear => "smear",
            Part::Backout => "backout",
            Part::QkGain => "qk-gain",
            Part::VocabPadding => "vocab-padding",
            Part::TiedHead => "tied-head",
            Part::GatedMlp => "gated-mlp",
            Part::NormBeforeRope => "norm-before-rope",
            Part::AdjacentPairs => "adjacent-pairs",
            Part::GroupedHeads => "grouped-heads",
        }
    }

    /// What it is, in a line.
    pub fn says(self) -> &'static str {
        match self {
            Part::Windows => "Three layers of four see a quarter of the context",
            Part::ValueEmbeds => "Second embeddings of tokens, added to the values of every other layer",
            Part::Mixing => "Learned shares of the stream and the embedding before each block",
            Part::Smear => "A look at the token before, ahead of all blocks",
            Part::Backout => "Taking back a share of what the middle block left",
            Part::QkGain => "Queries and keys 1.2 times as long",
            Part::VocabPadding => "Embedding and head with a multiple of 64 rows",
            Part::TiedHead => "The embedding is the head, too",
            Part::GatedMlp => "relu²(W₁x)∘W₂x in the MLP, which is narrower by a third",
            Part::NormBeforeRope => "Queries and keys normalised before they are rotated",
            Part::AdjacentPairs => "Neighbouring channels rotated together, counter-clockwise",
            Part::GroupedHeads => "As many heads as blocks, a quarter as many for keys and values",
        }
    }
}

impl GptConfig {
    /// Does the model have it?
    pub fn has(&self, part: Part) -> bool {
        match part {
            Part::Windows => self.window_pattern.bytes().any(|letter| letter.eq_ignore_ascii_case(&b'S')),
            Part::ValueEmbeds => self.parts.value_embeds,
            Part::Mixing => self.parts.mixing,
            Part::Smear => self.parts.smear,
            Part::Backout => self.parts.backout,
            Part::QkGain => self.qk_gain != 1.0,
            Part::VocabPadding => self.vocab_multiple > 1,
            Part::TiedHead => self.parts.tied_head,
            Part::GatedMlp => self.parts.gated_mlp,
            Part::NormBeforeRope => self.parts.norm_before_rope,
            Part::AdjacentPairs => self.parts.adjacent_pairs,
            Part::GroupedHeads => self.n_kv_head < self.n_head,
        }
    }

    /// The same model with a part that it lacks; not validated yet.
    pub fn with(self, part: Part) -> Result<GptConfig, ConfigError> {
        if self.has(part) {
            return Err(ConfigError::HasPart { part: part.name() });
        }
        let current = GptConfig::of(Family::Current);
        let mut config = self;
        match part {
            Part::Windows => config.window_pattern = current.window_pattern,
            Part::QkGain => config.qk_gain = current.qk_gain,
            Part::VocabPadding => config.vocab_multiple = current.vocab_multiple,
            Part::GroupedHeads => {
                config.n_head = config.n_layer;
                config.n_kv_head = (config.n_layer / 4).max(1);
            }
            _ => config.switch(part, true),
        }
        Ok(config)
    }

    /// The same model without a part that it has; not validated yet.
    pub fn without(self, part: Part) -> Result<GptConfig, ConfigError> {
        if !self.has(part) {
            return Err(ConfigError::LacksPart { part: part.name() });
        }
        let mut config = self;
        match part {
            Part::Windows => config.window_pattern = "L".into(),
            Part::QkGain => config.qk_gain = 1.0,
            Part::VocabPadding => config.vocab_multiple = 1,
            Part::GroupedHeads => config.n_kv_head = config.n_head,
            _ => config.switch(part, false),
        }
        Ok(config)
    }

    fn switch(&mut self, part: Part, on: bool) {
        match part {
            Part::ValueEmbeds => self.parts.value_embeds = on,
            Part::Mixing => self.parts.mixing = on,
            Part::Smear => self.parts.smear = on,
            Part::Backout => self.parts.backout = on,
            Part::TiedHead => self.parts.tied_head = on,
            Part::GatedMlp => self.parts.gated_mlp = on,
            Part::NormBeforeRope => self.parts.norm_before_rope = on,
            Part::AdjacentPairs => self.parts.adjacent_pairs = on,
            Part::Windows | Part::QkGain | Part::VocabPadding | Part::GroupedHeads => {} // numbers, see above
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_can_be_added_where_it_lacks_and_taken_where_it_is_and_nothing_else() {
        for family in [Family::Classic, Family::Current] {
            let start = GptConfig::of(family);
            for part in Part::EVERY {
                let (there, name) = (start.has(part), part.name());
                let changed = if there { start.clone().without(part) } else { start.clone().with(part) };
                let changed = changed.unwrap();
                assert_ne!(changed.has(part), there, "{name}");
                assert_ne!(changed, start, "{name} changes nothing");
                changed.validate().unwrap();
                let others = Part::EVERY.into_iter().filter(|other| *other != part);
                assert!(
                    others.into_iter().all(|o| changed.has(o) == start.has(o)),
                    "{name} moves another part"
                );
                let again = if there { changed.without(part) } else { changed.with(part) };
                assert!(again.unwrap_err().to_string().contains(name));
            }
        }
    }

    #[test]
    fn the_current_family_has_seven_parts_and_the_classic_one_none() {
        let count = |family| Part::EVERY.into_iter().filter(|p| GptConfig::of(family).has(*p)).count();
        assert_eq!([Family::Classic, Family::Current].map(count), [0, 7]);
    }
}
