//! Whatever happens to a run on its way, it ends with the bits of a run that was left alone: weights, optimizer, metrics,
//! everything that was evaluated and drawn.
//!
//! All stages of a tiny `speedrun` (`list.rs`) are killed at random points and in the middle of checkpoints, asked to stop,
//! robbed of their disk (`disk.rs`) and of their data (`shards.rs`). Here a few times, in seconds; `cargo xtask soak runs` does it
//! fifty times. `NANOCHAT_CHAOS` is the number of kills, `NANOCHAT_CHAOS_SEED` where the random points come from. Next:
//! `life.rs`, a process that can be killed; `state.rs`, what is compared.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod disk;
mod life;
mod list;
mod shards;
mod state;

use kernels::philox::Philox;
use life::Life;
use list::Reference;
use std::path::Path;
use std::time::{Duration, Instant};

/// Kills, and the seed of their points.
fn wanted(few: usize) -> (usize, u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    (number("NANOCHAT_CHAOS").map_or(few, |n| n as usize), number("NANOCHAT_CHAOS_SEED").unwrap_or(1))
}

/// The steps in which `n` interruptions fall, in order, and how many fall there: a training is hit four times as often as
/// anything else.
fn spread(reference: &Reference, n: usize) -> Vec<(usize, usize)> {
    let weights =
        |(i, step): (usize, &list::Done)| vec![i; if step.name.starts_with("train") { 4 } else { 1 }];
    let all: Vec<usize> = reference.steps.iter().enumerate().flat_map(weights).collect();
    let aims: Vec<usize> = (0..n).map(|j| all[(2 * j + 1) * all.len() / (2 * n)]).collect();
    aims.iter().map(|aim| (*aim, aims.iter().filter(|other| *other == aim).count())).collect()
}

/// Is somebody writing a checkpoint, or removing one, or was when he died?
fn in_a_checkpoint(base: &Path) -> bool {
    let runs = std::fs::read_dir(base.join("runs")).into_iter().flatten().flatten();
    let inside = runs.flat_map(|run| std::fs::read_dir(run.path().join("checkpoints")).into_iter().flatten());
    inside.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with('.'))
}

/// Lets the run go on to step `aim`, or the first that is not done after it, and some way into it: `share` interruptions will meet it.
fn into(
    life: &mut Life,
    reference: &Reference,
    (aim, share): (usize, usize),
    rng: &mut Philox,
) -> (usize, Duration) {
    let mut reached = aim;
    life.wait_for(|line| {
        list::begun(line).is_some_and(|(step, _)| {
            reached = step;
            step >= aim
        })
    });
    // As far as brings the last of several interruptions of a step to its end.
    let delay = reference.steps[reached].took.mul_f64(1.2 * f64::from(rng.uniform()) / share.max(1) as f64);
    std::thread::sleep(delay);
    (reached, delay)
}

#[test]
fn killed_at_random_points_of_all_stages_and_inside_of_checkpoints_it_ends_with_the_same_bits() {
    let (kills, seed) = wanted(6);
    let dir = tempfile::tempdir().unwrap();
    let reference = Reference::get();
    let (base, mut rng) = (dir.path().join("killed"), Philox::new(seed, 1));
    let (mut inside, mut hit, mut newest) = (0, 0, Vec::new());
    for (kill, aim) in spread(&reference, kills).into_iter().enumerate() {
        let mut life = Life::start(reference.again(&base).args(["--threads", &(1 + kill % 2).to_string()]));
        let (step, delay) = into(&mut life, &reference, aim, &mut rng);
        let name = &reference.steps[step].name;
        let mut also = "";
        if kill % 2 == 1 && name.starts_with("train") {
            let begun = Instant::now();
            while !in_a_checkpoint(&base) && life.runs() && begun.elapsed() < Duration::from_secs(5) {}
            std::thread::sleep(Duration::from_micros(u64::from(rng.below(2000))));
        }
        let ended = life.kill();
        hit += usize::from(ended.by_signal());
        if in_a_checkpoint(&base) {
            (inside, also) = (inside + 1, ", inside a checkpoint");
        }
        let now = reference.nothing_is_lost(&base, &newest);
        let last =
            now.last().map_or("no checkpoint yet".into(), |(run, step)| format!("{run} at step {step}"));
        println!("kill {:2}: in {name:10} after {delay:?}{also}; {last}", kill + 1);
        newest = now;
    }
    reference.ends_the_same(&base);
    println!(
        "seed {seed}: {hit} of {kills} kills hit a living run, {inside} inside a checkpoint; all bits equal"
    );
    assert!(2 * hit > kills && 10 * inside >= kills, "the kills missed the run");
}

#[test]
fn asked_to_stop_it_stops_cleanly_and_ends_with_the_same_bits() {
    let (wanted, seed) = wanted(4);
    let signals = wanted.min(20);
    let dir = tempfile::tempdir().unwrap();
    let reference = Reference::get();
    let (base, mut rng) = (dir.path().join("stopped"), Philox::new(seed, 2));
    let (mut saved, mut newest) = (0, Vec::new());
    for (i, aim) in spread(&reference, signals).into_iter().enumerate() {
        let signal = ["TERM", "INT"][i % 2];
        let mut life = Life::start(&mut reference.again(&base));
        let (step, delay) = into(&mut life, &reference, aim, &mut rng);
        let ended = life.signal(signal);
        let said = ended.clean();
        // A training says where it stopped; what has nothing to save ends at once.
        saved += usize::from(said.contains("interrupted at step"));
        newest = reference.nothing_is_lost(&base, &newest);
        println!("SIG{signal} in {:10} after {delay:?}: {}", reference.steps[step].name, said.trim());
    }
    reference.ends_the_same(&base);
    println!(
        "seed {seed}: {signals} signals, {saved} of them in trainings that saved at once; all bits equal"
    );
    assert!(saved > 0, "no signal met a training");
}
