//! Random requests in hardly any pages, many of them with the same beginnings: whoever comes and goes, each gets its answer.

use super::*;
use kernels::philox::Philox;

/// What the model says after `prompt`, up to `n` bytes.
fn answer_to(prompt: &str, n: usize) -> String {
    let shift = prompt.matches('#').count() as u8; // what it says has none: letters only go up
    let last = prompt.bytes().last().unwrap();
    (1..=n as u8).map(|i| char::from(last + i * (1 + shift))).collect()
}

/// A short text of few letters, of which many begin alike.
fn prompt(rng: &mut Philox) -> String {
    let n = 1 + rng.below(14);
    (0..n).map(|_| char::from(b"ab#"[[0, 0, 0, 1, 1, 2][rng.below(6) as usize]])).collect()
}

#[test]
fn whatever_is_asked_in_however_few_pages_is_answered_right() {
    let (mut paused, mut reused) = (0, 0);
    for seed in 0..80 {
        let mut rng = Philox::new(seed, 3);
        let pages = 5 + rng.below(4) as usize;
        let mut engine = engine(pages, 1 + rng.below(4) as usize, 2 + rng.below(9) as usize);
        let mut asked: BTreeMap<u64, (String, Request)> = BTreeMap::new();
        let mut heard: BTreeMap<(u64, usize), (Sample, usize)> = BTreeMap::new();
        let mut called_off = Vec::new();
        while asked.len() < 40 || !engine.is_idle() {
            if asked.len() < 40 && rng.below(3) == 0 {
                let text = prompt(&mut rng);
                let samples = (1 + rng.below(3) as usize).min(engine.limits().rows);
                let scored = rng.below(4) == 0;
                let request = Request {
                    samples,
                    prompt_logprobs: scored,
                    logprobs: scored.then_some(0),
                    ..ask(&text, 1 + rng.below(9) as usize)
                };
                match engine.submit(request.clone()) {
                    Ok(id) => _ = asked.insert(id.0, (text, request)),
                    Err(refusal) => assert!(matches!(refusal, Refusal::TooLarge { .. }), "{refusal}"),
                }
            }
            if rng.below(12) == 0 && !asked.is_empty() {
                let id = rng.below(asked.len() as u32);
                if engine.cancel(RequestId(id.into())) {
                    called_off.push(u64::from(id));
                }
            }
            for event in engine.step().unwrap() {
                let (sample, scores) = heard.entry((event.request.0, event.sample)).or_default();
                *scores += if let What::Prompt(found) = &event.what { found.len() } else { 0 };
                sample.add(event.what);
            }
        }
        for ((id, number), (sample, scores)) in &heard {
            let (text, request) = &asked[id];
            let want = answer_to(text, request.max_tokens);
            let got = super::text(sample);
            let name = format!("seed {seed}, {pages} pages, request {id}.{number}: {text:?}");
            if called_off.contains(id) && sample.finish == Some(Finish::Cancelled) {
                assert!(want.starts_with(&got), "{name}: {got:?}, not {want:?}");
                continue;
            }
            assert_eq!((got, &sample.finish), (want, &Some(Finish::Length)), "{name}");
            let known = if request.prompt_logprobs && *number == 0 { text.len() - 1 } else { 0 };
            assert_eq!(*scores, known, "{name}");
        }
        let stats = engine.stats();
        assert_eq!(heard.len(), asked.values().map(|(_, request)| request.samples).sum::<usize>());
        assert_eq!((stats.pages_used, stats.finished), (0, heard.len() as u64), "seed {seed}");
        (paused, reused) = (paused + stats.paused, reused + stats.reused);
    }
    assert!(paused > 50 && reused > 1000, "{paused} pauses, {reused} tokens reused");
}
