//! Why a configuration makes no model: each refusal names the rule, and what would be allowed.

/// Why a shape cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A size is zero.
    #[error("{field} is 0: set it to at least 1")]
    Zero {
        /// The field.
        field: &'static str,
    },
    /// A size is beyond what counts can hold.
    #[error("{field} is {value}: the largest supported value is {max}")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// Its value.
        value: usize,
        /// The largest value allowed.
        max: usize,
    },
    /// The width cannot be split into heads.
    #[error(
        "n_embd {n_embd} is not divisible by n_head {n_head}: use n_embd {} or another n_head",
        n_embd.next_multiple_of(*n_head)
    )]
    HeadsDoNotDivideWidth {
        /// Width.
        n_embd: usize,
        /// Query heads.
        n_head: usize,
    },
    /// The query heads cannot be shared out over the key and value heads.
    #[error(
        "n_head {n_head} is not divisible by n_kv_head {n_kv_head}: use n_kv_head {}",
        largest_divisor(*n_head, *n_kv_head)
    )]
    KvHeadsDoNotDivideHeads {
        /// Query heads.
        n_head: usize,
        /// Key and value heads.
        n_kv_head: usize,
    },
    /// Rotary embeddings turn pairs, so the size of a head must be even.
    #[error(
        "head_dim = n_embd/n_head = {head_dim} is odd: use n_embd {} so that rotary pairs fit",
        n_head * (head_dim + 1)
    )]
    OddHeadDim {
        /// Query heads.
        n_head: usize,
        /// Size of one head.
        head_dim: usize,
    },
    /// The derived width of this depth has no equal heads.
    #[error(
        "depth {depth} gives width {n_embd}, which {n_head} heads do not divide: use depth {} or {}",
        depth - 1,
        depth + 1
    )]
    Depth {
        /// The depth asked for.
        depth: usize,
        /// 64·depth.
        n_embd: usize,
        /// Heads of at most 128.
        n_head: usize,
    },
    /// A number of the recipe that must be positive is not.
    #[error("{field} is {value}: use a positive number")]
    NotPositive {
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// Nothing says how long to train.
    #[error("no training horizon: set num_iterations, target_flops or target_param_data_ratio")]
    NoHorizon,
    /// A window pattern has a letter that is no window.
    #[error("window_pattern {pattern:?} has the letter {letter:?}: use S (short) and L (long) only")]
    WindowLetter {
        /// The pattern.
        pattern: String,
        /// Its first unknown letter.
        letter: char,
    },
    /// The gates read the first channels of a row.
    #[error(
        "n_embd is {n_embd}, but {part} reads {needs} channels: use n_embd {needs} or more, or leave it out"
    )]
    TooNarrow {
        /// What reads them.
        part: &'static str,
        /// Width.
        n_embd: usize,
        /// How many it reads.
        needs: usize,
    },
    /// A position is smeared over its neighbour, so there must be one.
    #[error("sequence length {0} is too short for the current family: train on 2 tokens or more")]
    ShortSequence(usize),
    /// A part is asked for that is there already.
    #[error("{part} is part of this model already: leave --with {part} out, or choose the other generation")]
    HasPart {
        /// Its name.
        part: &'static str,
    },
    /// A part is taken away that is not there.
    #[error("{part} is no part of this model: leave --without {part} out, or choose the other generation")]
    LacksPart {
        /// Its name.
        part: &'static str,
    },
    /// A stored configuration belongs to a family that this program does not build.
    #[error(
        "the stored config has {field:?}, which neither family has: load a classic or current checkpoint"
    )]
    OtherFamily {
        /// The field that gives it away.
        field: String,
    },
    /// A stored configuration lacks a size.
    #[error("the stored config has no {field}: add it to the JSON")]
    Missing {
        /// The field.
        field: &'static str,
    },
}

/// The largest divisor of `n` that is at most `limit`.
fn largest_divisor(n: usize, limit: usize) -> usize {
    (1..=limit.min(n)).rev().find(|d| n.is_multiple_of(*d)).unwrap_or(1)
}
