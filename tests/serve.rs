//! `nanochat serve` as a user runs it, and as clients nobody here wrote see it: curl, and OpenAI's Python package.
//!
//! The package is looked for in `target/clients`, where `cargo xtask soak serve` installs it, and where `NANOCHAT_CLIENTS_PYTHON` points.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

fn nanochat(base: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanochat"));
    command.env("NANOCHAT_BASE_DIR", base).env_remove("NANOCHAT_API_KEY").stdin(Stdio::null());
    command.args(args.split_whitespace());
    command
}

/// A tiny model, trained once for all tests.
fn base() -> &'static Path {
    static BASE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = BASE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        for args in [
            "data synth --documents 300 --conversations 120 --test-per-kind 20 --seed 3",
            "tok train --vocab-size 300",
            "train base --run tiny --n-layer 2 --n-embd 32 --n-head 2 --max-seq-len 128 --device-batch-size 2 \
             --num-iterations 8 --eval-tokens 256",
        ] {
            let out = nanochat(dir.path(), args).output().unwrap();
            assert!(out.status.success(), "{args}: {}", String::from_utf8_lossy(&out.stderr));
        }
        dir
    });
    dir.path()
}

struct Served {
    child: Child,
    stdout: BufReader<ChildStdout>,
    url: String,
}

fn serve(args: &str) -> Served {
    let mut child = nanochat(base(), &format!("serve --port 0 --json {args}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
    assert_eq!(said["model"], "tiny");
    Served { child, stdout, url: said["url"].as_str().unwrap().into() }
}

impl Served {
    fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }
    fn post(&self, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        let length = body.len();
        let head = "POST /v1/completions HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json";
        write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        stream
    }
    #[cfg(unix)]
    fn interrupt(&self) {
        let kill = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Python with the package; the notice says why there is none.
fn python() -> Option<PathBuf> {
    let built =
        Path::new(env!("CARGO_BIN_EXE_nanochat")).ancestors().nth(2).unwrap().join("clients/bin/python");
    let python = std::env::var_os("NANOCHAT_CLIENTS_PYTHON").map_or(built, PathBuf::from);
    let works = Command::new(&python).args(["-c", "import openai"]).stderr(Stdio::null()).status();
    if works.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    eprintln!(
        "notice: no Python with the package `openai`, so it was not tried against the server; `cargo xtask soak serve` \
         installs it into target/clients"
    );
    None
}

#[test]
fn the_openai_package_is_content() {
    let Some(python) = python() else { return };
    for key in [None, Some("secret")] {
        let served = serve(&key.map_or(String::new(), |key| format!("--api-key {key}")));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients/openai_client.py");
        let out = Command::new(&python).arg(script).args([&served.url, "tiny"]).args(key).output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success() && stdout.contains("agrees"), "{stdout}\n{stderr}");
    }
}

#[test]
fn curl_gets_answers_streams_and_errors() {
    let curl = |args: &[&str]| Command::new("curl").args(["-sS", "-m", "60"]).args(args).output();
    if !curl(&["--version"]).is_ok_and(|out| out.status.success()) {
        eprintln!("notice: there is no curl, so it was not tried against the server");
        return;
    }
    let served = serve("");
    let chat = format!("{}/v1/chat/completions", served.url);
    let post = |body: &str| {
        let out = curl(&["-i", &chat, "-H", "Content-Type: application/json", "-d", body]).unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    let hello = r#"{"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5"#;
    let whole = post(&format!("{hello}}}"));
    assert!(whole.starts_with("HTTP/1.1 200") && whole.contains("\"chat.completion\""), "{whole}");
    let stream = post(&format!("{hello}, \"stream\": true}}"));
    assert!(stream.contains("text/event-stream") && stream.ends_with("data: [DONE]\n\n"), "{stream}");
    let error = post("{");
    assert!(error.starts_with("HTTP/1.1 400") && error.contains("invalid_request_error"), "{error}");
    let form = String::from_utf8(curl(&["-i", &chat, "-d", "{}"]).unwrap().stdout).unwrap();
    assert!(form.starts_with("HTTP/1.1 415"), "{form}");
}

#[test]
#[cfg(unix)]
fn ctrl_c_lets_an_answer_end_and_then_the_server_ends_with_0() {
    let mut served = serve("--grace 5");
    let mut stream = served.post(r#"{"prompt": "abc", "max_tokens": 60, "stream": true, "n": 8}"#);
    let mut first = [0; 32];
    stream.read_exact(&mut first).unwrap();
    served.interrupt();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("data: [DONE]\n\n"), "{rest}");
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = served.child.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(0));
    let mut more = String::new();
    served.stdout.read_to_string(&mut more).unwrap();
    assert_eq!(more, "", "standard output has the address and nothing else");
}

#[test]
fn bad_options_are_refused_and_a_taken_port_is_named() {
    let fails = |args: &str, code: i32, hint: &str| {
        let out = nanochat(base(), args).output().unwrap();
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.code() == Some(code) && stderr.contains(hint), "{args}: {stderr}");
    };
    fails("serve --port 0 --temperature=-1", 2, "temperature");
    fails("serve --port 0 --max-batch 0", 2, "--max-batch");
    fails("serve --port 0 --host nowhere", 2, "--host");
    fails("serve --port 0 --run missing", 1, "no checkpoint");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    fails(&format!("serve --port {port}"), 1, "choose another --port");
}
