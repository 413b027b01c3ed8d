//! The scheduler, driven by a model that says what its script says.

mod crowd;

use super::*;
use crate::engine::collect::{Sample, complete, drain};
use crate::engine::sampling::Sampling;
use crate::error::TrainError;
use std::collections::BTreeMap;
use tensor::{Device, TensorError};
use tokenizer::Special;

const PAGE: usize = 4;

/// A text model of bytes: after a text it says the next byte of the alphabet; `.` ends.
struct Alphabet {
    /// What every position of every page holds.
    pages: Vec<[u32; PAGE]>,
    end: u32,
    /// Tokens and rows of every call.
    calls: Vec<(usize, usize)>,
}

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Fault(#[from] TensorError);

impl From<Fault> for TrainError {
    fn from(fault: Fault) -> TrainError {
        fault.0.into()
    }
}

impl Alphabet {
    fn store(&mut self, rows: &[Seat<'_>], tokens: &[u32]) -> Vec<Vec<u32>> {
        let each = tokens.len() / rows.len();
        self.calls.push((each, rows.len()));
        for (row, tokens) in rows.iter().zip(tokens.chunks(each)) {
            for (&token, at) in tokens.iter().zip(row.length..) {
                self.pages[row.pages[at / PAGE] as usize][at % PAGE] = token;
            }
        }
        let text = |row: &Seat<'_>| {
            (0..row.length + each).map(|at| self.pages[row.pages[at / PAGE] as usize][at % PAGE]).collect()
        };
        rows.iter().map(text).collect()
    }
}

impl Forward for Alphabet {
    type Error = Fault;
    fn pages(&self) -> usize {
        self.pages.len()
    }
    fn page_len(&self) -> usize {
        PAGE
    }
    fn vocab_size(&self) -> usize {
        265
    }
    fn context(&self) -> usize {
        1000
    }
    /// Depends on the whole text: a letter's successor, shifted by how many `#` there are.
    fn feed(&mut self, rows: &[Seat<'_>], tokens: &[u32]) -> Result<Tensor, Fault> {
        let mut logits = vec![0.0f32; rows.len() * 265];
        for (text, logits) in self.store(rows, tokens).iter().zip(logits.chunks_mut(265)) {
            let shift = text.iter().filter(|&&token| token == u32::from(b'#')).count() as u32;
            let last = text.last().copied().unwrap_or(0);
            let next = if last == u32::from(b'.') { self.end } else { (last + 1 + shift) % 256 };
            logits[next as usize] = 9.0;
        }
        Ok(Tensor::from_slice(&logits, &[rows.len(), 265], Device::Cpu)?)
    }
    fn fill(&mut self, rows: &[Seat<'_>], tokens: &[u32]) -> Result<(), Fault> {
        self.store(rows, tokens);
        Ok(())
    }
    /// Each position as [`feed`](Forward::feed) would see it.
    fn score(&mut self, row: &Seat<'_>, tokens: &[u32]) -> Result<Tensor, Fault> {
        let mut all = Vec::new();
        for (i, token) in tokens.iter().enumerate() {
            let row = Seat { length: row.length + i, ..*row };
            all.extend(self.feed(&[row], &[*token])?.to_vec::<f32>()?);
        }
        self.calls.truncate(self.calls.len() - tokens.len());
        self.calls.push((tokens.len(), 1));
        Ok(Tensor::from_slice(&all, &[tokens.len(), 265], Device::Cpu)?)
    }
    fn copy_page(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        self.pages[to as usize] = self.pages[from as usize];
        Ok(())
    }
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap()
}

fn engine(pages: usize, rows: usize, chunk: usize) -> Engine<Alphabet> {
    let tokenizer = tokenizer();
    let end = tokenizer.special(Special::AssistantEnd);
    let model = Alphabet { pages: vec![[7777; PAGE]; pages], end, calls: Vec::new() };
    Engine::new(model, &tokenizer, Limits { rows, waiting: 100, chunk, context: 1000 })
}

fn ask(text: &str, max_tokens: usize) -> Request {
    Request::greedy(text.bytes().map(u32::from).collect(), max_tokens)
}

fn text(sample: &Sample) -> String {
    sample.tokens.iter().map(|&id| char::from(id as u8)).collect()
}

/// Every answer of everything that was submitted.
fn answers(engine: &mut Engine<Alphabet>) -> BTreeMap<(u64, usize), Sample> {
    let mut all: BTreeMap<(u64, usize), Sample> = BTreeMap::new();
    drain(engine, |event| {
        all.entry((event.request.0, event.sample)).or_default().add(event.what);
        true
    })
    .unwrap();
    all
}

#[test]
fn many_requests_in_few_rows_and_pages_are_all_answered_right() {
    for (pages, rows, chunk) in [(12, 2, 3), (40, 5, 16), (200, 50, 1)] {
        let mut engine = engine(pages, rows, chunk);
        let prompt = |i: usize| format!("{}#{}", "x".repeat(i % 13), char::from(b'a' + (i % 5) as u8));
        for i in 0..50 {
            engine.submit(ask(&prompt(i), 1 + i % 7)).unwrap();
        }
        let all = answers(&mut engine);
        assert_eq!(all.len(), 50);
        for ((i, _), sample) in all {
            let (first, i) = (b'a' + (i % 5) as u8, i as usize);
            let want: String = (1..=1 + i % 7).map(|k| char::from(first + 2 * k as u8)).collect();
            assert_eq!((text(&sample), sample.finish), (want, Some(Finish::Length)), "{pages} pages, {i}");
        }
        let stats = engine.stats();
        assert_eq!((stats.pages_used, stats.running, stats.accepted, stats.finished), (0, 0, 50, 50));
        assert!(engine.forward().calls.iter().all(|&(_, n)| n <= rows));
        assert!(engine.forward().calls.iter().all(|&(each, n)| each == 1 || each * n <= chunk));
    }
}

#[test]
fn who_must_give_way_is_read_again_and_says_the_same_and_whoever_came_first_ends_first() {
    let want = |i: usize| -> String { (1..=24).map(|k| char::from(b'a' + (i + k) as u8)).collect() };
    let ask = |i: usize| ask(&char::from(b'a' + i as u8).to_string(), 24); // 1 page first, 7 in the end
    for (pages, chunk) in [(7, 100), (9, 2), (16, 100), (100, 100)] {
        let mut engine = engine(pages, 4, chunk);
        for i in 0..8 {
            engine.submit(ask(i)).unwrap();
        }
        let mut ends = Vec::new();
        let mut all: BTreeMap<(u64, usize), Sample> = BTreeMap::new();
        let mut begun = Vec::new();
        drain(&mut engine, |event| {
            match event.what {
                What::Finished(_) => ends.push(event.request.0),
                What::Started { .. } => begun.push(event.request.0),
                _ => {}
            }
            all.entry((event.request.0, event.sample)).or_default().add(event.what);
            true
        })
        .unwrap();
        let order: Vec<u64> = (0..8).collect();
        assert_eq!((&ends, &begun), (&order, &order), "{pages} pages");
        for (&(i, _), sample) in &all {
            assert_eq!(text(sample), want(i as usize), "{pages} pages");
        }
        let stats = engine.stats();
        assert_eq!((stats.pages_used, stats.finished), (0, 8));
        assert_eq!(stats.paused > 0, pages < 28, "{pages} pages, {} pauses", stats.paused);
    }
}

#[test]
fn samples_of_one_prompt_give_way_one_by_one() {
    let sampling = Sampling { temperature: 4.0, ..Sampling::default() };
    for prompt in ["abc", "abcd", "abcdef"] {
        let request = Request { samples: 4, sampling, ..ask(prompt, 20) };
        let want = complete(&mut engine(100, 8, 100), request.clone()).unwrap();
        let mut narrow = engine(25, 8, 100);
        narrow.submit(ask("wxyzwxyzwxyz", 40)).unwrap(); // older, and in the way
        assert_eq!(complete(&mut narrow, request).unwrap(), want);
        assert!(narrow.stats().paused > 0);
        assert_eq!(narrow.stats().pages_used, 0);
    }
}

#[test]
fn who_waits_for_room_can_be_called_off() {
    let mut engine = engine(8, 4, 100);
    let ids: Vec<RequestId> = (0..4).map(|_| engine.submit(ask("a", 25)).unwrap()).collect();
    while engine.stats().paused < 2 {
        engine.step().unwrap();
    }
    let mut ended = 0;
    for &id in ids.iter().rev() {
        assert!(engine.cancel(id));
        assert!(!engine.cancel(id), "only once");
        ended += engine.step().unwrap().iter().filter(|e| matches!(e.what, What::Finished(_))).count();
    }
    assert_eq!((ended, engine.stats().pages_used, engine.stats().finished), (4, 0, 4));
    assert!(engine.is_idle());
}

#[test]
fn the_prompts_log_probabilities_come_once_even_after_a_pause() {
    let scored = |pages: usize, chunk: usize, max_tokens: usize| {
        let mut engine = engine(pages, 4, chunk);
        engine.submit(ask("a", 27)).unwrap(); // takes all pages there are if there are 7
        engine.step().unwrap();
        let prompt = "abcabcabcab#x";
        let request = Request { prompt_logprobs: true, logprobs: Some(1), ..ask(prompt, max_tokens) };
        let id = engine.submit(request).unwrap();
        let (mut prompt, mut tokens) = (Vec::new(), Vec::new());
        drain(&mut engine, |event| {
            match event.what {
                What::Prompt(found) if event.request == id => prompt.extend(found),
                What::Token(token) if event.request == id => tokens.push(token.id),
                _ => {}
            }
            true
        })
        .unwrap();
        assert_eq!(engine.stats().pages_used, 0);
        (prompt, tokens)
    };
    let (prompt, tokens) = scored(100, 100, 3);
    assert_eq!(prompt.len(), 12);
    let likely: Vec<bool> = prompt.iter().map(|p| p.token > -0.1).collect();
    let letters = [true, true, false]; // a b c, then a again
    assert!((0..10).all(|i| likely[i] == letters[i % 3]), "{likely:?}");
    assert_eq!(tokens.len(), 3);
    for (pages, chunk) in [(7, 100), (7, 3), (10, 1), (100, 5)] {
        assert_eq!(scored(pages, chunk, 3), (prompt.clone(), tokens.clone()), "{pages} pages, {chunk}");
    }
    assert_eq!(scored(100, 5, 0), (prompt, Vec::new()), "no token is wanted");
}

#[test]
fn a_prompt_that_gives_way_while_it_is_scored_reports_each_token_once() {
    let scored = |pages: usize| {
        let mut engine = engine(pages, 3, 2);
        ["a", "b"].iter().for_each(|older| _ = engine.submit(ask(older, 14)).unwrap()); // 4 pages each in the end
        engine.step().unwrap();
        let prompt = "abcabcabcabc#xyzabcabcabcabcx"; // 8 pages, read in 15 rounds
        let request = Request { prompt_logprobs: true, logprobs: Some(1), ..ask(prompt, 2) };
        let id = engine.submit(request).unwrap();
        let mut found = Vec::new();
        drain(&mut engine, |event| {
            if let (What::Prompt(more), true) = (event.what, event.request == id) {
                found.extend(more);
            }
            true
        })
        .unwrap();
        (found, engine.stats().paused)
    };
    let (want, paused) = scored(100);
    assert_eq!((want.len(), paused), (28, 0));
    let (got, paused) = scored(12);
    assert!(paused > 0, "there was room for all");
    assert_eq!(got, want);
}

#[test]
fn a_second_turn_reads_its_new_tokens_only() {
    let mut engine = engine(20, 4, 100);
    let first = complete(&mut engine, ask("hello there", 6)).unwrap();
    let history = format!("hello there{}", text(&first[0]));
    let before = engine.stats();
    let again = complete(&mut engine, ask(&format!("{history}and more"), 3)).unwrap();
    let after = engine.stats();
    // The last token of the answer was never fed.
    assert_eq!(after.read - before.read, 8 + 1);
    assert_eq!(after.reused - before.reused, 11 + 5);
    assert_eq!(text(&again[0]), "fgh");
    assert_eq!(after.pages_used, 0);
}

#[test]
fn samples_share_the_prompt_and_go_their_own_ways() {
    let mut engine = engine(40, 8, 100);
    let sampling = Sampling { temperature: 4.0, ..Sampling::default() };
    for prompt in ["abc", "abcd", "abcdefghij"] {
        let before = engine.forward().calls.len();
        let request = Request { samples: 6, sampling, ..ask(prompt, 9) };
        let all = complete(&mut engine, request.clone()).unwrap();
        let (tokens, rows) = engine.forward().calls[before];
        assert!(rows == 1 && tokens <= prompt.len(), "the prompt is read once, or less");
        let firsts: std::collections::BTreeSet<u32> = all.iter().map(|sample| sample.tokens[0]).collect();
        assert!(firsts.len() > 2, "{firsts:?}");
        assert_eq!(complete(&mut engine, request).unwrap(), all, "same seed, same samples");
        assert_eq!(engine.stats().pages_used, 0);
    }
}

#[test]
fn an_answer_ends_where_it_should() {
    let mut engine = engine(20, 4, 100);
    let finish = |engine: &mut Engine<Alphabet>, request| {
        let sample = complete(engine, request).unwrap().remove(0);
        (text(&sample), sample.finish.unwrap())
    };
    assert_eq!(finish(&mut engine, ask("*", 20)), ("+,-.".into(), Finish::End));
    assert_eq!(finish(&mut engine, ask("*", 4)), ("+,-.".into(), Finish::Length));
    let stop = vec!["fg".to_string()];
    let request = Request { stop, ..ask("a", 20) };
    assert_eq!(finish(&mut engine, request.clone()), ("bcdefg".into(), Finish::Stop("fg".into())));
    engine.submit(request).unwrap();
    let mut shown = String::new();
    drain(&mut engine, |event| {
        if let What::Token(token) = event.what {
            shown.extend(token.text.into_iter().map(|piece| piece.text));
        }
        true
    })
    .unwrap();
    assert_eq!(shown, "bcde", "the stop text is not shown");
}

#[test]
fn a_long_prompt_is_read_in_parts_while_others_go_on() {
    let mut engine = engine(100, 4, 8);
    let short = engine.submit(ask("a", 30)).unwrap();
    engine.step().unwrap();
    let long = engine.submit(ask(&"x".repeat(80), 1)).unwrap();
    let mut tokens_of_short = 0;
    let (mut ended, mut steps) = (false, 0);
    while !ended {
        steps += 1;
        for event in engine.step().unwrap() {
            tokens_of_short += usize::from(event.request == short && matches!(event.what, What::Token(_)));
            ended |= event.request == long && matches!(event.what, What::Finished(_));
        }
    }
    assert_eq!((steps, tokens_of_short), (10, 10), "one token in each round");
}

#[test]
fn requests_are_begun_in_the_order_they_came_even_if_a_later_one_would_fit() {
    let mut engine = engine(10, 4, 100);
    let a = engine.submit(ask("a", 19)).unwrap(); // 5 pages
    let b = engine.submit(ask("b", 29)).unwrap(); // 8 pages
    let c = engine.submit(ask("c", 3)).unwrap(); // 1 page
    let mut order = Vec::new();
    drain(&mut engine, |event| {
        if matches!(event.what, What::Started { .. }) {
            order.push(event.request);
        }
        true
    })
    .unwrap();
    assert_eq!(order, [a, b, c]);
}

#[test]
fn what_is_called_off_ends_at_once_and_frees_its_pages() {
    let mut engine = engine(30, 3, 4);
    let running = engine.submit(Request { samples: 2, ..ask("abc", 20) }).unwrap();
    engine.step().unwrap();
    let reading = engine.submit(ask(&"x".repeat(30), 20)).unwrap();
    engine.step().unwrap();
    let waiting = engine.submit(ask("a", 20)).unwrap();
    engine.step().unwrap();
    let stats = engine.stats();
    assert_eq!((stats.running, stats.reading, stats.waiting), (2, 1, 1));
    for id in [waiting, reading, running] {
        assert!(engine.cancel(id));
        assert!(!engine.cancel(id), "only once");
    }
    let ends = engine.step().unwrap();
    assert_eq!(ends.len(), 4);
    assert!(ends.iter().all(|event| event.what == What::Finished(Finish::Cancelled)));
    assert!(engine.is_idle() && engine.stats().pages_used == 0);
}

#[test]
fn pages_that_samples_would_have_copied_come_back_if_the_prompt_is_called_off() {
    let mut engine = engine(30, 8, 4);
    let id = engine.submit(Request { samples: 4, ..ask("abcdefghijklm", 20) }).unwrap();
    engine.step().unwrap();
    assert_eq!(engine.stats().pages_used, 4 + 3, "the prompt's, and one for each further sample");
    assert!(engine.cancel(id));
    assert_eq!(engine.step().unwrap().len(), 4);
    assert_eq!(engine.stats().pages_used, 0);
}

#[test]
fn a_request_that_waits_for_pages_is_not_overtaken_by_smaller_ones() {
    let mut engine = engine(10, 8, 100);
    let mut wanted = vec![engine.submit(ask("a", 15)).unwrap()]; // grows from 1 page to 4
    engine.step().unwrap();
    wanted.push(engine.submit(ask(&"x".repeat(37), 3)).unwrap()); // all 10
    wanted.extend((0..3).map(|_| engine.submit(ask("b", 2)).unwrap()));
    let mut begun = vec![wanted[0]];
    drain(&mut engine, |event| {
        if matches!(event.what, What::Started { .. }) {
            begun.push(event.request);
        }
        true
    })
    .unwrap();
    assert_eq!(begun, wanted);
}

#[test]
fn a_cache_with_room_for_so_many_rows_has_so_many_rows() {
    for (prompt, max_tokens) in [("abcdef", 3), ("abc", 6), ("abcd", 5), ("a", 20)] {
        let need = (prompt.len() + max_tokens - 1).div_ceil(PAGE);
        let mut engine = engine(5 * need, 5, 100);
        (0..5).for_each(|i| _ = engine.submit(ask(&format!("{prompt}{i}")[1..], max_tokens)).unwrap());
        engine.step().unwrap();
        assert_eq!(engine.stats().running, 5, "{prompt} and {max_tokens}");
        answers(&mut engine);
        assert_eq!(engine.stats().paused, 0);
    }
}

#[test]
fn the_last_token_of_an_answer_is_read_again_since_the_model_has_not_seen_it() {
    let mut engine = engine(20, 2, 100);
    let first = complete(&mut engine, ask("\"", 1)).unwrap();
    assert_eq!(text(&first[0]), "#");
    let second = complete(&mut engine, ask("\"#a", 3)).unwrap();
    assert_eq!(text(&second[0]), "ceg", "the # counts");
}

#[test]
fn every_sample_knows_the_whole_prompt() {
    for prompt in ["#ab", "#abcb", "xyz#ab", "#xyb"] {
        let mut engine = engine(40, 4, 100);
        let all = complete(&mut engine, Request { samples: 3, ..ask(prompt, 6) }).unwrap();
        all.iter().for_each(|sample| assert_eq!(text(sample), "dfhjln", "after {prompt}"));
        assert_eq!(engine.stats().pages_used, 0);
    }
}

#[test]
fn bad_requests_are_refused_with_the_reason() {
    let mut engine = engine(10, 2, 100);
    let refused =
        |engine: &mut Engine<Alphabet>, request: Request| engine.submit(request).unwrap_err().to_string();
    for (request, hint) in [
        (ask("", 1), "<|bos|>"),
        (ask("a", 0), "max_tokens is 0"),
        (Request { samples: 0, ..ask("a", 1) }, "samples is 0"),
        (Request { samples: 3, ..ask("a", 1) }, "2 rows"),
        (Request { prompt: vec![265], ..ask("a", 1) }, "outside the vocabulary"),
        (Request { stop: vec![String::new()], ..ask("a", 1) }, "stop text is empty"),
        (ask("abcd", 997), "context of 1000"),
        (ask("abcd", 40), "needs 11 cache pages of 10"),
    ] {
        assert!(refused(&mut engine, request).contains(hint), "{hint}");
    }
    for _ in 0..100 {
        engine.submit(ask("a", 1)).unwrap();
    }
    assert!(refused(&mut engine, ask("a", 1)).contains("100 requests are waiting"));
}

#[test]
fn logprobs_come_with_every_token_if_asked_for() {
    let mut engine = engine(10, 2, 100);
    engine.submit(Request { logprobs: Some(2), ..ask("a", 3) }).unwrap();
    let mut seen = 0;
    drain(&mut engine, |event| {
        if let What::Token(token) = event.what {
            let logprobs = token.logprobs.unwrap();
            assert_eq!((logprobs.top[0].0, logprobs.top.len()), (token.id, 2));
            assert!(logprobs.token > -0.1 && logprobs.token == logprobs.top[0].1);
            seen += 1;
        }
        true
    })
    .unwrap();
    assert_eq!(seen, 3);
}
