//! What clients send and what is asked of the engine.

use super::*;
use serde_json::json;

fn tokenizer() -> Tokenizer {
    Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap()
}

fn defaults() -> Defaults {
    let sampling = Sampling { temperature: 0.8, top_k: 50, ..Sampling::default() };
    Defaults { model: "m".into(), sampling, max_tokens: 40, context: 100, max_samples: 4 }
}

fn conversation_of(texts: &[&str]) -> Value {
    let role = |i: usize| if i.is_multiple_of(2) { "user" } else { "assistant" };
    let messages = texts.iter().enumerate().map(|(i, text)| json!({ "role": role(i), "content": text }));
    json!({ "messages": messages.collect::<Vec<_>>() })
}

fn text(ids: &[u32]) -> String {
    tokenizer().decode(ids).unwrap()
}

#[test]
fn what_is_not_said_has_its_default_and_everything_can_be_said() {
    let plain = chat(&conversation_of(&["hi"]), &tokenizer(), &defaults()).unwrap();
    let request = &plain.requests[0];
    assert_eq!(text(&request.prompt), "<|bos|><|user_start|>hi<|user_end|><|assistant_start|>");
    assert_eq!((request.max_tokens, request.samples, request.sampling), (40, 1, defaults().sampling));
    assert!(!plain.stream && request.logprobs.is_none() && request.stop.is_empty());
    let mut body = conversation_of(&["hi"]);
    let all = json!({
        "model": "nanochat", "temperature": 1.5, "top_k": 3, "top_p": 0.5, "min_p": 0.1, "repetition_penalty": 1.25,
        "seed": -1, "n": 2, "max_tokens": 7, "stop": "x", "stream": true, "logprobs": true, "user": "someone",
        "stream_options": { "include_usage": true }, "response_format": { "type": "text" }, "tools": [],
        "frequency_penalty": 0, "presence_penalty": -0.5, "logit_bias": null,
    });
    body.as_object_mut().unwrap().extend(all.as_object().unwrap().clone());
    let ask = chat(&body, &tokenizer(), &defaults()).unwrap();
    let sampling = Sampling {
        temperature: 1.5,
        top_k: 3,
        top_p: 0.5,
        min_p: 0.1,
        repetition_penalty: 1.25,
        presence_penalty: -0.5,
        frequency_penalty: 0.0,
        seed: u64::MAX,
    };
    let prompt = ask.requests[0].prompt.clone();
    let stop = vec!["x".to_string()];
    let greedy = Request::greedy(prompt, 7);
    assert_eq!(ask.requests, [Request { samples: 2, sampling, stop, logprobs: Some(0), ..greedy }]);
    assert!(ask.stream && ask.include_usage);
}

#[test]
fn messages_of_one_role_that_follow_each_other_become_one() {
    let user = |text: &str| json!({ "role": "user", "content": text });
    let tool = json!([{ "type": "python", "text": "1+1" }, { "type": "python_output", "text": "2" }]);
    let body = json!({ "messages": [
        user("a"), user("b"), { "role": "assistant", "content": tool },
        { "role": "assistant", "content": "two" }, user("c"),
    ] });
    let ask = chat(&body, &tokenizer(), &defaults()).unwrap();
    assert_eq!(
        text(&ask.requests[0].prompt),
        "<|bos|><|user_start|>a\n\nb<|user_end|><|assistant_start|><|python_start|>1+1<|python_end|><|output_start|>2\
         <|output_end|>two<|assistant_end|><|user_start|>c<|user_end|><|assistant_start|>"
    );
}

#[test]
fn tool_calls_of_the_past_are_rendered_as_they_were_made() {
    let body = json!({ "messages": [
        { "role": "user", "content": "6*7?" },
        { "role": "assistant", "content": [
            { "type": "python", "text": "6*7" }, { "type": "python_output", "text": "42" }, { "type": "text", "text": "42." },
        ]},
        { "role": "user", "content": "sure?" },
    ]});
    let ids = chat(&body, &tokenizer(), &Defaults { context: 200, ..defaults() })
        .unwrap()
        .requests
        .remove(0)
        .prompt;
    assert!(text(&ids).contains(
        "<|assistant_start|><|python_start|>6*7<|python_end|><|output_start|>42<|output_end|>42.<|assistant_end|>"
    ));
}

#[test]
fn the_oldest_turns_go_first_and_the_instructions_stay() {
    let turns: Vec<String> = (0..9).map(|i| format!("{i}").repeat(10)).collect();
    let turns: Vec<&str> = turns.iter().map(String::as_str).collect();
    let mut body = conversation_of(&turns);
    body["messages"].as_array_mut().unwrap().insert(0, json!({ "role": "system", "content": "SYS" }));
    body["truncation"] = json!("auto");
    let ids = chat(&body, &tokenizer(), &defaults()).unwrap().requests.remove(0).prompt;
    assert_eq!(
        text(&ids),
        "<|bos|><|user_start|>SYS\n\n6666666666<|user_end|><|assistant_start|>7777777777<|assistant_end|>\
         <|user_start|>8888888888<|user_end|><|assistant_start|>"
    );
    assert!(ids.len() <= 100 - 40);
    body["truncation"] = json!("disabled");
    assert!(
        chat(&body, &tokenizer(), &defaults()).unwrap_err().json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("auto")
    );
    let alone = json!({ "messages": [{ "role": "user", "content": "x".repeat(98) }], "truncation": "auto" });
    assert!(chat(&alone, &tokenizer(), &defaults()).is_err(), "the last question is never left out");
}

/// How often, unless NANOCHAT_FUZZ says otherwise (`cargo xtask soak serve`).
const BODIES: usize = 4000;

#[test]
fn whatever_is_sent_is_understood_or_refused() {
    let count = std::env::var("NANOCHAT_FUZZ").map_or(BODIES, |n| n.parse().unwrap());
    let (tokenizer, defaults) = (tokenizer(), defaults());
    let mut rng = kernels::philox::Philox::new(11, 3);
    let seeds = [
        conversation_of(&["hi", "there", "you"]).to_string(),
        json!({ "prompt": ["a", [1, 2]], "n": 2, "stop": ["x"], "logprobs": 1, "seed": 3, "stream": true, "echo": true })
            .to_string(),
    ];
    let pieces = [
        "null",
        "-1",
        "1e999",
        "{}",
        "[]",
        "\"\"",
        "\"\\ud83d\\ude42\"",
        "true",
        "18446744073709551616",
        "0.5",
    ];
    for i in 0..count {
        let mut text = seeds[i % 2].clone().into_bytes();
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(text.len() as u32) as usize;
            let piece = pieces[rng.below(pieces.len() as u32) as usize].as_bytes();
            match rng.below(3) {
                0 => drop(text.splice(at..at, piece.iter().copied())),
                1 => drop(text.remove(at)),
                _ => text[at] = b" \",:[]{}09az"[rng.below(12) as usize],
            }
        }
        let Ok(body) = serde_json::from_slice::<Value>(&text) else { continue };
        let _ = chat(&body, &tokenizer, &defaults);
        let _ = completion(&body, &tokenizer, &defaults);
    }
}
