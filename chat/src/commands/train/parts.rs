//! Parts of the architecture and of Muon as options: `--with PART`, `--without PART`, `--muon-without PART`.

use clap::builder::PossibleValue;
use model::{ConfigError, GptConfig, Part};
use train::optim::MuonPart;

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

/// The name of a part of today's Muon on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MuonArg(pub MuonPart);

impl clap::ValueEnum for MuonArg {
    fn value_variants<'a>() -> &'a [Self] {
        const EVERY: [MuonArg; 4] = {
            let [a, b, c, d] = MuonPart::EVERY;
            [MuonArg(a), MuonArg(b), MuonArg(c), MuonArg(d)]
        };
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

impl PartArgs {
    /// `config` with these parts added, then those taken away; not validated yet.
    pub fn applied_to(&self, config: GptConfig) -> Result<GptConfig, ConfigError> {
        let config = self.with.iter().try_fold(config, |config, PartArg(part)| config.with(*part))?;
        self.without.iter().try_fold(config, |config, PartArg(part)| config.without(*part))
    }
}
