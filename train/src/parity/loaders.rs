//! Data loaders: every batch that they gave, the places they reported, and how they resumed; and the shards themselves.

use super::input::{bytes, file_name, find_support, json};
use super::kind::Case;
use super::report::{Checked, Reporter, Stop, fail};
use super::tokenizer::{same, some};
use crate::data::best_fit::BestFit;
use crate::data::flat::{FlatStream, Step};
use crate::data::packer::{Overlong, Packer};
use crate::data::padded::PaddedBatches;
use crate::data::parquet::ParquetFile;
use crate::data::shards::{Shards, Split};
use crate::data::source::{Rank, RowGroup, Source};
use crate::data::talk_stream::TalkStream;
use crate::data::{Loader, Rows};
use ::tokenizer::Tokenizer;
use ::tokenizer::conversation::Conversation;
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
struct State {
    pq_idx: usize,
    rg_idx: usize,
    epoch: Option<u64>,
}

impl State {
    fn group(self) -> RowGroup {
        RowGroup { file: self.pq_idx, group: self.rg_idx, epoch: self.epoch.unwrap_or(1) }
    }
}

#[derive(Deserialize)]
struct Batch {
    inputs: Vec<Vec<i32>>,
    targets: Vec<Vec<i32>>,
    state: Option<State>,
    last_step: Option<bool>,
    approx_progress: Option<f64>,
    current_epoch: Option<u64>,
}

/// One run of a loader. `from_case` and `resume_state`: it continues another.
#[derive(Deserialize)]
struct Run {
    #[serde(rename = "B", alias = "batch_size")]
    b: Option<usize>,
    #[serde(rename = "T")]
    t: Option<usize>,
    buffer_size: Option<usize>,
    tokenizer_batch_size: Option<usize>,
    split: Option<String>,
    rank: Option<usize>,
    world_size: Option<usize>,
    num_iterations: Option<i64>,
    batches: Vec<Batch>,
    batch_indices: Option<Vec<usize>>,
    from_case: Option<usize>,
    resume_state: Option<State>,
}

impl Run {
    fn rank(&self) -> Rank {
        Rank { rank: self.rank.unwrap_or(0), world: self.world_size.unwrap_or(1) }
    }
    fn shape(&self) -> Checked<(usize, usize)> {
        match (self.b, self.t) {
            (Some(b), t) if b > 0 => Ok((b, t.unwrap_or(1))),
            _ => fail("a run without B"),
        }
    }
    /// Compare batch after batch; `next` gives ours and what else is known of it.
    fn compare(&self, mut next: impl FnMut(usize, &Batch) -> Checked<Rows>) -> Checked<String> {
        let mut at = 0;
        for (i, batch) in self.batches.iter().enumerate() {
            let index = self.batch_indices.as_ref().and_then(|b| b.get(i)).copied().unwrap_or(i);
            if index < at || index > at + 10_000 {
                return fail("batch_indices do not ascend");
            }
            for skipped in at..index {
                next(skipped, &Batch { state: None, ..Batch::nothing() })?;
            }
            let ours = next(index, batch).map_err(|stop| note(stop, index))?;
            let rows = |ids: &[i32]| ids.chunks(ours.t).map(<[i32]>::to_vec).collect::<Vec<_>>();
            same("inputs", &rows(&ours.ids), &batch.inputs).map_err(|stop| note(stop, index))?;
            same("targets", &rows(&ours.targets), &batch.targets).map_err(|stop| note(stop, index))?;
            at = index + 1;
        }
        some(self.batches.len(), "batches")
    }
}

impl Batch {
    fn nothing() -> Batch {
        Batch {
            inputs: Vec::new(),
            targets: Vec::new(),
            state: None,
            last_step: None,
            approx_progress: None,
            current_epoch: None,
        }
    }
}

fn note(stop: Stop, index: usize) -> Stop {
    match stop {
        Stop::Fail(why) => Stop::Fail(format!("batch {index}: {why}")),
        skip => skip,
    }
}

struct Inputs {
    tokenizer: Tokenizer,
    dir: PathBuf,
    goldens: Option<PathBuf>,
}

impl Inputs {
    fn source(&self, run: &Run) -> Checked<Source> {
        let split = match run.split.as_deref() {
            Some("val") => Split::Validation,
            _ => Split::Train,
        };
        let parquet = find_support(&self.dir, "parquet", None)
            .or_else(|_| find_support(&self.dir, "dataloader/parquet", self.goldens.as_deref()))?;
        let shards = Shards::open(&parquet, split)?;
        let batch = run.tokenizer_batch_size.unwrap_or(crate::data::source::TOKENIZER_BATCH);
        Ok(Source::new(Box::new(shards), &self.tokenizer, run.rank(), batch)?)
    }
    fn conversations(&self) -> Checked<Vec<Conversation>> {
        let name = "sft_conversations.json";
        let here = self.dir.join(name);
        if here.is_file() {
            return json(&here);
        }
        json(&find_support(&self.dir, &format!("g2/{name}"), None).or_else(|_| {
            find_support(&self.dir, &format!("dataloader/g2/{name}"), self.goldens.as_deref())
        })?)
    }
}

pub(super) fn check(case: &Case, goldens: Option<&Path>, report: &mut Reporter<'_>) -> Checked {
    let ranks = find_support(&case.dir, "tokenizer/v512/ranks.tiktoken", goldens)?;
    let tokenizer = Tokenizer::import_tiktoken(&bytes(&ranks)?)?;
    let inputs = Inputs { tokenizer, dir: case.dir.clone(), goldens: goldens.map(Path::to_path_buf) };
    for file in &case.files {
        let name = file_name(file);
        let outcome = match name.as_str() {
            "flat_stream.json" => runs(file, report, |run, _| flat(&inputs, run, Step::TokensAndTarget)),
            "flat_stream_with_state.json" => {
                runs(file, report, |run, all| flat(&inputs, &with_shape_of(run, all), Step::Tokens))
            }
            "bestfit.json" => runs(file, report, |run, _| best_fit(&inputs, run)),
            "bestfit_resume.json" => resume(&inputs, file, report),
            "sft_packer.json" => runs(file, report, |run, _| packer(&inputs, run)),
            "mid_train_stream.json" => runs(file, report, |run, _| talk(&inputs, run)),
            "sft_padded_batches.json" => runs(file, report, |run, _| padded(&inputs, run)),
            "document_batches.json" => documents(&inputs, file, report),
            _ => continue, // sft_conversations.json is what others read
        };
        outcome.unwrap_or_else(|stop| report.stop(&name, stop));
    }
    Ok(())
}

/// A row for each run of a file.
fn runs(
    file: &Path,
    report: &mut Reporter<'_>,
    mut one: impl FnMut(&Run, &[Run]) -> Checked<String>,
) -> Checked {
    let all: Vec<Run> = json(file)?;
    let name = file_name(file);
    if all.is_empty() {
        return fail("no runs");
    }
    for (i, run) in all.iter().enumerate() {
        let outcome = one(run, &all);
        report.exact(&format!("{name} {i}"), outcome);
    }
    Ok(())
}

/// A run that continues another has its shape.
fn with_shape_of(run: &Run, all: &[Run]) -> Run {
    let first = run.from_case.and_then(|i| all.get(i)).unwrap_or(run);
    let batch = |b: &Batch| Batch {
        inputs: b.inputs.clone(),
        targets: b.targets.clone(),
        state: b.state,
        ..Batch::nothing()
    };
    Run {
        b: run.b.or(first.b),
        t: run.t.or(first.t),
        buffer_size: run.buffer_size.or(first.buffer_size),
        tokenizer_batch_size: run.tokenizer_batch_size.or(first.tokenizer_batch_size),
        split: run.split.clone().or_else(|| first.split.clone()),
        rank: run.rank.or(first.rank),
        world_size: run.world_size.or(first.world_size),
        num_iterations: None,
        batches: run.batches.iter().map(batch).collect(),
        batch_indices: run.batch_indices.clone(),
        from_case: None,
        resume_state: run.resume_state,
    }
}

fn flat(inputs: &Inputs, run: &Run, step: Step) -> Checked<String> {
    let (b, t) = run.shape()?;
    let mut source = inputs.source(run)?;
    if let Some(state) = run.resume_state {
        source.after(state.group())?;
    }
    let mut stream = FlatStream::new(source, step);
    run.compare(|_, batch| {
        let rows = stream.rows(b, t)?;
        let place = stream.source().last();
        if let Some(s) = batch.state {
            same("state", (place.file, place.group), (s.pq_idx, s.rg_idx))?;
        }
        Ok(rows)
    })
}

fn best_fit(inputs: &Inputs, run: &Run) -> Checked<String> {
    let (b, t) = run.shape()?;
    let mut source = inputs.source(run)?;
    if let Some(state) = run.resume_state {
        source.after(state.group())?;
    }
    let mut loader = BestFit::new(source, run.buffer_size.unwrap_or(crate::data::best_fit::HELD));
    run.compare(|_, batch| {
        let rows = loader.rows(b, t)?;
        if let Some(state) = batch.state {
            same("state", loader.source().last(), state.group())?;
        }
        Ok(rows)
    })
}

fn resume(inputs: &Inputs, file: &Path, report: &mut Reporter<'_>) -> Checked {
    let first: Vec<Run> = json(&file.with_file_name("bestfit.json"))?;
    let resumed: Vec<Run> = json(file)?;
    for (i, run) in resumed.iter().enumerate() {
        let known = run.from_case.is_some_and(|c| c < first.len()) && run.resume_state.is_some();
        let run = Run { from_case: run.from_case, ..with_shape_of(run, &first) };
        let outcome = if known { best_fit(inputs, &run) } else { fail("continues no run of bestfit.json") };
        report.exact(&format!("bestfit_resume.json {i}"), outcome);
    }
    some(resumed.len(), "runs").map(|_| ())
}

fn packer(inputs: &Inputs, run: &Run) -> Checked<String> {
    let (b, t) = run.shape()?;
    let hold = run.buffer_size.unwrap_or(crate::data::packer::HELD);
    let conversations = inputs.conversations()?;
    let mut packer = Packer::new(&conversations, &inputs.tokenizer, run.rank(), hold, Overlong::Keep)?;
    let steps = run.num_iterations.unwrap_or(-1);
    run.compare(|i, batch| {
        let rows = packer.rows(b, t)?;
        let done = i as i64 + 1;
        let progress = if steps > 0 { done as f64 / steps as f64 } else { packer.progress() };
        let last = packer.progress() >= 1.0 || (steps > 0 && done >= steps);
        if run.split.as_deref() != Some("val") {
            reported(batch, last, progress)?;
            if let Some(epoch) = batch.current_epoch {
                same("current_epoch", packer.epoch(), epoch)?;
            }
        }
        Ok(rows)
    })
}

fn talk(inputs: &Inputs, run: &Run) -> Checked<String> {
    let (b, t) = run.shape()?;
    let mut stream = TalkStream::new(&inputs.conversations()?, &inputs.tokenizer, run.rank())?;
    let steps = run.num_iterations.unwrap_or(-1);
    run.compare(|i, batch| {
        let rows = stream.rows(b, t)?;
        let done = i as i64 + 1;
        let progress = if steps > 0 { done as f64 / steps as f64 } else { stream.cursor_progress() };
        reported(batch, stream.came_round() || (steps > 0 && done >= steps), progress)?;
        Ok(rows)
    })
}

fn reported(batch: &Batch, last: bool, progress: f64) -> Checked {
    if let Some(theirs) = batch.last_step {
        same("last_step", last, theirs)?;
    }
    match batch.approx_progress {
        Some(theirs) if (theirs - progress).abs() > 1e-12 => {
            fail(format!("approx_progress is {progress}, the dump has {theirs}"))
        }
        _ => Ok(()),
    }
}

fn padded(inputs: &Inputs, run: &Run) -> Checked<String> {
    let (b, _) = run.shape()?;
    let mut batches = PaddedBatches::new(&inputs.conversations()?, &inputs.tokenizer, run.rank())?;
    run.compare(|_, _| Ok(batches.next(b)))
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Documents {
    n_docs: usize,
    pq_idx: usize,
    rg_idx: usize,
    epoch: u64,
}

fn documents(inputs: &Inputs, file: &Path, report: &mut Reporter<'_>) -> Checked {
    let dump: serde_json::Map<String, serde_json::Value> = json(file)?;
    let batch = dump.get("tokenizer_batch_size").and_then(|v| v.as_u64()).map(|n| n as usize);
    for (name, batches) in dump.iter().filter(|(name, _)| *name != "tokenizer_batch_size") {
        let outcome = (|| {
            let parts = name.strip_prefix("world").and_then(|n| n.split_once("_rank"));
            let parse = |n: &str| n.parse::<usize>().map_err(|e| Stop::Fail(format!("{name}: {e}")));
            let Some((world, rank)) = parts else { return fail("is not named worldW_rankR") };
            let run = Run {
                rank: Some(parse(rank)?),
                world_size: Some(parse(world)?),
                tokenizer_batch_size: batch,
                ..Run::nothing()
            };
            let theirs: Vec<Documents> = serde_json::from_value(batches.clone())?;
            let mut source = inputs.source(&run)?;
            for (i, theirs) in theirs.iter().enumerate() {
                let n_docs = source.next_texts()?.len();
                let RowGroup { file, group, epoch } = source.last();
                same(
                    &format!("batch {i}"),
                    &Documents { n_docs, pq_idx: file, rg_idx: group, epoch },
                    theirs,
                )?;
            }
            some(theirs.len(), "batches")
        })();
        report.exact(&format!("document_batches.json {name}"), outcome);
    }
    Ok(())
}

impl Run {
    fn nothing() -> Run {
        Run {
            b: None,
            t: None,
            buffer_size: None,
            tokenizer_batch_size: None,
            split: None,
            rank: None,
            world_size: None,
            num_iterations: None,
            batches: Vec::new(),
            batch_indices: None,
            from_case: None,
            resume_state: None,
        }
    }
}

#[derive(Deserialize)]
struct Shard {
    file: String,
    num_docs: usize,
    num_row_groups: usize,
    texts: Vec<String>,
}

/// Every text of every shard, as the manifest has it.
pub(super) fn shards(case: &Case, report: &mut Reporter<'_>) -> Checked {
    let manifest: Vec<Shard> = json(&case.dir.join("manifest.json"))?;
    for shard in &manifest {
        let outcome = (|| {
            let file = ParquetFile::open(&case.dir.join(&shard.file))?;
            same("row groups", file.groups(), shard.num_row_groups)?;
            let mut texts = Vec::new();
            for group in 0..file.groups() {
                texts.extend(file.texts(group)?);
            }
            same("documents", texts.len(), shard.num_docs)?;
            same("texts", &texts, &shard.texts)?;
            some(texts.len(), "documents")
        })();
        report.exact(&shard.file, outcome);
    }
    some(manifest.len(), "shards").map(|_| ())
}
