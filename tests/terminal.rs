//! `nanochat chat` in a pseudo terminal, as somebody at a keyboard sees it: several lines in one question, history across two
//! chats, commands, Ctrl-C at a line and during an answer.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const ENTER: &str = "\r";
const ALT_ENTER: &str = "\x1b\r";
const UP: &str = "\x1b[A";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";

fn nanochat(base: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanochat"));
    command.env("NANOCHAT_BASE_DIR", base).env("TERM", "xterm").env_remove("NO_COLOR").stdin(Stdio::null());
    command.args(args.split_whitespace());
    command
}

/// A model that has learned next to nothing, and so seldom finds an end.
fn base() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        "data synth --documents 300 --conversations 120 --test-per-kind 20 --seed 3",
        "tok train --vocab-size 300",
        "train base --run tiny --n-layer 2 --n-embd 32 --n-head 2 --max-seq-len 2048 --device-batch-size 1 \
         --num-iterations 2 --eval-tokens 2048",
    ] {
        let out = nanochat(dir.path(), args).output().unwrap();
        assert!(out.status.success(), "{args}: {}", String::from_utf8_lossy(&out.stderr));
    }
    dir
}

/// A program at a terminal of 100 columns.
struct Terminal {
    child: Child,
    keyboard: File,
    /// What the screen was sent since the last [`Terminal::expect`].
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    fn new(mut command: Command) -> Terminal {
        let main = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&main).unwrap();
        unlockpt(&main).unwrap();
        let name = ptsname(&main, Vec::new()).unwrap();
        let other = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        tcsetwinsize(&main, Winsize { ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        command.stdin(other.try_clone().unwrap()).stdout(other.try_clone().unwrap()).stderr(other);
        let child = command.spawn().unwrap();
        drop(command); // holds the other end, too
        let keyboard = File::from(main);
        let (mut reader, screen) = (keyboard.try_clone().unwrap(), Arc::new(Mutex::new(String::new())));
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        Terminal { child, keyboard, screen }
    }
    fn types(&mut self, keys: &[&str]) {
        self.keyboard.write_all(keys.concat().as_bytes()).unwrap();
    }
    /// Waits until the screen has been sent `text`; returns what came before it.
    fn expect(&mut self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let mut screen = self.screen.lock().unwrap();
            if let Some(at) = screen.find(text) {
                let before = screen[..at].to_string();
                screen.drain(..at + text.len());
                return before;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "no {text:?} in {:?}", *screen);
            drop(screen);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    /// The editor waits for a line.
    fn ready(&mut self) {
        self.expect("you: ");
        std::thread::sleep(Duration::from_millis(50)); // it asks the terminal for its keys then
    }
    fn interrupt(&self) {
        let kill = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }
    /// It has ended by itself.
    fn ends(mut self) {
        self.expect("goodbye");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_chat_at_the_keyboard() {
    let base = base();
    let talk = base.path().join("my talk.json");
    let chat = || Terminal::new(nanochat(base.path(), "chat --max-tokens 6 --temperature 0"));
    let mut terminal = chat();
    terminal.expect("/help lists commands");
    terminal.ready();
    terminal.types(&["one", ALT_ENTER, "two", ENTER]);
    terminal.expect("nanochat: ");
    terminal.expect("tokens/s");
    terminal.ready();
    terminal.types(&["three\\", ENTER]);
    terminal.expect("...: ");
    terminal.types(&["four", ENTER]);
    terminal.expect("nanochat: ");
    terminal.ready();
    terminal.types(&["never mind", CTRL_C]);
    terminal.ready();
    terminal.types(&["/set top-k 7", ENTER]);
    terminal.expect("top_k 7,");
    terminal.ready();
    terminal.types(&["/set temperature -1", ENTER]);
    terminal.expect("temperature is -1: use");
    terminal.ready();
    terminal.types(&["/nonsense", ENTER]);
    terminal.expect("no such command");
    terminal.ready();
    terminal.types(&["/save ", talk.to_str().unwrap(), ENTER]);
    terminal.expect("saved");
    terminal.ready();
    terminal.types(&[CTRL_D]);
    terminal.ends();

    let saved: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&talk).unwrap()).unwrap();
    let messages = saved.as_array().or_else(|| saved["messages"].as_array()).unwrap();
    let questions: Vec<&str> =
        messages.iter().filter(|m| m["role"] == "user").map(|m| m["content"].as_str().unwrap()).collect();
    assert_eq!(questions, ["one\ntwo", "three\nfour"]);

    // A second chat remembers the keys of the first, and goes on with what was saved.
    let mut terminal = chat();
    terminal.ready();
    terminal.types(&["/load ", talk.to_str().unwrap(), ENTER]);
    terminal.expect("2 turns");
    terminal.ready();
    let back = [UP; 8]; // load, save, nonsense, temperature, top-k, the lines of a question, the last of another
    terminal.types(&back);
    terminal.types(&[ENTER]);
    terminal.expect("nanochat: ");
    terminal.ready();
    terminal.types(&["/save ", talk.to_str().unwrap(), ENTER]);
    terminal.expect("saved");
    terminal.ready();
    terminal.types(&["/quit", ENTER]);
    terminal.ends();
    let saved = std::fs::read_to_string(&talk).unwrap();
    assert_eq!(saved.matches(r#""one\ntwo""#).count(), 2, "{saved}");
}

#[test]
fn ctrl_c_ends_an_answer_and_the_chat_goes_on() {
    let base = base();
    let mut terminal = Terminal::new(nanochat(base.path(), "chat --max-tokens 1000 --temperature 0"));
    terminal.ready();
    terminal.types(&["Tell me everything.", ENTER]);
    terminal.expect("nanochat: ");
    terminal.interrupt();
    terminal.expect(", stopped");
    terminal.ready();
    terminal.types(&["/set max_tokens 3", ENTER]);
    terminal.expect("max_tokens 3");
    terminal.ready();
    terminal.types(&["And now?", ENTER]);
    terminal.expect("tokens/s");
    terminal.ready();
    terminal.types(&[CTRL_D]);
    terminal.ends();
}
