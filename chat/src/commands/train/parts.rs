//! Parts of the architecture as options: `--with PART`, `--without PART`.

use clap::builder::PossibleValue;
use model::Part;

/// A part's name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartArg(pub Part);

/// As many as there are.
const COUNT: usize = Part::EVERY.len();

const EVERY: [PartArg; COUNT] = {
    let mut every = [PartArg(Part::EVERY[0]); COUNT];
    let mut i = 0;
    while i < COUNT {
        every[i] = PartArg(Part::EVERY[i]);
        i += 1;
    }
    every
};

impl clap::ValueEnum for PartArg {
    fn value_variants<'a>() -> &'a [Self] {
        &EVERY
    }
    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()).help(self.0.says()))
    }
}

/// What a model has more or less than its generation.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct PartArgs {
    /// Build in a part that the generation lacks; may be repeated
    #[arg(long, value_enum, value_name = "PART")]
    pub with: Vec<PartArg>,
    /// Leave out a part that the generation has; may be repeated
    #[arg(long, value_enum, value_name = "PART")]
    pub without: Vec<PartArg>,
}
