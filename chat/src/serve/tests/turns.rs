//! A conversation that goes on: what was said is in the cache still.

use super::*;

/// The prompt's ids and the answer's, from a stream that was asked for everything.
fn ids(events: &[Value]) -> (Vec<u64>, Vec<u64>) {
    let all = |list: &Value| list.as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
    let entries = events.iter().filter_map(|e| e["choices"][0]["logprobs"]["content"].as_array()).flatten();
    (all(&events.last().unwrap()["prompt_ids"][0]), entries.map(|e| e["id"].as_u64().unwrap()).collect())
}

#[test]
fn a_second_turn_reads_its_new_tokens_and_the_last_one_of_the_answer() {
    let server = start(LIMITS, |_| {});
    let options = json!({
        "stream": true, "stream_options": { "include_usage": true }, "logprobs": true, "max_tokens": 90, "seed": 5,
        "temperature": 1,
    });
    let events = server.stream("/v1/chat/completions", &hello(options));
    let (prompt, answer) = ids(&events);
    assert_eq!(server.settled(), 0);
    assert_eq!(prompt.len(), 9);
    assert!(answer.len() > 2, "{answer:?}");
    let mut history = [prompt, answer].concat();
    let first = history.len();
    history.extend("And then?".bytes().map(u64::from));
    let before = server.worker.pulse().stats;
    let (status, second) = server.post("/v1/completions", &json!({ "prompt": history, "max_tokens": 4 }));
    assert_eq!(status, 200, "{second}");
    assert_eq!(second["usage"]["prompt_tokens_details"]["cached_tokens"], first - 1);
    server.settled();
    let after = server.worker.pulse().stats;
    assert_eq!((after.read - before.read, after.reused - before.reused), (9 + 1, first as u64 - 1));
}

#[test]
fn another_conversation_with_the_same_beginning_shares_what_is_the_same() {
    let server = start(LIMITS, |_| {});
    let system = "You answer in rhymes, and you never say more than the question needs. ".repeat(2);
    let ask = |question: &str| {
        let messages =
            json!([{ "role": "system", "content": system }, { "role": "user", "content": question }]);
        let answer = server.chat(hello(json!({ "messages": messages, "max_tokens": 2 })));
        answer["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap()
    };
    assert_eq!(ask("Who are you?"), 0);
    let shared = ask("Where are you?");
    assert_eq!(
        shared,
        2 + system.len() as u64 + 2 + 2,
        "bos, user_start, the instructions, the empty line, Wh"
    );
}
