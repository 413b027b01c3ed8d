//! The engine on a real model: an answer's bits do not depend on who else is served, on what the cache still holds, on
//! how the prompt was cut; and it says what a model without a cache says.
#![allow(clippy::unwrap_used)]

use kernels::philox::Philox;
use model::{Family, Gpt, GptConfig, GptOptions, init};
use tensor::{DType, Device, Tensor};
use tests::{LeakCheck, small_config};
use tokenizer::Tokenizer;
use train::engine::collect::{Sample, complete};
use train::engine::gpt::GptForward;
use train::engine::request::Token;
use train::engine::{Engine, Finish, Limits, Request, Sampling, What};

const CONTEXT: usize = 320;

/// A model of each family. Every weight is random: no logits are equal, no block does nothing.
fn models(compute: DType) -> [Gpt; 2] {
    [Family::Classic, Family::Current].map(|family| model(family, compute))
}

fn model(family: Family, compute: DType) -> Gpt {
    let GptConfig { n_layer, n_head, n_kv_head, n_embd, .. } = small_config();
    let sizes = GptConfig { n_layer, n_head, n_kv_head, n_embd, ..GptConfig::of(family) };
    let config = GptConfig { sequence_len: 64, vocab_size: 265, ..sizes };
    let mut gpt = Gpt::new(config, 5, GptOptions { compute, ..GptOptions::default() }).unwrap();
    for (i, p) in gpt.params_mut().iter_mut().enumerate() {
        let dims = p.value().dims().to_vec();
        p.set(init::normal(5, 200 + i as u64, 0.15, &dims, Device::Cpu).unwrap());
    }
    gpt.for_inference(None).unwrap()
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap()
}

fn engine(gpt: &Gpt, rows: usize, chunk: usize) -> Engine<GptForward<'_>> {
    let limits = Limits { rows, waiting: 1000, chunk, context: CONTEXT };
    Engine::new(GptForward::for_rows(gpt, rows, CONTEXT).unwrap(), &tokenizer(), limits)
}

fn prompt(i: u64, n: usize) -> Vec<u32> {
    let mut rng = Philox::new(i, 9);
    (0..n).map(|_| rng.below(256)).collect()
}

/// Tokens of everything that was submitted, with the bits of their log-probabilities.
fn run(engine: &mut Engine<GptForward<'_>>, requests: Vec<Request>) -> Vec<Vec<(u32, u32)>> {
    let mut answers = vec![Vec::new(); requests.len()];
    let ids: Vec<_> = requests.into_iter().map(|request| engine.submit(request).unwrap()).collect();
    while !engine.is_idle() {
        for event in engine.step().unwrap() {
            let number = ids.iter().position(|id| *id == event.request).unwrap();
            if let What::Token(Token { id, logprobs, .. }) = event.what {
                answers[number].push((id, logprobs.unwrap().token.to_bits()));
            }
        }
    }
    assert_eq!(engine.stats().pages_used, 0, "all pages are back");
    answers
}

fn request(i: u64, n: usize, max_tokens: usize) -> Request {
    Request { logprobs: Some(0), ..Request::greedy(prompt(i, n), max_tokens) }
}

#[test]
fn an_answer_has_the_same_bits_alone_and_among_31_others() {
    let _leaks = LeakCheck::default();
    for gpt in [DType::F32, DType::Bf16].into_iter().flat_map(models) {
        let all: Vec<Request> = (0..32u64).map(|i| request(i, 1 + (i as usize * 37) % 150, 40)).collect();
        let together = run(&mut engine(&gpt, 32, 64), all.clone());
        for (i, wanted) in all.into_iter().enumerate().filter(|(i, _)| i % 3 == 0) {
            let alone = run(&mut engine(&gpt, 1, 1000), vec![wanted]);
            assert_eq!(
                alone[0],
                together[i],
                "{:?}, {}: request {i}",
                gpt.config().family,
                gpt.options().compute
            );
        }
    }
}

#[test]
fn an_answer_that_had_to_give_way_to_older_ones_and_was_read_again_has_the_same_bits() {
    let _leaks = LeakCheck::default();
    for gpt in [DType::F32, DType::Bf16].into_iter().flat_map(models) {
        let sampling = |i: u64| Sampling { temperature: 0.8, seed: i, ..Sampling::default() };
        let wanted = |i: u64| Request { sampling: sampling(i), ..request(i, 50 + i as usize, 140) };
        let all: Vec<Request> = (0..6).map(wanted).collect();
        let with = |pages: usize| {
            let limits = Limits { rows: 6, waiting: 10, chunk: 100, context: CONTEXT };
            let mut engine = Engine::new(GptForward::new(&gpt, pages).unwrap(), &tokenizer(), limits);
            let answers = run(&mut engine, all.clone());
            (answers, engine.stats().paused)
        };
        let (roomy, paused) = with(6 * 4);
        assert_eq!(paused, 0);
        let mut gave_way = 0;
        for pages in [5, 7, 9, 11] {
            let (tight, paused) = with(pages);
            gave_way += paused;
            let GptOptions { compute, .. } = gpt.options();
            assert_eq!(roomy, tight, "{:?}, {compute}, {pages} pages", gpt.config().family);
        }
        assert!(gave_way >= 4, "{gave_way}");
    }
}

#[test]
fn drawn_answers_do_not_depend_on_their_company_either() {
    let _leaks = LeakCheck::default();
    for gpt in models(DType::F32) {
        let wanted = |i: u64| {
            let sampling = Sampling {
                temperature: 0.9,
                top_k: (i as usize % 3) * 20,
                top_p: if i.is_multiple_of(2) { 0.9 } else { 1.0 },
                repetition_penalty: if i.is_multiple_of(5) { 1.2 } else { 1.0 },
                seed: i,
                ..Sampling::default()
            };
            Request { sampling, ..request(i, 20, 30) }
        };
        let together = run(&mut engine(&gpt, 12, 64), (0..12).map(wanted).collect());
        for (i, together) in together.iter().enumerate() {
            assert_eq!(&run(&mut engine(&gpt, 1, 7), vec![wanted(i as u64)])[0], together);
        }
    }
}

#[test]
fn what_the_cache_still_holds_changes_no_bit() {
    let _leaks = LeakCheck::default();
    for gpt in models(DType::F32) {
        let mut warm = engine(&gpt, 2, 1000);
        let first = run(&mut warm, vec![request(1, 90, 30)]).remove(0);
        let mut history = prompt(1, 90);
        history.extend(first.iter().map(|(id, _)| id));
        history.extend(prompt(2, 11));
        let second = || Request { logprobs: Some(0), ..Request::greedy(history.clone(), 30) };
        let before = warm.stats();
        let reused = run(&mut warm, vec![second()]);
        assert_eq!(warm.stats().read - before.read, 12, "the new tokens and the last one of the answer");
        assert_eq!(reused, run(&mut engine(&gpt, 1, 1000), vec![second()]));
    }
}

#[test]
fn greedy_answers_are_those_of_the_model_without_a_cache() {
    let _leaks = LeakCheck::default();
    for gpt in models(DType::F32) {
        let answer = run(&mut engine(&gpt, 1, 13), vec![request(3, 40, 64)]).remove(0);
        let mut ids: Vec<i32> = prompt(3, 40).into_iter().map(|id| id as i32).collect();
        for (id, _) in answer {
            let logits = gpt.all_logits(&Tensor::ids(&ids, &[1, ids.len()], Device::Cpu).unwrap()).unwrap();
            let last = logits.to_vec::<f32>().unwrap().split_off((ids.len() - 1) * 265);
            let best = last.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
            assert_eq!(best as u32, id, "after {} tokens", ids.len());
            ids.push(id as i32);
        }
    }
}

#[test]
fn samples_of_one_prompt_are_what_they_would_be_if_each_had_read_it() {
    let _leaks = LeakCheck::default();
    for gpt in models(DType::F32) {
        for n in [63, 64, 70] {
            let sampling = Sampling { temperature: 1.0, ..Sampling::default() };
            let wanted = Request { samples: 5, sampling, ..Request::greedy(prompt(4, n), 20) };
            let cloned = complete(&mut engine(&gpt, 5, 1000), wanted.clone()).unwrap();
            let firsts: Vec<Sample> = (0..5)
                .map(|i| {
                    // Sample i again, alone with those before it, read in pieces.
                    let fewer = Request { samples: i + 1, ..wanted.clone() };
                    complete(&mut engine(&gpt, 5, 9), fewer).unwrap().remove(i)
                })
                .collect();
            assert_eq!(cloned, firsts, "{n} tokens");
            assert!(cloned.iter().any(|sample| sample.tokens != cloned[0].tokens));
            assert!(cloned.iter().all(|sample| matches!(sample.finish, Some(Finish::Length | Finish::End))));
        }
    }
}
