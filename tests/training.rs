//! Training as a whole: it learns, it resumes bit for bit, threads change nothing, cached decoding equals full decoding.
#![allow(clippy::unwrap_used)]

use kernels::par::with_threads;
use model::{Gpt, GptOptions};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tensor::{DType, Device, Tensor};
use tests::{LeakCheck, model, random_batch, small_config, weight_bits};
use tokenizer::{Tokenizer, TrainOptions};
use train::TrainError;
use train::optim::{Hyper, Optimizer, StepSettings};
use train::run::RunDir;
use train::stage::base::{Base, BaseOptions};
use train::stage::report::{Reporter, StepLine};
use train::stage::{RunOptions, Stage, run_stage};
use train::trainer;

const SETTINGS: StepSettings =
    StepSettings { lr_multiplier: 1.0, muon_momentum: 0.9, muon_weight_decay: 0.0 };

fn steps(gpt: &mut Gpt, n: u64) -> Vec<f64> {
    let config = gpt.config().clone();
    let mut optimizer = Optimizer::new(gpt.params(), Hyper::classic(config.n_embd)).unwrap();
    (0..n)
        .map(|i| {
            let mut seed = 10 * i;
            let next = || {
                seed += 1;
                Ok(random_batch(&config, 2, 32, seed % 3, Device::Cpu))
            };
            trainer::step(gpt, &mut optimizer, 2, next, SETTINGS, 1.0).unwrap().loss
        })
        .collect()
}

#[test]
fn a_model_learns_three_batches_by_heart() {
    let _leaks = LeakCheck::default();
    for compute in [DType::F32, DType::Bf16] {
        let mut gpt = model(small_config(), 1, GptOptions { compute, ..GptOptions::default() });
        let losses = steps(&mut gpt, 60);
        assert!((losses[0] - 300f64.ln()).abs() < 1e-3, "a zero head predicts evenly: {}", losses[0]);
        assert!(losses[59] < 0.5, "{compute}: {losses:?}");
    }
}

#[test]
fn one_and_two_threads_give_the_same_bits() {
    let _leaks = LeakCheck::default();
    let run = |threads| {
        with_threads(threads, || {
            let mut gpt = model(small_config(), 1, GptOptions::default());
            steps(&mut gpt, 4);
            weight_bits(&gpt)
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}

#[test]
fn cached_decoding_equals_full_decoding_however_it_is_chunked() {
    let _leaks = LeakCheck::default();
    let mut gpt = model(small_config(), 3, GptOptions::default());
    steps(&mut gpt, 3); // so that the blocks do something
    let ids = random_batch(gpt.config(), 2, 30, 5, Device::Cpu).ids;
    let full = gpt.all_logits(&ids).unwrap().reshape(&[2, 30, 300]).unwrap();
    for chunks in [vec![30], vec![1; 30], vec![7, 1, 13, 9]] {
        let mut cache = gpt.cache(2, 30).unwrap();
        let mut start = 0;
        for len in chunks {
            let logits = gpt.logits_cached(&ids.narrow(1, start, len).unwrap(), &mut cache).unwrap();
            start += len;
            let want = full.narrow(1, start - 1, 1).unwrap().to_f64_vec();
            let worst = logits.to_f64_vec().iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 2e-5, "after {start} tokens: {worst}");
        }
        let more = Tensor::ids(&[1, 1], &[2, 1], Device::Cpu).unwrap();
        assert!(matches!(gpt.logits_cached(&more, &mut cache), Err(model::ModelError::TooLong { .. })));
    }
}

#[test]
fn rows_copied_from_one_prompt_go_on_as_the_prompt_would() {
    let mut gpt = model(small_config(), 3, GptOptions::default());
    steps(&mut gpt, 3);
    let prompt = random_batch(gpt.config(), 1, 70, 5, Device::Cpu).ids; // more than one page
    let mut one = gpt.cache(1, 80).unwrap();
    gpt.logits_cached(&prompt, &mut one).unwrap();
    let mut rows = one.replicate(gpt.config(), 3, 200).unwrap(); // room for more pages than are filled
    for token in [7, 8] {
        let next = |n: usize| Tensor::ids(&vec![token; n], &[n, 1], Device::Cpu).unwrap();
        let want = gpt.logits_cached(&next(1), &mut one).unwrap().to_f64_vec();
        let got = gpt.logits_cached(&next(3), &mut rows).unwrap().to_f64_vec();
        assert!(got.chunks(300).all(|row| row == want), "after token {token}");
    }
}

#[test]
fn the_same_micro_batch_twice_counts_as_once() {
    let norm = |micro_batches| {
        let mut gpt = model(small_config(), 1, GptOptions::default());
        let mut optimizer = Optimizer::new(gpt.params(), Hyper::classic(64)).unwrap();
        let config = gpt.config().clone();
        let next = || Ok(random_batch(&config, 2, 32, 1, Device::Cpu));
        trainer::step(&mut gpt, &mut optimizer, micro_batches, next, SETTINGS, 1.0).unwrap().grad_norm
    };
    let (once, twice) = (norm(1), norm(2));
    assert!((once - twice).abs() <= 1e-6 * once && once > 0.0, "{once} {twice}");
}

#[test]
fn a_row_does_not_depend_on_its_batch() {
    let _leaks = LeakCheck::default();
    let mut gpt = model(small_config(), 3, GptOptions::default());
    steps(&mut gpt, 3);
    let ids = random_batch(gpt.config(), 5, 16, 5, Device::Cpu).ids;
    let decode = |ids: &Tensor| {
        let mut cache = gpt.cache(ids.dim(0), 16).unwrap();
        gpt.logits_cached(&ids.narrow(1, 0, 15).unwrap(), &mut cache).unwrap();
        gpt.logits_cached(&ids.narrow(1, 15, 1).unwrap(), &mut cache).unwrap().to_vec::<f32>().unwrap()
    };
    let together = decode(&ids);
    for row in 0..5 {
        let alone = decode(&ids.narrow(0, row, 1).unwrap().contiguous().unwrap());
        let same = alone.iter().zip(&together[row * 300..]).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same, "row {row} differs from the same row decoded alone");
    }
}

#[test]
fn a_batch_without_targets_is_an_error_and_changes_nothing() {
    let _leaks = LeakCheck::default();
    let mut gpt = model(small_config(), 1, GptOptions::default());
    let before = weight_bits(&gpt);
    let mut optimizer = Optimizer::new(gpt.params(), Hyper::classic(64)).unwrap();
    let next = || train::data::Batch::new(&[1; 8], &[-1; 8], 1, 8, Device::Cpu);
    let result = trainer::step(&mut gpt, &mut optimizer, 1, next, SETTINGS, 1.0);
    assert!(matches!(result, Err(TrainError::NoTargets { .. })));
    assert_eq!(before, weight_bits(&gpt));
}

#[test]
fn a_diverged_loss_is_an_error() {
    let _leaks = LeakCheck::default();
    let mut gpt = model(small_config(), 1, GptOptions::default());
    gpt.params_mut()[0].value_mut().fill(f64::NAN).unwrap();
    let mut optimizer = Optimizer::new(gpt.params(), Hyper::classic(64)).unwrap();
    let config = gpt.config().clone();
    let next = || Ok(random_batch(&config, 1, 8, 1, Device::Cpu));
    let result = trainer::step(&mut gpt, &mut optimizer, 1, next, SETTINGS, 1.0);
    assert!(matches!(result, Err(TrainError::Diverged { .. })), "{result:?}");
}

/// Sets the stop flag after some steps, as Ctrl-C would.
struct StopAfter<'a> {
    step: usize,
    flag: &'a AtomicBool,
}
impl Reporter for StopAfter<'_> {
    fn message(&mut self, _: &str) {}
    fn step(&mut self, line: &StepLine) {
        self.flag.store(line.step == self.step, Ordering::Relaxed);
    }
}

fn train_with_stops(dir: &Path, stops: &[usize], eval_every: usize, stopped: &dyn Fn(usize)) -> Vec<u32> {
    let documents: Vec<String> =
        (0..40).map(|i| format!("document {i} says {} and {}", i * 7, i % 5)).collect();
    let tokenizer = Tokenizer::train(
        &documents,
        &TrainOptions { vocab_size: 300, ..TrainOptions::default() },
        &mut |_| {},
    )
    .unwrap()
    .0;
    let config = model::GptConfig { vocab_size: tokenizer.vocab_size(), ..small_config() };
    let options = BaseOptions {
        device_batch_size: 2,
        total_batch_size: 128,
        num_iterations: 12,
        warmup_ratio: 0.1,
        warmdown_ratio: 0.4,
        final_lr_frac: 0.1,
        current: None,
        eval_tokens: 128,
        seed: 5,
    };
    let run = RunOptions {
        run: RunDir { dir: dir.to_owned() },
        steps: 12,
        grad_clip: 1.0,
        eval_every,
        save_every: 5,
        keep: 2,
        sample_every: 0,
        resume: true,
        seed: 5,
        tokenizer_fingerprint: tokenizer.fingerprint(),
        options: serde_json::json!({"test": 1}),
    };
    let mut result = Vec::new();
    for &stop in stops.iter().chain([&usize::MAX]) {
        let mut gpt = model(config.clone(), 5, GptOptions::default());
        let mut stage =
            Base::new(options.clone(), &documents, &documents[..5], &tokenizer, 32, Device::Cpu).unwrap();
        let flag = AtomicBool::new(false);
        let mut reporter = StopAfter { step: stop, flag: &flag };
        match run_stage(&mut gpt, &mut stage, Hyper::classic(64), &run, &mut reporter, &flag) {
            Err(TrainError::Interrupted { step }) => {
                assert_eq!(step, stop);
                stopped(step);
            }
            Ok(summary) => assert_eq!(summary.steps, 12),
            Err(e) => panic!("{e}"),
        }
        result = weight_bits(&gpt);
    }
    result
}

#[test]
fn an_interrupted_and_resumed_run_ends_with_the_same_bits() {
    let _leaks = LeakCheck::default();
    let dir = tempfile::tempdir().unwrap();
    let whole = train_with_stops(&dir.path().join("whole"), &[], 4, &|_| {});
    let parts = train_with_stops(&dir.path().join("parts"), &[1, 4, 9], 4, &|_| {});
    assert_eq!(whole, parts);
    let read = |name: &str| {
        let text = std::fs::read_to_string(dir.path().join(name).join("metrics.jsonl")).unwrap();
        let value = |l: &str| -> (u64, String, f64) {
            let v: serde_json::Value = serde_json::from_str(l).unwrap();
            let loss = v["loss"].as_f64().or(v["val_bpb"].as_f64()).unwrap();
            (v["step"].as_u64().unwrap(), v["kind"].to_string(), loss)
        };
        text.lines().map(value).collect::<Vec<_>>()
    };
    assert_eq!(read("whole"), read("parts"), "also the validation that was due when it stopped after step 4");
}

#[test]
fn a_run_killed_after_its_validation_remembers_the_result() {
    let _leaks = LeakCheck::default();
    let dir = tempfile::tempdir().unwrap();
    let [whole, killed] = ["whole", "killed"].map(|name| dir.path().join(name));
    train_with_stops(&whole, &[], 5, &|_| {});
    // A kill leaves nothing of step 7; the checkpoint of step 5 is older than the validation that followed it.
    let kill = |step| std::fs::remove_dir_all(killed.join(format!("checkpoints/step_{step:06}"))).unwrap();
    train_with_stops(&killed, &[7], 5, &kill);
    let progress = |dir: &Path| {
        let state = train::checkpoint::load_state(&dir.join("checkpoints/step_000010")).unwrap();
        (state.progress.val_bpb, state.progress.min_val_bpb)
    };
    assert_eq!(progress(&whole), progress(&killed));
    assert!(progress(&whole).0.is_some());
}

/// What a run of a stage with these options does; micro-batches of 64 tokens.
fn run_base(
    dir: &Path,
    total_batch_size: usize,
    steps: usize,
    validation: &[String],
    wrap: &dyn Fn(Base) -> Box<dyn Stage>,
) -> (train::Result<train::stage::StageSummary>, Vec<String>) {
    let documents: Vec<String> = (0..40).map(|i| format!("document {i} says {}", i * 7)).collect();
    let tokenizer = Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap();
    let config = model::GptConfig { vocab_size: tokenizer.vocab_size(), ..small_config() };
    let options = BaseOptions {
        device_batch_size: 2,
        total_batch_size,
        num_iterations: steps,
        warmup_ratio: 0.0,
        warmdown_ratio: 0.4,
        final_lr_frac: 0.1,
        current: None,
        eval_tokens: 100_000,
        seed: 5,
    };
    let run = RunOptions {
        run: RunDir { dir: dir.to_owned() },
        steps,
        grad_clip: 1.0,
        eval_every: 1,
        save_every: 0,
        keep: 2,
        sample_every: 0,
        resume: true,
        seed: 5,
        tokenizer_fingerprint: tokenizer.fingerprint(),
        options: serde_json::json!({"test": 1}),
    };
    let mut gpt = model(config, 5, GptOptions::default());
    let mut stage = wrap(Base::new(options, &documents, validation, &tokenizer, 32, Device::Cpu).unwrap());
    let mut said = Said(Vec::new());
    let flag = AtomicBool::new(false);
    let ended = run_stage(&mut gpt, stage.as_mut(), Hyper::classic(64), &run, &mut said, &flag);
    (ended, said.0)
}

/// Notes what is said.
struct Said(Vec<String>);
impl Reporter for Said {
    fn message(&mut self, text: &str) {
        self.0.push(text.into());
    }
    fn step(&mut self, _: &StepLine) {}
}

/// A stage that cannot be evaluated.
struct NeverEvaluated(Base);
impl Stage for NeverEvaluated {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn next_batch(&mut self) -> train::Result<train::data::Batch> {
        self.0.next_batch()
    }
    fn micro_batches(&self) -> usize {
        self.0.micro_batches()
    }
    fn position(&self) -> serde_json::Value {
        self.0.position()
    }
    fn seek(&mut self, position: &serde_json::Value) -> train::Result<()> {
        self.0.seek(position)
    }
    fn settings(&self, step: usize) -> StepSettings {
        self.0.settings(step)
    }
    fn evaluate(&mut self, _: &Gpt) -> train::Result<train::bpb::BitsPerByte> {
        Err(TrainError::Config("out of memory".into()))
    }
}

#[test]
fn footgun_a_run_that_fails_while_it_is_evaluated_is_saved_already() {
    let dir = tempfile::tempdir().unwrap();
    let (ended, _) = run_base(dir.path(), 64, 1, &[], &|base| Box::new(NeverEvaluated(base)));
    assert_eq!(ended.unwrap_err().to_string(), "out of memory");
    assert_eq!(RunDir { dir: dir.path().into() }.checkpoints().steps().unwrap(), [1]);
}

#[test]
fn footgun_tokens_per_second_count_every_micro_batch_once() {
    let dir = tempfile::tempdir().unwrap();
    let (ended, _) = run_base(dir.path(), 3 * 64, 2, &[], &|base| Box::new(base));
    assert_eq!(ended.unwrap().tokens, 2 * 3 * 64);
    let text = std::fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    let trained: Vec<_> = lines.filter(|v| v["kind"] == "train").collect();
    assert_eq!(trained.len(), 2);
    for line in trained {
        let of = |key: &str| line[key].as_f64().unwrap();
        let tokens = of("tokens_per_second") * of("seconds");
        assert!((tokens - 192.0).abs() <= 1e-6, "{tokens}");
        assert!((0.0..=of("seconds")).contains(&of("data_seconds")), "{line}");
    }
}

#[test]
fn footgun_validation_that_runs_out_of_data_does_not_end_the_training() {
    let dir = tempfile::tempdir().unwrap();
    let (ended, _) = run_base(dir.path(), 64, 3, &["one short text".into()], &|base| Box::new(base));
    let summary = ended.unwrap();
    assert!(summary.steps == 3 && summary.val_bpb.is_some(), "{summary:?}");
}

#[test]
fn footgun_data_that_begin_again_are_not_silent() {
    let dir = tempfile::tempdir().unwrap();
    let (ended, said) = run_base(dir.path(), 64, 40, &[], &|base| Box::new(base));
    ended.unwrap();
    let again: Vec<&String> = said.iter().filter(|line| line.contains("and begin again")).collect();
    // 40 documents of about 22 tokens, 40 steps of 64.
    assert!((2..=3).contains(&again.len()) && again[0].contains("read once"), "{again:?}");
}
