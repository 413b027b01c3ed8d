//! What several commands need: finding a run, loading its model and tokenizer, Ctrl-C.

use crate::globals::{Globals, INTERRUPTED, Stopped, Usage};
use anyhow::{Context, bail};
use model::{ConfigError, Family, Gpt, GptConfig, GptOptions, Quantize};
use std::ops::Deref;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use tokenizer::Tokenizer;
use train::checkpoint::{self, State};
use train::data::ahead::Ahead;
use train::data::best_fit::{self, BestFit};
use train::data::flat::{FlatStream, Step};
use train::data::shards::{Documents, Listed, Shards, Split};
use train::data::source::{Rank, Source, TOKENIZER_BATCH};
use train::data::{Dataset, Loader, TokenStream};
use train::optim::NsDtype;
use train::run::Layout;

/// Precision of Muon's Newton–Schulz iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum NsArg {
    /// bf16 where this processor multiplies it, f32 elsewhere
    #[default]
    Auto,
    /// 32-bit floats
    F32,
    /// bf16, as the original
    #[value(alias = "bfloat16")]
    Bf16,
}

impl NsArg {
    /// What it means here.
    pub fn chosen(self) -> NsDtype {
        match self {
            NsArg::Auto => NsDtype::fastest(),
            NsArg::F32 => NsDtype::F32,
            NsArg::Bf16 => NsDtype::Bf16,
        }
    }
}

static STOP: AtomicBool = AtomicBool::new(false);
static WANTED: AtomicU8 = AtomicU8::new(Wanted::End as u8);
static HANDLER: OnceLock<()> = OnceLock::new();

/// What the next Ctrl-C, or the system's request to end (SIGTERM, SIGHUP), shall do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Let a training step be finished; a second one ends the program.
    StopAfterStep,
    /// End the program: nothing unsaved is at stake.
    End,
    /// End the answer that is being given.
    StopAnswer,
}

fn handle_interrupts() {
    HANDLER.get_or_init(|| {
        // Without a handler Ctrl-C simply ends the program, which loses nothing that was saved.
        let _ = ctrlc::set_handler(|| {
            let wanted = WANTED.load(Ordering::Relaxed);
            if wanted == Wanted::StopAnswer as u8 && !STOP.swap(true, Ordering::Relaxed) {
                return;
            }
            if wanted != Wanted::StopAfterStep as u8 || STOP.swap(true, Ordering::Relaxed) {
                std::process::exit(i32::from(INTERRUPTED));
            }
            crate::output::error("\nstopping after this step (press Ctrl-C again to stop at once)");
        });
    });
}

/// While it lives, the first Ctrl-C sets this flag and the second ends the program; afterwards the first ends it.
pub struct StopFlag(());

/// A flag for work that can stop and be continued.
pub fn stop_flag() -> StopFlag {
    handle_interrupts();
    WANTED.store(Wanted::StopAfterStep as u8, Ordering::Relaxed);
    StopFlag(())
}

impl Deref for StopFlag {
    type Target = AtomicBool;
    fn deref(&self) -> &AtomicBool {
        &STOP
    }
}

impl Drop for StopFlag {
    fn drop(&mut self) {
        WANTED.store(Wanted::End as u8, Ordering::Relaxed);
    }
}

/// An error if it was asked to stop while the last work that could stop was about to end by itself.
pub fn go_on() -> Result<(), Stopped> {
    if STOP.load(Ordering::Relaxed) { Err(Stopped) } else { Ok(()) }
}

/// While it lives, Ctrl-C is noted instead of ending the program; a second one that nobody took notice of ends it.
pub struct Interrupt(());

impl Interrupt {
    /// From now on.
    pub fn new() -> Interrupt {
        handle_interrupts();
        STOP.store(false, Ordering::Relaxed);
        WANTED.store(Wanted::StopAnswer as u8, Ordering::Relaxed);
        Interrupt(())
    }
    /// Was Ctrl-C pressed?
    pub fn came(&self) -> bool {
        STOP.load(Ordering::Relaxed)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        WANTED.store(Wanted::End as u8, Ordering::Relaxed);
        STOP.store(false, Ordering::Relaxed);
    }
}

/// A trained model with everything needed to use it.
pub struct Loaded {
    /// Weights.
    pub gpt: Gpt,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// What its checkpoint says.
    pub state: State,
    /// Name of the run.
    pub run: String,
}

/// The run called `name`, or the one trained most recently.
pub fn find_run(layout: &Layout, name: Option<&str>) -> anyhow::Result<String> {
    if let Some(name) = name {
        return Ok(name.to_string());
    }
    let Some(latest) = layout.runs().pop() else {
        bail!(
            "no trained model under {}: make one with `nanochat demo` or `nanochat train base`",
            layout.base().display()
        )
    };
    Ok(latest)
}

/// Load the newest checkpoint of a run, on the device and in the precision asked for.
pub fn load_run(globals: &Globals, name: Option<&str>, tokenizer: Option<&Path>) -> anyhow::Result<Loaded> {
    let layout = globals.layout()?;
    let run = find_run(&layout, name)?;
    let folder = layout.run(&run).checkpoints().latest()?;
    let folder = folder.with_context(|| {
        format!("run {run:?} has no checkpoint; known runs: {}", layout.runs().join(", "))
    })?;
    let (gpt, state) = load_checkpoint(&folder, globals.gpt_options())?;
    let tokenizer = match tokenizer {
        Some(dir) => Tokenizer::load(dir)?,
        None => run_tokenizer(&layout, &state)?,
    };
    check_tokenizer(&tokenizer, &state)?;
    Ok(Loaded { gpt, tokenizer, state, run })
}

/// Weights in fewer bytes than they were trained in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A byte for each number, and a scale for each row of a matrix
    Int8,
}

/// How weights are held while a model is used.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Weights {
    /// Hold the matrices in fewer bytes: faster, a little less exact
    #[arg(long, value_name = "FORMAT")]
    quantize: Option<Format>,
}

impl Weights {
    /// What the model calls it.
    pub fn quantize(self) -> Option<Quantize> {
        self.quantize.map(|Format::Int8| Quantize::Int8)
    }
}

impl Loaded {
    /// With the model prepared for drawing tokens: no further training.
    pub fn for_inference(self, quantize: Option<Quantize>) -> anyhow::Result<Loaded> {
        Ok(Loaded { gpt: self.gpt.for_inference(quantize)?, ..self })
    }
}

/// A checkpoint's model.
pub fn load_checkpoint(folder: &Path, options: GptOptions) -> anyhow::Result<(Gpt, State)> {
    let state = checkpoint::load_state(folder)?;
    let weights = checkpoint::load_weights(folder, &state.model_config, options.device)?;
    Ok((Gpt::from_weights(state.model_config.clone(), weights, options)?, state))
}

/// The tokenizer a checkpoint was trained with, as its options name it.
pub fn run_tokenizer(layout: &Layout, state: &State) -> anyhow::Result<Tokenizer> {
    let name = state.options["tokenizer"].as_str().unwrap_or("default");
    load_tokenizer(layout, name)
}

/// The tokenizer called `name`.
pub fn load_tokenizer(layout: &Layout, name: &str) -> anyhow::Result<Tokenizer> {
    let dir = layout.tokenizer(name);
    Tokenizer::load(&dir)
        .with_context(|| format!("loading tokenizer {name:?}; train one with `nanochat tok train`"))
}

/// Ids of one vocabulary mean nothing in another.
pub fn check_tokenizer(tokenizer: &Tokenizer, state: &State) -> anyhow::Result<()> {
    if tokenizer.fingerprint() != state.tokenizer_fingerprint {
        bail!(
            "the tokenizer has changed since this model was trained; restore it with `nanochat tok train` on the same data, or train a new model"
        );
    }
    Ok(())
}

/// Which recipe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Generation {
    /// Autumn 2025
    #[default]
    Classic,
    /// 2026: windows, value embeddings, mixing, smear, backout; Muon as it is today
    Current,
}

impl Generation {
    /// The architecture.
    pub fn family(self) -> Family {
        match self {
            Generation::Classic => Family::Classic,
            Generation::Current => Family::Current,
        }
    }
    /// The model of a depth.
    pub fn of_depth(self, depth: usize, vocab: usize, sequence_len: usize) -> Result<GptConfig, ConfigError> {
        match self {
            Generation::Classic => GptConfig::classic_from_depth(depth, vocab, sequence_len),
            Generation::Current => GptConfig::current_from_depth(depth, vocab, sequence_len),
        }
    }
}

/// How rows are made of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LoaderArg {
    /// One stream of all documents in memory, in a new order each epoch
    Shuffled,
    /// One stream of the documents as they come, read shard by shard
    Flat,
    /// Rows that begin with a document, filled by best fit
    BestFit,
}

/// Training documents, held-out ones if there are any, and what is chosen, for the checkpoint.
type DocumentLoaders = (Box<dyn Loader>, Option<Box<dyn Loader>>, Option<&'static str>);

/// The loaders of a data set's documents.
pub fn document_loaders(
    data: &Dataset,
    loader: Option<LoaderArg>,
    tokenizer: &Tokenizer,
    seed: u64,
) -> anyhow::Result<DocumentLoaders> {
    let sharded = data.is_sharded();
    let loader = loader.unwrap_or(if sharded { LoaderArg::Flat } else { LoaderArg::Shuffled });
    if loader == LoaderArg::Shuffled {
        if sharded {
            bail!(Usage(
                "--loader shuffled holds all documents in memory; shards are read with flat or best-fit"
                    .into()
            ));
        }
        let train = TokenStream::new(&data.documents()?, tokenizer, Some(seed))?;
        return Ok((Box::new(train), held_out(data, tokenizer)?, None));
    }
    let train: Box<dyn Documents> = match sharded {
        true => Box::new(Shards::open(data.dir(), Split::Train)?),
        false => Box::new(Listed::new(data.documents()?, 1)),
    };
    let make = |source: Source| -> Box<dyn Loader> {
        match loader {
            LoaderArg::BestFit => Box::new(BestFit::new(source, best_fit::HELD)),
            _ => Box::new(FlatStream::new(source, Step::Tokens)),
        }
    };
    let ahead = |loader| Box::new(Ahead::new(loader)) as Box<dyn Loader>;
    let name = if loader == LoaderArg::BestFit { "best-fit" } else { "flat" };
    let source = |documents| Source::new(documents, tokenizer, Rank::default(), TOKENIZER_BATCH);
    let validation = match sharded {
        true => {
            let shards: Box<dyn Documents> = Box::new(Shards::open(data.dir(), Split::Validation)?);
            Some(make(source(shards)?))
        }
        false => {
            let documents = data.validation_documents()?;
            let listed: Box<dyn Documents> = Box::new(Listed::new(documents.clone(), 1));
            if documents.is_empty() { None } else { Some(make(source(listed)?)) }
        }
    };
    Ok((ahead(make(source(train)?)), validation, Some(name)))
}

/// A stream of the held-out documents, if there are any.
pub fn held_out(data: &Dataset, tokenizer: &Tokenizer) -> anyhow::Result<Option<Box<dyn Loader>>> {
    if data.is_sharded() {
        let shards = Box::new(Shards::open(data.dir(), Split::Validation)?);
        let source = Source::new(shards, tokenizer, Rank::default(), TOKENIZER_BATCH)?;
        return Ok(Some(Box::new(FlatStream::new(source, Step::Tokens))));
    }
    let documents = data.validation_documents()?;
    match documents.is_empty() {
        true => Ok(None),
        false => Ok(Some(Box::new(TokenStream::new(&documents, tokenizer, None)?))),
    }
}
