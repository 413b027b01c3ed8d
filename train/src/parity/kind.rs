//! Which dumps are in a folder: told from the files in it, so folders may have any name.
//!
//! Some files name their kind (`expected.safetensors`), some only accompany others (`config.json`). A case is either one
//! file or one folder whose files belong together. Whatever fits nowhere is a case of its own, which fails.

use super::input::file_name;
use std::path::{Path, PathBuf};

/// What a dump is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Weights, ids, logits, gradients, activations.
    Model,
    /// Moments of initial weights.
    InitStats,
    /// Twenty steps of training.
    TrainCurve,
    /// Five steps of the optimizers.
    Optimizer,
    /// Matrices before and after Newton–Schulz.
    NewtonSchulz,
    /// Tables of learning rates and the like.
    Schedules,
    /// Splitting, tiny trainings: what needs no vocabulary.
    Tokenizer,
    /// One vocabulary with its encodings.
    Vocabulary,
    /// Expressions and their values.
    Calculator,
    /// Scripted generation with tools.
    ToolMachine,
    /// Greedy decoding through the cache.
    Greedy,
    /// Probabilities of sampling.
    Sampling,
    /// What follows from the depth.
    Derivations,
    /// Facts of the depth-4 trace.
    Trace,
    /// Batches of the data loaders.
    Loaders,
    /// Parquet shards and what is in them.
    Shards,
    /// Scores of a model, and what they are made with.
    Evaluation,
    /// Not understood.
    Unknown,
}

/// One dump.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub kind: Kind,
    pub dir: PathBuf,
    /// The files that belong to it, sorted.
    pub files: Vec<PathBuf>,
}

enum Place {
    /// A case of its own.
    Alone(Kind),
    /// Part of the folder's case of this kind.
    Shared(Kind),
    /// Accompanies whatever the folder is.
    Companion,
    /// Text for people.
    Ignored,
}

fn place(name: &str) -> Place {
    use Kind::*;
    match name {
        "expected.safetensors" | "io.safetensors" | "acts.safetensors" => Place::Shared(Model),
        "batches.safetensors" => Place::Shared(TrainCurve),
        "data.safetensors" => Place::Shared(Optimizer),
        "newton_schulz5.safetensors" => Place::Alone(NewtonSchulz),
        "schedules.json" => Place::Alone(Schedules),
        "corpus.jsonl" | "strings.json" | "split_pieces.json" | "conversations.json" | "micro_train.json"
        | "early_stop.json" | "text_iterator.json" => Place::Shared(Tokenizer),
        "vocab.json" | "ranks.tiktoken" | "encodings.json" | "decode_invalid.json" | "rendered.json" => {
            Place::Shared(Vocabulary)
        }
        "calculator.json" => Place::Alone(Calculator),
        "tool_state_machine.json" => Place::Alone(ToolMachine),
        "sampling.json" => Place::Alone(Sampling),
        "derivations.json" => Place::Alone(Derivations),
        "facts.json" => Place::Alone(Trace),
        "flat_stream.json"
        | "flat_stream_with_state.json"
        | "mid_train_stream.json"
        | "sft_padded_batches.json"
        | "bestfit.json"
        | "bestfit_resume.json"
        | "document_batches.json"
        | "sft_conversations.json"
        | "sft_packer.json" => Place::Shared(Loaders),
        "manifest.json" => Place::Shared(Shards),
        "gsm8k.json"
        | "python_rng.json"
        | "tasks.json"
        | "model.safetensors"
        | "model_config.json"
        | "rl.json"
        | "rl.safetensors"
        | "bpb.json"
        | "bpb_batches.safetensors"
        | "categorical.json"
        | "core.json"
        | "core_centering.json" => Place::Shared(Evaluation),
        "config.json" | "info.json" | "weights.safetensors" => Place::Companion,
        _ if name.starts_with("init_stats") && name.ends_with(".json") => Place::Alone(InitStats),
        _ if name.starts_with("greedy") => Place::Shared(Greedy),
        _ if name.ends_with(".parquet") => Place::Shared(Shards),
        _ if name.ends_with(".md") || name.starts_with('.') => Place::Ignored,
        _ => Place::Alone(Unknown),
    }
}

/// Deeper folders than any tree of dumps has, or a link that leads back.
const MAX_DEPTH: usize = 12;

/// The cases at `path`: a folder and all below it, or the case that a file belongs to.
pub(super) fn find(path: &Path) -> std::io::Result<Vec<Case>> {
    let mut cases = Vec::new();
    if path.metadata()?.is_dir() {
        scan(path, 0, &mut cases)?;
        return Ok(cases);
    }
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    in_folder(dir, files_of(dir)?.0, &mut cases);
    cases.retain(|c| c.files.iter().any(|f| f.file_name() == path.file_name()));
    Ok(cases)
}

fn scan(dir: &Path, depth: usize, cases: &mut Vec<Case>) -> std::io::Result<()> {
    let (files, folders) = files_of(dir)?;
    in_folder(dir, files, cases);
    for folder in folders.iter().filter(|_| depth < MAX_DEPTH) {
        scan(folder, depth + 1, cases)?;
    }
    Ok(())
}

fn files_of(dir: &Path) -> std::io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(dir)?.map(|e| Ok(e?.path())).collect::<std::io::Result<_>>()?;
    entries.sort();
    let (folders, files) = entries.into_iter().partition(|p| p.is_dir());
    Ok((files, folders))
}

/// Group the files of one folder.
fn in_folder(dir: &Path, files: Vec<PathBuf>, cases: &mut Vec<Case>) {
    let first = cases.len();
    let mut companions = Vec::new();
    for file in files {
        let (kind, alone) = match place(&file_name(&file)) {
            Place::Alone(kind) => (kind, true),
            Place::Shared(kind) => (kind, false),
            Place::Companion => {
                companions.push(file);
                continue;
            }
            Place::Ignored => continue,
        };
        match cases[first..].iter_mut().find(|c| c.kind == kind && !alone) {
            Some(case) => case.files.push(file),
            None => cases.push(Case { kind, dir: dir.to_path_buf(), files: vec![file] }),
        }
    }
    if companions.is_empty() {
        return;
    }
    let owned = |c: &Case| matches!(c.kind, Kind::Model | Kind::TrainCurve | Kind::Optimizer);
    if let Some(case) = cases[first..].iter_mut().find(|c| owned(c)) {
        case.files.extend(companions);
    } else {
        let kind = of_companions(&companions);
        cases.push(Case { kind, dir: dir.to_path_buf(), files: companions });
    }
}

/// Companions without the file that would name them: some file is missing, and the case has to say which.
fn of_companions(files: &[PathBuf]) -> Kind {
    let has = |name: &str| files.iter().any(|f| file_name(f) == name);
    match (has("weights.safetensors"), has("config.json"), has("info.json")) {
        (true, true, _) => Kind::Model,
        (true, _, true) => Kind::TrainCurve,
        (false, false, true) => Kind::Optimizer,
        _ => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(names: &[&str]) -> Vec<(Kind, usize)> {
        let mut cases = Vec::new();
        in_folder(Path::new("d"), names.iter().map(|n| Path::new("d").join(n)).collect(), &mut cases);
        cases.iter().map(|c| (c.kind, c.files.len())).collect()
    }

    #[test]
    fn files_that_belong_together_are_one_case() {
        let model = [
            "acts.safetensors",
            "config.json",
            "expected.safetensors",
            "io.safetensors",
            "weights.safetensors",
        ];
        assert_eq!(kinds(&model), [(Kind::Model, 5)]);
        assert_eq!(
            kinds(&["batches.safetensors", "info.json", "weights.safetensors"]),
            [(Kind::TrainCurve, 3)]
        );
        assert_eq!(
            kinds(&["data.safetensors", "info.json", "newton_schulz5.safetensors"]),
            [(Kind::Optimizer, 2), (Kind::NewtonSchulz, 1)]
        );
        assert_eq!(kinds(&["README.md"]), []);
    }

    #[test]
    fn a_case_with_missing_files_is_still_recognised() {
        assert_eq!(kinds(&["config.json", "weights.safetensors"]), [(Kind::Model, 2)]);
        assert_eq!(kinds(&["info.json", "weights.safetensors"]), [(Kind::TrainCurve, 2)]);
        assert_eq!(kinds(&["info.json"]), [(Kind::Optimizer, 1)]);
    }

    #[test]
    fn what_fits_nowhere_is_a_case_that_is_not_understood() {
        assert_eq!(kinds(&["surprise.bin"]), [(Kind::Unknown, 1)]);
        assert_eq!(kinds(&["a.bin", "b.bin"]), [(Kind::Unknown, 1), (Kind::Unknown, 1)]);
        assert_eq!(kinds(&["weights.safetensors"]), [(Kind::Unknown, 1)]);
    }
}
