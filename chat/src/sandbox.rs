//! Running Python that a model wrote, for HumanEval: off unless asked for, and then in a process of its own.
//!
//! Always: a scratch folder that is deleted afterwards, an empty environment, limits of processor time, memory, file
//! size and open files (`limited.sh`), and a limit of wall-clock time after which the whole process group is killed.
//!
//! [`Walls::Isolated`], with Linux's namespaces (`isolated.sh`, through util-linux's `unshare`): no network, no process
//! but its own, and no file but the interpreter's, which it cannot write, and the scratch folder. If any of that cannot
//! be had, nothing is run. [`Walls::Limits`] is for systems without namespaces: there a program can read and send what
//! the user can. A program counts as good if it runs to its last line, which says a word that it is not told: one that
//! ends itself early does not.

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use train::error::{Result, TrainError};
use train::tasks::human_eval::RunProgram;

/// What keeps a program from what is not its business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Walls {
    /// Namespaces: no network, no files of yours (Linux)
    Isolated,
    /// Limits of time and memory alone: it can read your files and use the network
    Limits,
}

/// A place to run programs in.
pub struct Sandbox {
    walls: Walls,
    /// The interpreter and where it is installed.
    python: [String; 2],
    patience: Duration,
}

const LIMITED: &str = include_str!("sandbox/limited.sh");
const ISOLATED: &str = include_str!("sandbox/isolated.sh");
/// The status with which the scripts say that they could not do their part.
const NOT_RUN: i32 = 125;
/// How long a program may take.
pub const PATIENCE: Duration = Duration::from_secs(10);

impl Sandbox {
    /// Finds the interpreter and tries the walls with a program that must run and ones that must not get through.
    pub fn new(walls: Walls, patience: Duration) -> anyhow::Result<Sandbox> {
        let ask = "import sys; print(sys.executable); print(sys.base_prefix)";
        let told = Command::new("python3").args(["-I", "-c", ask]).output();
        let told = told.context("--run-code needs python3: install it, or leave HumanEval out")?;
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let mut lines = told.lines().map(String::from);
        let (Some(python), Some(prefix)) = (lines.next(), lines.next()) else {
            bail!("python3 does not say where it is installed")
        };
        let sandbox = Sandbox { walls, python: [python, prefix], patience };
        ensure!(sandbox.runs("x = 1")?, "python3 does not run in the sandbox");
        if walls == Walls::Isolated {
            let reads = format!("open({:?})", std::env::current_exe()?.display().to_string());
            ensure!(!sandbox.runs(&reads)?, "the sandbox does not hide files");
        }
        Ok(sandbox)
    }
    /// Does the program run to its end?
    pub fn runs(&self, program: &str) -> anyhow::Result<bool> {
        let dir = Scratch::new()?;
        let word = format!("ran to the end {}", unique());
        fs::write(dir.0.join("scratch/main.py"), format!("{program}\n\nprint()\nprint({word:?})\n"))?;
        let said = dir.0.join("said");
        let (out, errors) = (File::create(&said)?, File::create(dir.0.join("errors"))?);
        let seconds = self.patience.as_secs().max(1).to_string();
        let mut command = Command::new("sh");
        command.args(["-c", LIMITED, "limited", &seconds]);
        match self.walls {
            Walls::Limits => command.args([&self.python[0], "-I", "-S", "main.py"]),
            Walls::Isolated => command
                .args([
                    "unshare",
                    "--user",
                    "--map-root-user",
                    "--mount",
                    "--net",
                    "--pid",
                    "--ipc",
                    "--fork",
                ])
                .args(["--kill-child", "sh", "-c", ISOLATED, "isolated"])
                .args([dir.0.join("root"), dir.0.join("scratch")])
                .args(&self.python),
        };
        command.current_dir(dir.0.join("scratch")).env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
        command.stdin(Stdio::null()).stdout(out).stderr(errors).process_group(0);
        let mut child = command.spawn().context("starting sh")?;
        let status = wait(&mut child, self.patience)?;
        if self.walls == Walls::Isolated && status != Some(0) {
            let errors = fs::read_to_string(dir.0.join("errors")).unwrap_or_default();
            let first = errors.lines().next().unwrap_or_default();
            if status == Some(NOT_RUN)
                || first.starts_with("unshare: ")
                || first.contains("unshare: not found")
            {
                bail!(
                    "no sandbox can be made here ({first}); Linux with user namespaces and util-linux can, and `--run-code \
                     limits` does with less"
                );
            }
        }
        ensure!(status != Some(NOT_RUN), "the limits of the sandbox cannot be set here");
        let said = fs::read(&said)?;
        Ok(status == Some(0) && said.ends_with(format!("\n{word}\n").as_bytes()))
    }
}

impl RunProgram for Sandbox {
    fn succeeds(&self, program: &str) -> Result<bool> {
        self.runs(program).map_err(|error| TrainError::Config(format!("{error:#}")))
    }
}

/// Its exit status; `None` if it was killed, by itself, by a limit or by us.
fn wait(child: &mut Child, patience: Duration) -> anyhow::Result<Option<i32>> {
    let (begun, group) = (Instant::now(), Pid::from_child(child));
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status.code();
        }
        if begun.elapsed() > patience {
            break None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let _ = kill_process_group(group, Signal::KILL); // whatever it has started, too
    child.wait()?;
    Ok(status)
}

/// A folder with `scratch` and `root` in it, gone when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Scratch> {
        let dir = Scratch(std::env::temp_dir().join(format!("nanochat-sandbox-{}", unique())));
        for part in ["scratch", "root"] {
            make(&dir.0.join(part))?;
        }
        Ok(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn make(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())
}

/// A word that nothing else has.
fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_nanos());
    format!("{}-{now:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests;
