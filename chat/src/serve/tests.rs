//! The server over loopback, spoken to by a client that knows nothing but sockets.

mod completions;
mod slow;
mod turns;

use super::*;
use model::{Gpt, GptConfig, GptOptions, init};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::Instant;
use tokenizer::Tokenizer;
use tokio::sync::oneshot;
use train::engine::gpt::GptForward;
use train::engine::{Engine, Limits, Sampling};

const CONTEXT: usize = 256;

/// A running server with a random model that speaks bytes.
struct Server {
    address: SocketAddr,
    worker: Worker,
    stop: Option<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

fn start(limits: Limits, change: impl FnOnce(&mut Config)) -> Server {
    let tokenizer = Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap();
    let (worker, rounds) = Worker::new(tokenizer.clone());
    let engine = move || {
        let config = GptConfig {
            sequence_len: CONTEXT,
            vocab_size: 265,
            n_layer: 2,
            n_head: 2,
            n_kv_head: 2,
            n_embd: 32,
            ..GptConfig::default()
        };
        let mut gpt = Gpt::new(config, 1, GptOptions::default()).unwrap();
        for (i, p) in gpt.params_mut().iter_mut().enumerate() {
            let dims = p.value().dims().to_vec();
            p.set(init::normal(1, 90 + i as u64, 0.3, &dims, tensor::Device::Cpu).unwrap());
        }
        let forward = GptForward::for_rows(&gpt, limits.rows, CONTEXT).unwrap();
        rounds.run(Engine::new(forward, &tokenizer, limits)).unwrap();
    };
    let sampling = Sampling { temperature: 0.9, ..Sampling::default() };
    let defaults = Defaults {
        model: "tiny".into(),
        sampling,
        max_tokens: 24,
        context: CONTEXT,
        max_samples: limits.rows,
    };
    let seconds = Duration::from_secs;
    let mut config = Config {
        defaults,
        api_key: None,
        cors: None,
        body_limit: 1 << 20,
        connections: 64,
        header_timeout: seconds(10),
        queue_timeout: seconds(20),
        timeout: seconds(30),
        grace: seconds(1),
        local_only: true,
    };
    change(&mut config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let web_worker = worker.clone();
    let web = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let stop = async { drop(stopped.await) };
            serve(listener, web_worker, config, stop).await;
        });
    };
    let threads = vec![std::thread::spawn(engine), std::thread::spawn(web)];
    Server { address, worker, stop: Some(stop), threads }
}

const LIMITS: Limits = Limits { rows: 4, waiting: 50, chunk: 64, context: CONTEXT };

impl Server {
    /// Sends bytes, reads to the end: status, head, body.
    fn exchange(&self, request: &str) -> (u16, String, String) {
        let mut stream = self.open(request);
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        let all = String::from_utf8(all).unwrap();
        let (head, body) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.into())
    }
    fn open(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }
    fn get(&self, path: &str) -> (u16, String, String) {
        self.exchange(&format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"))
    }
    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, _, body) = self.exchange(&posting(path, &body.to_string()));
        (status, serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}")))
    }
    fn chat(&self, body: Value) -> Value {
        let (status, answer) = self.post("/v1/chat/completions", &body);
        assert_eq!(status, 200, "{answer}");
        answer
    }
    /// The events of a streamed answer.
    fn stream(&self, path: &str, body: &Value) -> Vec<Value> {
        let (status, head, text) = self.exchange(&posting(path, &body.to_string()));
        assert!(status == 200 && head.contains("text/event-stream"), "{head}\n{text}");
        let mut events: Vec<&str> =
            text.split_terminator("\n\n").map(|e| e.strip_prefix("data: ").unwrap()).collect();
        assert_eq!(events.pop(), Some("[DONE]"));
        events.into_iter().map(|event| serde_json::from_str(event).unwrap()).collect()
    }
    /// Waits until the engine has nothing to do and says how many cache pages are in use.
    fn settled(&self) -> usize {
        let begun = Instant::now();
        loop {
            let stats = self.worker.pulse().stats;
            if stats.running + stats.reading + stats.waiting == 0 {
                return stats.pages_used;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{stats:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let (worker, _) = Worker::new(self.worker.tokenizer.clone());
        drop(std::mem::replace(&mut self.worker, worker)); // the last way to the engine: its loop ends
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

fn posting(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn hello(more: Value) -> Value {
    let mut body = json!({ "messages": [{ "role": "user", "content": "Hello" }], "temperature": 0 });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    body
}

fn text(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap()
}

#[test]
fn a_streamed_answer_is_the_whole_one_in_pieces() {
    let server = start(LIMITS, |_| {});
    let whole = server.chat(hello(json!({})));
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["choices"][0]["message"]["role"], "assistant");
    let usage = &whole["usage"];
    assert_eq!(usage["prompt_tokens"], 9, "bos, user_start, five letters, user_end, assistant_start");
    assert_eq!(usage["total_tokens"].as_u64(), Some(9 + usage["completion_tokens"].as_u64().unwrap()));

    let options = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let events = server.stream("/v1/chat/completions", &hello(options));
    assert_eq!(events[0]["choices"][0]["delta"], json!({ "role": "assistant", "content": "" }));
    assert!(events.iter().all(|e| e["object"] == "chat.completion.chunk" && e["id"] == events[0]["id"]));
    let said: String = events.iter().filter_map(|e| e["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(said, text(&whole));
    let last = &events[events.len() - 2]["choices"][0];
    assert_eq!(last["finish_reason"], whole["choices"][0]["finish_reason"]);
    let counted = &events[events.len() - 1];
    assert_eq!(counted["choices"], json!([]));
    assert_eq!(counted["usage"]["completion_tokens"], usage["completion_tokens"]);
    assert_eq!(counted["usage"]["prompt_tokens_details"]["cached_tokens"], 8, "the prompt was there already");
    assert_eq!(server.settled(), 0);
}

#[test]
fn seeds_samples_and_limits_of_length_are_obeyed() {
    let server = start(LIMITS, |_| {});
    let ask = |more: Value| server.chat(hello(more));
    let two = ask(json!({ "temperature": 1.5, "n": 3, "seed": 7, "max_tokens": 12 }));
    let texts: Vec<&str> = two["choices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["message"]["content"].as_str().unwrap())
        .collect();
    assert!(texts.len() == 3 && (texts[0] != texts[1] || texts[1] != texts[2]), "{texts:?}");
    let again = ask(json!({ "temperature": 1.5, "n": 3, "seed": 7, "max_tokens": 12 }));
    assert_eq!(two["choices"], again["choices"]);
    let one = ask(json!({ "temperature": 1.5, "seed": 7, "max_completion_tokens": 12 }));
    assert_eq!(one["choices"][0], two["choices"][0]);
    assert!(one["usage"]["completion_tokens"].as_u64().unwrap() <= 12);
    let long = ask(json!({ "max_tokens": 4096 }));
    assert!(long["usage"]["total_tokens"].as_u64().unwrap() <= CONTEXT as u64);
}

#[test]
fn a_system_message_goes_in_front_of_the_first_question() {
    let server = start(LIMITS, |_| {});
    let system = json!([{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "Hi" }]);
    let merged = json!([{ "role": "user", "content": "Be brief.\n\nHi" }]);
    let of = |messages| server.chat(hello(json!({ "messages": messages })));
    assert_eq!(of(system)["choices"], of(merged)["choices"]);
    let parts = json!([{ "role": "user", "content": [{ "type": "text", "text": "H" }, { "type": "text", "text": "i" }] }]);
    let plain = json!([{ "role": "user", "content": "Hi" }]);
    assert_eq!(of(parts)["choices"], of(plain)["choices"]);
}

#[test]
fn chat_logprobs_name_tokens_bytes_and_alternatives() {
    let server = start(LIMITS, |_| {});
    let answer = server.chat(hello(json!({ "logprobs": true, "top_logprobs": 4, "max_tokens": 8 })));
    let entries = answer["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert!(!entries.is_empty());
    for entry in entries {
        let top = entry["top_logprobs"].as_array().unwrap();
        assert_eq!((top.len(), &top[0]["bytes"]), (4, &entry["bytes"]), "greedy takes the likeliest");
        assert!(top.windows(2).all(|pair| pair[0]["logprob"].as_f64() >= pair[1]["logprob"].as_f64()));
    }
    let bytes: Vec<u8> = entries
        .iter()
        .flat_map(|e| e["bytes"].as_array().unwrap())
        .map(|b| b.as_u64().unwrap() as u8)
        .collect();
    assert_eq!(String::from_utf8_lossy(&bytes), text(&answer));
}

#[test]
fn stop_texts_end_an_answer_and_are_not_part_of_it() {
    let server = start(LIMITS, |_| {});
    let whole = server.chat(hello(json!({})));
    let chars: Vec<char> = text(&whole).chars().collect();
    let stop: String = chars[2..4].iter().collect();
    let before = text(&whole).split(&stop).next().unwrap().to_string();
    let cut = server.chat(hello(json!({ "stop": [stop] })));
    assert_eq!((text(&cut), &cut["choices"][0]["finish_reason"]), (before.as_str(), &json!("stop")));
}

#[test]
fn what_is_wrong_is_said_with_the_field_and_a_status() {
    let server = start(LIMITS, |_| {});
    let user = |text: &str| json!([{ "role": "user", "content": text }]);
    let chat = "/v1/chat/completions";
    for (path, body, status, param) in [
        (chat, json!({}), 400, "messages"),
        (chat, json!({ "messages": [] }), 400, "messages"),
        (chat, json!({ "messages": user("") }), 400, "messages[0].content"),
        (chat, json!({ "messages": user(&"x".repeat(8001)) }), 400, "messages[0].content"),
        (chat, json!({ "messages": vec![user("x")[0].clone(); 501] }), 400, "messages"),
        (chat, json!({ "messages": [{ "role": "tool", "content": "x" }] }), 400, "messages[0].role"),
        (chat, json!({ "messages": [{ "role": "assistant", "content": "x" }] }), 400, "messages"),
        (chat, hello(json!({ "temperature": 2.1 })), 400, "temperature"),
        (chat, hello(json!({ "temperature": "hot" })), 400, "temperature"),
        (chat, hello(json!({ "top_k": 201 })), 400, "top_k"),
        (chat, hello(json!({ "max_tokens": 0 })), 400, "max_tokens"),
        (chat, hello(json!({ "max_tokens": 4097 })), 400, "max_tokens"),
        (chat, hello(json!({ "n": 5 })), 400, "n"),
        (chat, hello(json!({ "stop": ["a", "b", "c", "d", "e"] })), 400, "stop"),
        (chat, hello(json!({ "seed": 1.5 })), 400, "seed"),
        (chat, hello(json!({ "top_logprobs": 3 })), 400, "top_logprobs"),
        (chat, hello(json!({ "tools": [{ "type": "function" }] })), 400, "tools"),
        (chat, hello(json!({ "stream_options": {} })), 400, "stream_options"),
        ("/v1/completions", json!({ "prompt": [] }), 400, "prompt"),
        ("/v1/completions", json!({ "prompt": [1, "a"] }), 400, "prompt"),
    ] {
        let (got, answer) = server.post(path, &body);
        assert_eq!((got, answer["error"]["param"].as_str()), (status, Some(param)), "{body} {answer}");
        assert_eq!(answer["error"]["type"], "invalid_request_error");
        assert!(answer["error"]["message"].as_str().unwrap().len() > 10);
    }
    let (status, answer) = server.post(chat, &hello(json!({ "model": "gpt-5" })));
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("model_not_found")));
    let (status, answer) = server.post(chat, &json!({ "messages": user(&"word ".repeat(100)) }));
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("context_length_exceeded")));
    let (status, answer) = server.post("/v1/completions", &json!({ "prompt": [999] }));
    assert_eq!(status, 400, "{answer}");
    for (request, status) in [
        (posting(chat, "{\"messages\": ["), 400),
        (posting(chat, "[1]"), 400),
        (posting(chat, &"x".repeat((1 << 20) + 1)), 413),
        (posting(chat, "{}").replace("application/json", "text/plain"), 415),
        (posting(chat, "{}").replace("Host: localhost", "Host: evil.example"), 403),
        (posting(chat, "{}").replace("POST", "PUT"), 405),
        (posting("/v2/chat", "{}"), 404),
    ] {
        let (got, _, body) = server.exchange(&request);
        assert_eq!(got, status, "{body}");
        assert!(serde_json::from_str::<Value>(&body).unwrap()["error"]["message"].is_string(), "{body}");
    }
    assert_eq!(server.settled(), 0);
}

#[test]
fn old_turns_are_left_out_only_if_that_was_asked_for() {
    let server = start(LIMITS, |_| {});
    let mut messages = vec![json!({ "role": "system", "content": "Be kind." })];
    for i in 0..12 {
        messages.push(json!({ "role": "user", "content": format!("Question number {i}") }));
        messages.push(json!({ "role": "assistant", "content": format!("Answer number {i}") }));
    }
    messages.push(json!({ "role": "user", "content": "The last question" }));
    let (status, _) = server.post("/v1/chat/completions", &json!({ "messages": messages }));
    assert_eq!(status, 400);
    let answer = server.chat(hello(json!({ "messages": messages, "truncation": "auto" })));
    let prompt = answer["usage"]["prompt_tokens"].as_u64().unwrap() as usize;
    assert!(prompt <= CONTEXT - 24 && prompt > CONTEXT / 2, "{prompt}");
}

#[test]
fn a_token_is_wanted_where_one_is_set_and_cors_is_off_unless_asked_for() {
    let server = start(LIMITS, |config| {
        config.api_key = Some("secret".into());
        config.cors = Some("https://example.org".into());
    });
    let body = hello(json!({ "max_tokens": 1 })).to_string();
    let request = posting("/v1/chat/completions", &body);
    let with = |token: &str| {
        request.replace("Host: localhost", &format!("Host: any.where\r\nAuthorization: Bearer {token}"))
    };
    let (status, head, _) = server.exchange(&request);
    assert!(status == 401 && head.contains("www-authenticate: bearer"), "{head}");
    assert_eq!(server.exchange(&with("wrong")).0, 401);
    let (status, head, _) = server.exchange(&with("secret"));
    assert!(status == 200 && head.contains("access-control-allow-origin: https://example.org"), "{head}");
    assert_eq!((server.get("/health").0, server.get("/").0, server.get("/metrics").0), (200, 200, 401));
    let (status, head, _) = server.exchange("OPTIONS /v1/models HTTP/1.0\r\nHost: a\r\n\r\n");
    assert!(status == 200 && head.contains("access-control-allow-headers"), "{head}");
    drop(server);
    let server = start(LIMITS, |_| {});
    assert!(!server.get("/v1/models").1.contains("access-control"));
}

#[test]
fn the_small_endpoints_answer() {
    let server = start(LIMITS, |_| {});
    let json = |path: &str| -> Value { serde_json::from_str(&server.get(path).2).unwrap() };
    assert_eq!(json("/v1/models")["data"][0]["id"], "tiny");
    assert_eq!(json("/v1/models/tiny")["object"], "model");
    assert_eq!(json("/v1/models/other")["error"]["code"], "model_not_found");
    let health = json("/health");
    assert_eq!((&health["status"], &health["context"]), (&json!("ok"), &json!(CONTEXT)));
    let (status, head, page) = server.get("/");
    assert!(
        status == 200 && head.contains("content-security-policy") && page.contains("<title>nanochat</title>")
    );
    server.chat(hello(json!({ "max_tokens": 3 })));
    server.settled();
    let metrics = server.get("/metrics").2;
    for line in [
        "nanochat_generated_tokens_total 3",
        "nanochat_cache_pages_used 0",
        "nanochat_first_token_seconds_count 1",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line}: {metrics}");
    }
    let wish = json!({ "prompt_ids": [256, 97, 98], "answer_ids": [99], "layer": 1, "token": 2 });
    let (status, picture) = server.post("/nanochat/attention", &wish);
    assert_eq!((status, &picture["tokens"]), (200, &json!(["<|bos|>", "a", "b"])));
    assert_eq!(picture["heads"].as_array().unwrap().len(), 2);
    assert_eq!(
        server.post("/nanochat/attention", &json!({ "prompt_ids": [1], "answer_ids": [], "layer": 9 })).0,
        400
    );
}

#[test]
fn when_all_places_are_taken_the_next_is_sent_away_and_told_when_to_come_back() {
    let server = start(Limits { rows: 1, waiting: 1, ..LIMITS }, |_| {});
    let long =
        posting("/v1/chat/completions", &hello(json!({ "max_tokens": 200, "stream": true })).to_string());
    let streams: Vec<TcpStream> = (0..8).map(|_| server.open(&long)).collect();
    let mut refused = 0;
    for mut stream in streams {
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        if all.starts_with("HTTP/1.0 429") {
            refused += 1;
            assert!(
                all.to_ascii_lowercase().contains("\r\nretry-after: ") && all.contains("\"queue_full\""),
                "{all}"
            );
        } else {
            assert!(all.starts_with("HTTP/1.0 200") && all.ends_with("data: [DONE]\n\n"), "{all}");
        }
    }
    assert!(refused > 0 && refused < 8, "{refused}");
}

#[test]
fn who_waits_too_long_is_told_so() {
    let limits = Limits { rows: 1, ..LIMITS };
    let server = start(limits, |config| config.queue_timeout = Duration::from_millis(1));
    let long =
        posting("/v1/chat/completions", &hello(json!({ "max_tokens": 200, "stream": true })).to_string());
    let others: Vec<TcpStream> = (0..12).map(|_| server.open(&long)).collect();
    let (status, answer) = server.post("/v1/chat/completions", &hello(json!({})));
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("timeout")));
    drop(others);
    assert_eq!(server.settled(), 0);
}

#[test]
fn a_client_that_goes_away_frees_its_place() {
    let server = start(Limits { rows: 2, ..LIMITS }, |_| {});
    for stream in [true, false] {
        let body = hello(json!({ "max_tokens": 200, "stream": stream, "n": 2 }));
        for _ in 0..10 {
            drop(server.open(&posting("/v1/chat/completions", &body.to_string())));
        }
    }
    assert_eq!(server.settled(), 0);
    assert_eq!(server.chat(hello(json!({ "max_tokens": 2 })))["usage"]["completion_tokens"], 2);
}

#[test]
fn stopping_lets_answers_end_and_then_ends_them() {
    let mut server = start(LIMITS, |config| config.grace = Duration::from_millis(50));
    let body = hello(json!({ "max_tokens": 200, "stream": true, "n": 4, "temperature": 1.0 }));
    let mut stream = server.open(&posting("/v1/chat/completions", &body.to_string()));
    let mut first = [0; 64];
    stream.read_exact(&mut first).unwrap();
    drop(server.stop.take());
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("data: [DONE]\n\n"), "{rest}");
    let ends = rest.matches("\"finish_reason\":\"").count();
    assert_eq!(ends, 4, "every sample has ended, one way or the other: {rest}");
}
