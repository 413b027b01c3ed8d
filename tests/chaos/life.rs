//! A process whose output is read as it comes, and that can be killed or asked to end.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// No step of the tiny list takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running process.
pub struct Life {
    child: Child,
    lines: Receiver<(Instant, String)>,
    errors: JoinHandle<String>,
}

/// How it ended.
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it said on standard error.
    pub said: String,
}

impl Life {
    /// Begin.
    pub fn start(command: &mut Command) -> Life {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (out, mut errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = send.send((Instant::now(), line));
            }
        });
        let errors = std::thread::spawn(move || {
            let mut said = String::new();
            let _ = errors.read_to_string(&mut said);
            said
        });
        Life { child, lines, errors }
    }
    /// The next line and when it came; `None` after the last.
    pub fn line(&self) -> Option<(Instant, String)> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line for {PATIENCE:?}"),
        }
    }
    /// Reads on until a line is as wanted; false if none came.
    pub fn wait_for(&mut self, mut wanted: impl FnMut(&str) -> bool) -> bool {
        while let Some((_, line)) = self.line() {
            if wanted(&line) {
                return true;
            }
        }
        false
    }
    /// Is it still there?
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
    /// SIGKILL.
    pub fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.end()
    }
    /// Sends a signal, by name, and waits for the end.
    pub fn signal(self, name: &str) -> Ended {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args([&format!("-{name}"), &id]).stderr(Stdio::null()).status();
        self.end()
    }
    /// Waits for the end.
    pub fn end(mut self) -> Ended {
        let begun = Instant::now();
        while self.runs() && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.kill(); // where it does not end by itself, the status shows it
        Ended { status: self.child.wait().unwrap(), said: self.errors.join().unwrap() }
    }
}

impl Ended {
    /// Did a signal end it?
    pub fn by_signal(&self) -> bool {
        self.status.signal().is_some()
    }
    /// What it said, of a process that was asked to stop: exit code 130, or ended by the signal where it had not yet asked to be
    /// told of it, or done before the signal came.
    pub fn clean(self) -> String {
        let Ended { status, said } = self;
        let well = status.code() == Some(130) || status.success() || matches!(status.signal(), Some(2 | 15));
        assert!(well && !said.contains("panicked"), "{status}: {said}");
        said
    }
    /// The error of a process that failed as it should: one line with these words, and no panic.
    pub fn refused(self, words: &[&str]) -> String {
        let Ended { status, said } = self;
        assert!(matches!(status.code(), Some(1 | 2)) && !said.contains("panicked"), "{status}: {said}");
        let error = said.lines().find(|line| line.starts_with("error: "));
        let error = error.unwrap_or_else(|| panic!("no error in {said:?}")).to_string();
        for word in words {
            assert!(error.contains(word), "{error:?} should mention {word:?}");
        }
        error
    }
}
