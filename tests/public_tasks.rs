//! Files of public benchmarks that others made: they are read whole, whoever knows everything has 100 %, and whoever guesses is
//! where guessing is. `cargo xtask soak tasks` fetches them and names their folder in `NANOCHAT_PUBLIC_TASKS`; without it nothing
//! is checked here, which a notice says.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::PathBuf;
use tokenizer::conversation::{Content, Conversation};
use train::core::{Bundle, SpanScore, centred, prompts::in_order, run};
use train::random::Python;
use train::tasks::Task;
use train::tasks::choice::Choice;
use train::tasks::gsm8k::Gsm8k;

fn folder() -> Option<PathBuf> {
    let found = std::env::var_os("NANOCHAT_PUBLIC_TASKS").map(PathBuf::from);
    if found.is_none() {
        println!("notice: no public benchmark is read: `cargo xtask soak tasks` fetches some");
    }
    found
}

/// Guesses of `n` items, each right with this probability, are so far from it at most (four standard deviations).
fn near(right: usize, n: usize, chance: f64) -> bool {
    let part = right as f64 / n as f64;
    (part - chance).abs() <= 4.0 * (chance * (1.0 - chance) / n as f64).sqrt()
}

#[test]
fn tasks_of_core_give_an_oracle_everything_and_a_guess_its_baseline() {
    let Some(folder) = folder() else { return };
    let bundle = Bundle::open(&folder.join("eval_bundle")).unwrap();
    assert_eq!(bundle.tasks.len(), 5);
    for task in &bundle.tasks {
        let rows = in_order(task.rows().unwrap(), 0);
        let mut rng = Python::new(7);
        let (mut oracle, mut guess) = (0, 0);
        for row in &rows {
            let score = |mean_loss| SpanScore { mean_loss, predicted: vec![], exact: false };
            let n = row.prompts(&[], &task.delimiter).len();
            let gold = row.gold().unwrap();
            let knows: Vec<_> = (0..n).map(|i| score(f64::from(u8::from(i != gold)))).collect();
            let guesses: Vec<_> = (0..n).map(|_| score(rng.random())).collect();
            oracle += usize::from(run::is_right(row, &knows));
            guess += usize::from(run::is_right(row, &guesses));
        }
        let accuracy = guess as f64 / rows.len() as f64;
        println!(
            "{:16} {:5} rows: oracle {oracle}, a guess {:.1} %",
            task.label,
            rows.len(),
            100.0 * accuracy
        );
        assert_eq!(centred(oracle as f64 / rows.len() as f64, task.baseline), 1.0, "{}", task.label);
        assert!(
            rows.len() > 300 && near(guess, rows.len(), 0.01 * task.baseline),
            "{}: {accuracy}",
            task.label
        );
    }
}

/// What the assistant says last.
fn reference(conversation: &Conversation) -> String {
    match &conversation.messages.last().unwrap().content {
        Content::Text(text) => text.clone(),
        Content::Parts(parts) => parts.iter().map(|part| part.text.as_str()).collect(),
    }
}

#[test]
fn mmlu_and_word_problems_give_an_oracle_everything_and_a_guess_its_share() {
    let Some(folder) = folder() else { return };
    let data = folder.join("task_data");
    let mmlu = Choice::mmlu(&data, "test").unwrap();
    let asdiv = Gsm8k::open(&data, "main", "test").unwrap();
    let mut rng = Python::new(8);
    let right = |task: &dyn Task, policy: &mut dyn FnMut(&train::tasks::Example) -> String| {
        let mut right = |i| {
            let example = task.example(i).unwrap();
            let answer = policy(&example);
            task.is_right(&example, &answer).unwrap()
        };
        (0..task.len()).filter(|&i| right(i)).count()
    };
    let mut oracle = |example: &train::tasks::Example| reference(&example.conversation);
    assert_eq!((right(&mmlu, &mut oracle), right(&asdiv, &mut oracle)), (mmlu.len(), asdiv.len()));
    let guessed = right(&mmlu, &mut |example| {
        example.letters[(rng.random() * example.letters.len() as f64) as usize].clone()
    });
    let nothing = right(&asdiv, &mut |_| "I do not know.\n#### -12345".into());
    println!(
        "MMLU {} rows, a guess {guessed}; ASDiv {} rows, a wrong number {nothing}",
        mmlu.len(),
        asdiv.len()
    );
    assert!(mmlu.len() > 2000 && asdiv.len() > 1500 && near(guessed, mmlu.len(), 0.25) && nothing == 0);
}
