//! Runs programs, a few at a time, and tells what each said and how it ended.
//!
//! They are children in the terminal's own process group, so Ctrl-C ends them with us; whoever is left when the queue is
//! given up is killed. Their output goes to files, which never block a child as a full pipe would.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

/// A program to run.
pub struct Job {
    /// For messages.
    pub name: String,
    /// The program.
    pub process: Process,
}

/// How it ended.
pub struct Ended {
    /// The job's name.
    pub name: String,
    /// Exit code; `None` if it was killed, by a signal or by us.
    pub code: Option<i32>,
    /// All it printed.
    pub output: String,
    /// How long it took.
    pub time: Duration,
}

/// A program at work.
struct Running {
    index: usize,
    name: String,
    child: Child,
    begun: Instant,
    log: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        // After its own end both calls do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.log);
    }
}

/// Run the jobs, `at_once` at a time, with their output in files in `folder` meanwhile; `on_end` hears of each, by its place
/// in the list, as it ends. One that runs longer than `limit` is killed.
pub fn run(
    folder: &Path,
    jobs: Vec<Job>,
    at_once: usize,
    limit: Duration,
    on_end: &mut dyn FnMut(usize, Ended),
) -> Result<(), String> {
    let mut waiting = jobs.into_iter().enumerate();
    let mut running: Vec<Running> = Vec::new();
    loop {
        while running.len() < at_once {
            let Some((index, job)) = waiting.next() else { break };
            running.push(start(folder, index, job)?);
        }
        if running.is_empty() {
            return Ok(());
        }
        let mut ended = None;
        for (place, job) in running.iter_mut().enumerate() {
            let status = job.child.try_wait().map_err(|e| format!("{}: {e}", job.name))?;
            if status.is_some() || job.begun.elapsed() > limit {
                ended = Some((place, status));
                break;
            }
        }
        let Some((place, status)) = ended else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let job = running.swap_remove(place);
        let mut output = String::from_utf8_lossy(&fs::read(&job.log).unwrap_or_default()).into_owned();
        match status {
            None => output += &format!("\nstopped after {} s", limit.as_secs()),
            Some(status) if status.code().is_none() => output += &format!("\nended by {status}"),
            _ => {}
        }
        let (code, time) = (status.and_then(|s| s.code()), job.begun.elapsed());
        on_end(job.index, Ended { name: job.name.clone(), code, output, time });
    }
}

fn start(folder: &Path, index: usize, Job { name, mut process }: Job) -> Result<Running, String> {
    let failed = |e: std::io::Error| format!("{name}: {e}");
    let log = folder.join(format!("output-{}-{index}.txt", std::process::id()));
    let out = File::create(&log).map_err(failed)?;
    let err = out.try_clone().map_err(failed)?;
    let child = process.stdin(Stdio::null()).stdout(out).stderr(err).spawn().map_err(failed)?;
    Ok(Running { index, name, child, begun: Instant::now(), log })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::cargo;

    fn job(args: &[&str]) -> Job {
        let mut process = cargo();
        process.args(args);
        Job { name: args.join(" "), process }
    }

    /// A folder of this process and test.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("nanochat-queue-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn every_job_ends_once_with_its_output_and_code() {
        let jobs = vec![job(&["--version"]), job(&["--no-such-flag"]), job(&["--list"])];
        let mut seen = Vec::new();
        let mut on_end =
            |i: usize, e: Ended| seen.push((i, e.name.clone(), e.code == Some(0), e.output.len() > 5));
        run(&folder("all"), jobs, 2, Duration::from_secs(60), &mut on_end).unwrap();
        fs::remove_dir(folder("all")).unwrap(); // it is empty again
        seen.sort();
        let want = ["--version", "--no-such-flag", "--list"].into_iter().enumerate();
        assert_eq!(seen, want.map(|(i, name)| (i, name.to_string(), i != 1, true)).collect::<Vec<_>>());
    }

    #[test]
    fn a_job_over_the_limit_is_stopped() {
        let mut codes = Vec::new();
        run(&folder("limit"), vec![job(&["--list"])], 1, Duration::ZERO, &mut |_, e| {
            codes.push((e.code, e.output))
        })
        .unwrap();
        fs::remove_dir(folder("limit")).unwrap();
        assert!(codes.len() == 1 && (codes[0].0.is_some() || codes[0].1.contains("stopped after 0 s")));
    }
}
