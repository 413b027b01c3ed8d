//! The stages after the flat stream: every loader and stage resumes with the same bits, reinforcement learning learns what is
//! rewarded, and CORE and ChatCORE give a policy that knows everything its 100 %.
#![allow(clippy::unwrap_used)]

use model::{Gpt, GptOptions};
use std::sync::atomic::{AtomicBool, Ordering};
use tensor::Device;
use tests::{LeakCheck, model, small_config, weight_bits};
use tokenizer::Tokenizer;
use tokenizer::conversation::{Conversation, Message, Role};
use train::TrainError;
use train::data::best_fit::BestFit;
use train::data::flat::{FlatStream, Step};
use train::data::packer::{Overlong, Packer};
use train::data::parquet::write_texts;
use train::data::shards::{Shards, Split};
use train::data::source::{Rank, Source};
use train::data::talk_stream::TalkStream;
use train::data::{Loader, documents};
use train::optim::Hyper;
use train::run::RunDir;
use train::stage::report::{Reporter, StepLine};
use train::stage::rl::{Rl, RlOptions};
use train::stage::talk::{Schedule, Talk, TalkOptions};
use train::stage::{RunOptions, Stage, run_stage};
use train::tasks::{Example, Scoring, Task};

fn bytes() -> Tokenizer {
    Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap()
}

fn fresh(tokenizer: &Tokenizer) -> Gpt {
    let config = model::GptConfig { vocab_size: tokenizer.vocab_size(), ..small_config() };
    model(config, 5, GptOptions::default())
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

const STEPS: usize = 6;

/// The weights at the end of a run that was stopped after these steps.
fn with_stops(
    stops: &[usize],
    tokenizer: &Tokenizer,
    make: &dyn Fn(&std::path::Path) -> Box<dyn Stage>,
) -> Vec<u32> {
    let dir = tempfile::tempdir().unwrap();
    let run = RunOptions {
        run: RunDir { dir: dir.path().to_owned() },
        steps: STEPS,
        grad_clip: 0.0,
        eval_every: 4,
        save_every: 0,
        keep: 1,
        sample_every: 0,
        resume: true,
        seed: 5,
        tokenizer_fingerprint: tokenizer.fingerprint(),
        options: serde_json::json!({"test": 1}),
    };
    let mut bits = Vec::new();
    for &stop in stops.iter().chain([&usize::MAX]) {
        let (mut gpt, mut stage) = (fresh(tokenizer), make(dir.path()));
        let flag = AtomicBool::new(false);
        let mut reporter = StopAfter { step: stop, flag: &flag };
        match run_stage(&mut gpt, stage.as_mut(), Hyper::classic(64), &run, &mut reporter, &flag) {
            Err(TrainError::Interrupted { step }) => assert_eq!(step, stop),
            Ok(summary) => assert_eq!(summary.steps, STEPS),
            Err(e) => panic!("{e}"),
        }
        bits = weight_bits(&gpt);
    }
    bits
}

fn conversations() -> Vec<Conversation> {
    let talk = |i: usize| Conversation {
        messages: vec![
            Message::new(Role::User, format!("say {i}")),
            Message::new(Role::Assistant, format!("{i} {}", "so ".repeat(i % 5))),
        ],
    };
    (0..30).map(talk).collect()
}

#[test]
fn every_loader_of_every_stage_resumes_with_the_same_bits() {
    let _leaks = LeakCheck::default();
    let data = tempfile::tempdir().unwrap();
    for shard in 0..3 {
        let texts: Vec<String> = (0..20).map(|i| format!("{shard}.{i} {}", "words ".repeat(i % 7))).collect();
        write_texts(&data.path().join(format!("shard_{shard:05}.parquet")), &texts, 8).unwrap();
    }
    let tokenizer = bytes();
    let source = |split| {
        let shards = Box::new(Shards::open(data.path(), split).unwrap());
        Source::new(shards, &tokenizer, Rank::default(), 4).unwrap()
    };
    let talks = conversations();
    let packer = || Packer::new(&talks, &tokenizer, Rank::default(), 7, Overlong::Cut).unwrap();
    type Make<'a> = Box<dyn Fn() -> Box<dyn Loader> + 'a>;
    let loaders: Vec<(Schedule, Make<'_>)> = vec![
        (Schedule::Mid, Box::new(|| Box::new(FlatStream::new(source(Split::Train), Step::Tokens)))),
        (Schedule::Mid, Box::new(|| Box::new(BestFit::new(source(Split::Train), 9)))),
        (Schedule::Mid, Box::new(|| Box::new(TalkStream::new(&talks, &tokenizer, Rank::default()).unwrap()))),
        (
            Schedule::Sft { warmup_ratio: 0.0, warmdown_ratio: 0.5, final_lr_frac: 0.0 },
            Box::new(|| Box::new(packer())),
        ),
    ];
    for (i, (schedule, loader)) in loaders.iter().enumerate() {
        let make = |_: &std::path::Path| -> Box<dyn Stage> {
            let options = TalkOptions {
                device_batch_size: 2,
                total_batch_size: 128,
                num_iterations: STEPS,
                init_lr_frac: 0.5,
                schedule: *schedule,
                eval_tokens: 64,
            };
            let validation = Box::new(FlatStream::new(source(Split::Validation), Step::Tokens));
            let bytes = tokenizer.token_bytes();
            Box::new(Talk::new("mid", options, loader(), Some(validation), bytes, 32, Device::Cpu).unwrap())
        };
        assert_eq!(with_stops(&[], &tokenizer, &make), with_stops(&[1, 4], &tokenizer, &make), "loader {i}");
    }
}

/// Rewards answers that begin with the letter a, whatever is asked.
struct Vowels;

impl Task for Vowels {
    fn name(&self) -> String {
        "vowels".into()
    }
    fn len(&self) -> usize {
        4
    }
    fn example(&self, i: usize) -> train::Result<Example> {
        let messages = vec![Message::new(Role::User, i.to_string()), Message::new(Role::Assistant, "a")];
        Ok(Example { conversation: Conversation { messages }, letters: vec![] })
    }
    fn scoring(&self) -> Scoring {
        Scoring::Generative
    }
    fn is_right(&self, _: &Example, answer: &str) -> train::Result<bool> {
        Ok(answer.starts_with(|c: char| c < 'k'))
    }
}

fn rl_options(steps: usize) -> RlOptions {
    RlOptions {
        device_batch_size: 8,
        examples_per_step: 2,
        num_samples: 16,
        max_new_tokens: 2,
        temperature: 1.0,
        top_k: 0,
        num_iterations: steps,
        init_lr_frac: 1.0,
        eval_examples: 4,
        train_stop: false,
        seed: 42,
        updates: 1,
        clip: 0.0,
        kl: 0.0,
    }
}

fn rl(tokenizer: &Tokenizer, steps: usize, log: Option<std::path::PathBuf>) -> Rl {
    rl_with(rl_options(steps), tokenizer, log)
}

fn rl_with(options: RlOptions, tokenizer: &Tokenizer, log: Option<std::path::PathBuf>) -> Rl {
    Rl::new(options, Box::new(Vowels), Some(Box::new(Vowels)), tokenizer, Device::Cpu, log).unwrap()
}

#[test]
fn reinforcement_learning_resumes_with_the_same_bits_and_logs_each_answer_once() {
    let _leaks = LeakCheck::default();
    let tokenizer = bytes();
    let log = tempfile::tempdir().unwrap();
    let path = log.path().join("rollouts.jsonl");
    let make =
        |_: &std::path::Path| -> Box<dyn Stage> { Box::new(rl(&tokenizer, STEPS, Some(path.clone()))) };
    let whole = with_stops(&[], &tokenizer, &make);
    let lines = || std::fs::read_to_string(&path).unwrap().lines().map(String::from).collect::<Vec<_>>();
    let before = lines();
    assert_eq!(before.len(), 2 * STEPS);
    assert_eq!(whole, with_stops(&[2, 3], &tokenizer, &make));
    assert_eq!(before, lines());
}

#[test]
fn answers_that_are_learnt_twice_survive_a_stop_between_the_updates() {
    let _leaks = LeakCheck::default();
    let tokenizer = bytes();
    let options = RlOptions { updates: 2, clip: 0.1, kl: 0.5, ..rl_options(STEPS) };
    let make = |_: &std::path::Path| -> Box<dyn Stage> {
        Box::new(rl_with(options.clone(), &tokenizer, None).with_reference(fresh(&tokenizer)))
    };
    assert_eq!(with_stops(&[], &tokenizer, &make), with_stops(&[1, 2, 3], &tokenizer, &make));
}

#[test]
fn the_first_update_is_that_of_the_plain_objective_and_the_penalty_holds_the_policy_back() {
    let _leaks = LeakCheck::default();
    let tokenizer = bytes();
    // Weights after so many steps, and the figures of the last.
    let after = |steps: usize, options: RlOptions| {
        let mut gpt = fresh(&tokenizer);
        let mut stage = rl_with(options, &tokenizer, None).with_reference(fresh(&tokenizer));
        let mut optimizer = train::optim::Optimizer::new(gpt.params(), Hyper::classic(64)).unwrap();
        for step in 0..steps {
            stage.prepare(&gpt, step).unwrap();
            let (micro, settings) = (stage.micro_batches(), stage.settings(step));
            train::trainer::step(&mut gpt, &mut optimizer, micro, || stage.next_batch(), settings, 0.0)
                .unwrap();
        }
        let bits: Vec<u64> =
            gpt.params().iter().flat_map(|p| p.value().to_f64_vec()).map(f64::to_bits).collect();
        (bits, stage.figures().into_iter().collect::<std::collections::BTreeMap<_, _>>())
    };
    let plain = after(1, rl_options(8));
    let trusted = RlOptions { updates: 4, clip: 0.1, ..rl_options(8) };
    assert_eq!(plain.0, after(1, trusted.clone()).0, "ratios are 1 while the weights are those of the draw");
    assert_eq!(
        after(1, RlOptions { kl: 1.0, ..rl_options(8) }).1["kl"],
        0.0,
        "the reference is where it begins"
    );
    let clipped = |init_lr_frac: f64| after(4, RlOptions { init_lr_frac, ..trusted.clone() }).1["clipped"];
    assert!(
        clipped(0.03) == 0.0 && clipped(1.0) > 0.5,
        "small steps stay within the clip, large ones leave it"
    );
    let held = |kl: f64| after(6, RlOptions { kl, ..rl_options(8) }).1["kl"];
    let (loose, tight) = (held(1e-9), held(3.0));
    assert!(loose > 0.0 && tight < 0.5 * loose, "{loose} {tight}");
}

#[test]
fn what_is_rewarded_becomes_likelier() {
    let _leaks = LeakCheck::default();
    let tokenizer = bytes();
    let (mut gpt, steps) = (fresh(&tokenizer), 25);
    let mut stage = rl(&tokenizer, steps, None);
    let mut optimizer = train::optim::Optimizer::new(gpt.params(), Hyper::classic(64)).unwrap();
    let mut rewards = Vec::new();
    for step in 0..steps {
        stage.prepare(&gpt, step).unwrap();
        rewards.push(stage.figures()[0].1);
        let (micro, settings) = (stage.micro_batches(), stage.settings(step));
        train::trainer::step(&mut gpt, &mut optimizer, micro, || stage.next_batch(), settings, 0.0).unwrap();
    }
    let mean = |r: &[f64]| r.iter().sum::<f64>() / r.len() as f64;
    let (first, last) = (mean(&rewards[..3]), mean(&rewards[steps - 3..]));
    assert!(last > first + 0.3, "{rewards:?}");
    let scores = stage.examine(&gpt).unwrap();
    assert_eq!(scores.len(), 8, "pass@1 to pass@8");
    assert!(scores.windows(2).all(|w| w[0].1 <= w[1].1), "{scores:?}");
}

#[test]
fn a_policy_that_knows_everything_has_all_right_and_one_that_knows_nothing_guesses() {
    use train::core::{Bundle, SpanScore, centred, prompts::in_order, run};
    let dir = tempfile::tempdir().unwrap();
    train::synth::write_core(3, 120, dir.path()).unwrap();
    for task in &Bundle::open(dir.path()).unwrap().tasks {
        let rows = in_order(task.rows().unwrap(), 0);
        let score = |mean_loss, exact| SpanScore { mean_loss, predicted: vec![], exact };
        let mut rng = train::random::Python::new(1);
        let (mut oracle, mut guess) = (0, 0);
        for row in &rows {
            let choices = row.prompts(&[], " ").len();
            let (knows, guesses): (Vec<_>, Vec<_>) = match row.gold() {
                Some(gold) => (0..choices)
                    .map(|i| (score(if i == gold { 0.5 } else { 2.0 }, false), score(rng.random(), false)))
                    .unzip(),
                None => (vec![score(0.0, true)], vec![score(9.0, false)]),
            };
            oracle += usize::from(run::is_right(row, &knows));
            guess += usize::from(run::is_right(row, &guesses));
        }
        let part = |right: usize| centred(right as f64 / rows.len() as f64, task.baseline);
        assert_eq!(part(oracle), 1.0, "{}", task.label);
        assert!(part(guess).abs() <= 0.3, "{}: {}", task.label, part(guess));
    }
}

#[test]
fn texts_become_shards_and_a_damaged_or_missing_shard_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (text, out) = (dir.path().join("t.txt"), dir.path().join("out"));
    std::fs::write(&text, (0..200).map(|i| format!("paragraph {i}\n\n")).collect::<String>()).unwrap();
    let made = documents::import_as(std::slice::from_ref(&text), &out, true).unwrap();
    assert!(made.documents > 0 && made.validation_documents > 0);
    let tokenizer = bytes();
    let shard = out.join("shard_00000.parquet");
    let source = || -> train::Result<Source> {
        let shards = Shards::open(&out, Split::Train)?;
        Source::new(Box::new(shards), &tokenizer, Rank::default(), 8)
    };
    let mut loader = FlatStream::new(source().unwrap(), Step::Tokens);
    loader.rows(1, 8).unwrap();
    let position = loader.position();
    let whole = std::fs::read(&shard).unwrap();
    std::fs::write(&shard, &whole[..whole.len() / 2]).unwrap();
    assert!(source().err().unwrap().to_string().contains("shard_00000.parquet"));
    std::fs::write(&shard, &whole).unwrap();
    FlatStream::new(source().unwrap(), Step::Tokens).seek(&position).unwrap();
    std::fs::remove_file(&shard).unwrap();
    assert!(source().err().unwrap().to_string().contains("add a second shard"));
}
