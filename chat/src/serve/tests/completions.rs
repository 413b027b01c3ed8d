//! The older endpoint: texts and ids, how likely tokens were, the prompt repeated.

use super::*;

#[test]
fn completions_take_texts_and_ids_and_say_how_likely_tokens_were() {
    let server = start(LIMITS, |_| {});
    let ask = |more: Value| {
        let mut body = json!({ "prompt": "abc", "max_tokens": 6, "temperature": 0 });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, answer) = server.post("/v1/completions", &body);
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let plain = ask(json!({}));
    assert_eq!(
        (&plain["object"], plain["choices"].as_array().unwrap().len()),
        (&json!("text_completion"), 1)
    );
    let ids = ask(json!({ "prompt": [256, 97, 98, 99] }));
    assert_eq!(ids["choices"], plain["choices"], "texts begin with bos");
    let both = ask(json!({ "prompt": ["abc", [256, 100]], "n": 2, "temperature": 1.0, "seed": 1 }));
    let numbers: Vec<u64> =
        both["choices"].as_array().unwrap().iter().map(|c| c["index"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    let likely = ask(json!({ "logprobs": 3 }));
    let table = &likely["choices"][0]["logprobs"];
    let list = |key: &str| table[key].as_array().unwrap().clone();
    assert_eq!(list("tokens").len(), list("token_logprobs").len());
    assert!(list("top_logprobs").iter().all(|top| top.as_object().unwrap().len() <= 3));
    assert!(list("token_logprobs").iter().all(|p| p.as_f64().unwrap() <= 0.0));
    assert_eq!(list("text_offset")[0], 0);
    let events = server.stream(
        "/v1/completions",
        &json!({ "prompt": "abc", "max_tokens": 6, "temperature": 0, "stream": true }),
    );
    let said: String = events.iter().map(|e| e["choices"][0]["text"].as_str().unwrap()).collect();
    assert_eq!(said, plain["choices"][0]["text"].as_str().unwrap());
}

#[test]
fn a_prompt_is_repeated_with_how_likely_each_of_its_tokens_was() {
    let server = start(LIMITS, |_| {});
    let post = |body: &Value| {
        let (status, answer) = server.post("/v1/completions", body);
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let mut body = json!({ "prompt": "abcdef", "max_tokens": 5, "temperature": 0, "logprobs": 2 });
    let plain = post(&body);
    body["echo"] = json!(true);
    let echo = post(&body);
    let text = |answer: &Value| answer["choices"][0]["text"].as_str().unwrap().to_string();
    assert_eq!(text(&echo), format!("abcdef{}", text(&plain)));
    let table = |answer: &Value, key: &str| answer["choices"][0]["logprobs"][key].as_array().unwrap().clone();
    assert_eq!(table(&echo, "tokens")[..6].concat_text(), "abcdef");
    assert_eq!(table(&echo, "tokens")[6..], table(&plain, "tokens"));
    assert_eq!(table(&echo, "token_logprobs")[6..], table(&plain, "token_logprobs"));
    assert_eq!(table(&echo, "text_offset")[..7], [0, 1, 2, 3, 4, 5, 6]);

    // What the prompt's tokens are given is what the same text is given as an answer: after its beginning, the next
    // token's own probability among 20 alternatives, or below all of them.
    let given = &table(&echo, "token_logprobs");
    for n in 1..6 {
        let ask = json!({ "prompt": &"abcdef"[..n], "max_tokens": 1, "temperature": 0, "logprobs": 20 });
        let top = table(&post(&ask), "top_logprobs")[0].as_object().unwrap().clone();
        let next = &"abcdef"[n..=n];
        let least = top.values().map(|p| p.as_f64().unwrap()).fold(0.0, f64::min);
        match top.get(next) {
            Some(p) => assert_eq!(p, &given[n], "{next}"),
            None => assert!(given[n].as_f64().unwrap() <= least, "{next}"),
        }
    }

    // Alone; of two prompts, for two answers each, in pieces.
    let alone = post(&json!({ "prompt": "abcdef", "max_tokens": 0, "echo": true, "logprobs": 2 }));
    assert_eq!((text(&alone), table(&alone, "token_logprobs")), ("abcdef".into(), given[..6].to_vec()));
    assert_eq!(alone["choices"][0]["finish_reason"], "length");
    let ask = json!({ "prompt": ["abcdef", [99]], "n": 2, "max_tokens": 3, "echo": true, "logprobs": 0, "seed": 5 });
    let whole = post(&ask);
    let mut streamed = ask.clone();
    streamed["stream"] = json!(true);
    let events = server.stream("/v1/completions", &streamed);
    for i in 0..4 {
        let mine = events.iter().map(|e| &e["choices"][0]).filter(|c| c["index"] == i);
        let said: String = mine.clone().map(|c| c["text"].as_str().unwrap()).collect();
        assert_eq!(said, whole["choices"][i]["text"].as_str().unwrap());
        for key in ["tokens", "token_logprobs", "text_offset"] {
            let lists = mine.clone().filter_map(|c| c["logprobs"][key].as_array());
            let all: Vec<Value> = lists.flatten().cloned().collect();
            assert_eq!(&all, whole["choices"][i]["logprobs"][key].as_array().unwrap(), "choice {i}: {key}");
        }
    }
    let first = &whole["choices"][2]["logprobs"];
    assert_eq!((&first["token_logprobs"][0], &first["top_logprobs"][0]), (&Value::Null, &Value::Null));
    assert_eq!(server.settled(), 0);
    let refused = |body: Value, path: &str| server.post(path, &body).0;
    assert_eq!(refused(json!({ "prompt": "a", "max_tokens": 0 }), "/v1/completions"), 400);
    assert_eq!(refused(hello(json!({ "echo": true })), "/v1/chat/completions"), 400);
}

/// Texts in JSON, one behind the other.
trait ConcatText {
    fn concat_text(&self) -> String;
}

impl ConcatText for [Value] {
    fn concat_text(&self) -> String {
        self.iter().filter_map(Value::as_str).collect()
    }
}

#[test]
fn penalties_of_the_standard_hold_back_what_was_said() {
    let server = start(LIMITS, |_| {});
    let ids = |penalty: &str, strength: f64| {
        let mut body = json!({ "prompt": "ab", "max_tokens": 40, "temperature": 0, "logprobs": 0 });
        body[penalty] = json!(strength);
        let (status, answer) = server.post("/v1/completions", &body);
        assert_eq!(status, 200, "{answer}");
        answer["choices"][0]["logprobs"]["tokens"].as_array().unwrap().clone()
    };
    let different = |tokens: &[Value]| tokens.iter().collect::<std::collections::HashSet<_>>().len();
    let plain = ids("presence_penalty", 0.0);
    for penalty in ["presence_penalty", "frequency_penalty"] {
        let held_back = ids(penalty, 2.0);
        assert!(different(&held_back) > different(&plain), "{penalty}: {held_back:?} {plain:?}");
        let (status, error) = server.post("/v1/completions", &json!({ "prompt": "a", penalty: 2.5 }));
        assert_eq!((status, &error["error"]["param"]), (400, &json!(penalty)));
    }
}
