//! One file: into `NAME.part`, continued from where that ends, checked, renamed.
//!
//! An attempt that brought something does not count as failed, so a slow line is no reason to give up; attempts that bring
//! nothing are tried again after 1, 2, 4, … pauses. What is no use trying again (the file is not there, access is
//! refused, the disk is full) fails at once.

use super::manifest::Item;
use anyhow::{Context, bail};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How long to wait, and how often to try.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Attempts without progress.
    pub attempts: u32,
    /// The first pause; each one is twice as long as the one before.
    pub pause: Duration,
    /// A connection that is silent for so long is given up.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { attempts: 5, pause: Duration::from_secs(2), silence: Duration::from_secs(30) }
    }
}

/// Space that must stay free.
const SPARE: u64 = 64 << 20;
const CHUNK: usize = 1 << 20;

/// Downloads files into a folder.
pub struct Fetcher<'a> {
    agent: ureq::Agent,
    /// The folder.
    pub dir: &'a Path,
    /// How often to try.
    pub patience: Patience,
    /// Set from outside: stop soon, keeping what is there.
    pub stop: &'a AtomicBool,
    /// Bytes that came, over all files.
    pub received: &'a AtomicU64,
}

/// Who asks servers, with as much patience.
pub fn agent(patience: &Patience) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .timeout_connect(Some(patience.silence))
        .timeout_recv_response(Some(patience.silence))
        .timeout_per_read(Some(patience.silence))
        .http_status_as_error(false)
        .user_agent(concat!("nanochat/", env!("CARGO_PKG_VERSION")))
        .build();
    config.into()
}

/// What became of an attempt.
enum Attempt {
    /// All bytes are there.
    Whole,
    /// It may go on; how many bytes came, and why it stopped.
    Cut(u64, String),
}

impl<'a> Fetcher<'a> {
    /// Into `dir`.
    pub fn new(dir: &'a Path, patience: Patience, stop: &'a AtomicBool, received: &'a AtomicU64) -> Self {
        Fetcher { agent: agent(&patience), dir, patience, stop, received }
    }
    /// The file of an item; `false` if it was there already.
    pub fn fetch(&self, item: &Item) -> anyhow::Result<bool> {
        let target = self.dir.join(&item.path);
        if target.is_file() {
            return Ok(false);
        }
        let folder = target.parent().unwrap_or(self.dir);
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let part = with_suffix(&target, "part");
        let mut file = open_part(&part)?;
        if target.is_file() {
            return Ok(false); // somebody else was faster
        }
        let mut failures = 0;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                bail!("stopped; the same command continues {}", part.display());
            }
            let why = match self.attempt(item, &mut file, folder)? {
                Attempt::Whole => match check(item, &mut file)? {
                    None => break,
                    Some(why) => {
                        file.set_len(0).with_context(|| part.display().to_string())?;
                        why
                    }
                },
                Attempt::Cut(came, why) => {
                    failures = if came > 0 { 0 } else { failures };
                    why
                }
            };
            failures += 1;
            if failures >= self.patience.attempts {
                bail!(
                    "{}: {why}; given up after {failures} attempts, the same command tries again",
                    item.url
                );
            }
            self.pause(self.patience.pause * 2u32.saturating_pow(failures - 1));
        }
        file.sync_all().with_context(|| part.display().to_string())?;
        std::fs::rename(&part, &target).with_context(|| target.display().to_string())?;
        Ok(true)
    }
    fn pause(&self, length: Duration) {
        let end = std::time::Instant::now() + length;
        while std::time::Instant::now() < end && !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20).min(length));
        }
    }
    fn attempt(&self, item: &Item, file: &mut File, folder: &Path) -> anyhow::Result<Attempt> {
        let have = file.seek(SeekFrom::End(0)).context("seeking")?;
        if item.bytes == Some(have) && have > 0 {
            return Ok(Attempt::Whole);
        }
        let mut request = self.agent.get(&item.url);
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
        }
        let response = match request.call() {
            Ok(response) => response,
            Err(ureq::Error::BadUri(why)) => bail!("{}: not an address: {why}", item.url),
            Err(e) => return Ok(Attempt::Cut(0, e.to_string())),
        };
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
        let begin = match response.status().as_u16() {
            206 if starts_at(header("content-range"), have) => have,
            200 => 0, // the server sends everything again
            206 | 416 => {
                file.set_len(0).context("clearing")?;
                return Ok(Attempt::Cut(0, "the server cannot continue the file; it begins anew".into()));
            }
            401 | 403 => {
                bail!("{}: access refused ({}); the data set may need a login", item.url, response.status())
            }
            404 | 410 => {
                bail!("{}: not there ({}); check the name and the number", item.url, response.status())
            }
            status => return Ok(Attempt::Cut(0, format!("the server answered {status}"))),
        };
        let coming = header("content-length").and_then(|v| v.parse::<u64>().ok());
        let whole = coming.map(|n| begin + n);
        if let Some(want) = item.bytes.filter(|&want| whole.is_some_and(|whole| whole != want)) {
            bail!("{}: the manifest says {want} bytes, the server has another file", item.url);
        }
        enough_space(folder, coming.unwrap_or(0))?;
        file.set_len(begin).context("cutting")?;
        file.seek(SeekFrom::Start(begin)).context("seeking")?;
        let mut body = response.into_body().into_reader();
        let (mut at, mut buffer) = (begin, vec![0; CHUNK]);
        let cut = |at: u64, why: String| Ok(Attempt::Cut(at.saturating_sub(have), why));
        loop {
            let n = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) => return cut(at, format!("the connection broke: {e}")),
            };
            file.write_all(&buffer[..n]).with_context(|| format!("writing below {}", folder.display()))?;
            at += n as u64;
            self.received.fetch_add(n as u64, Ordering::Relaxed);
            if self.stop.load(Ordering::Relaxed) {
                return cut(at, "stopped".into());
            }
        }
        match whole.or(item.bytes) {
            Some(whole) if at < whole => cut(at, format!("{at} of {whole} bytes came")),
            _ => Ok(Attempt::Whole),
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

/// The unfinished file, which nobody else writes to.
fn open_part(part: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(part);
    let file = file.with_context(|| part.display().to_string())?;
    if file.try_lock().is_err() {
        bail!("{}: another download of this file is running; wait for it", part.display());
    }
    Ok(file)
}

/// Does a `Content-Range: bytes 10-99/100` begin where we are?
fn starts_at(range: Option<&str>, have: u64) -> bool {
    let start = range.and_then(|r| r.strip_prefix("bytes ")).and_then(|r| r.split('-').next());
    start.and_then(|s| s.trim().parse().ok()) == Some(have)
}

/// What is wrong with a whole file, if anything.
fn check(item: &Item, file: &mut File) -> anyhow::Result<Option<String>> {
    let size = file.seek(SeekFrom::End(0)).context("seeking")?;
    if item.bytes.is_some_and(|want| want != size) {
        return Ok(Some(format!("{size} bytes came, the manifest says {}", item.bytes.unwrap_or(0))));
    }
    let Some(want) = &item.sha256 else { return Ok(None) };
    file.seek(SeekFrom::Start(0)).context("seeking")?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        let n = file.read(&mut buffer).context("reading back")?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
    }
    let got: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok((!got.eq_ignore_ascii_case(want)).then(|| format!("SHA-256 is {got}, the manifest says {want}")))
}

/// Refuse to fill the disk.
fn enough_space(folder: &Path, needed: u64) -> anyhow::Result<()> {
    let Some(free) = free_space(folder) else { return Ok(()) };
    if needed + SPARE > free {
        let mib = |bytes: u64| bytes >> 20;
        bail!(
            "{}: {} MiB are needed and {} MiB are free; free some, or choose another folder with --base-dir",
            folder.display(),
            mib(needed + SPARE),
            mib(free)
        );
    }
    Ok(())
}

/// Bytes that may still be written to a folder's disk, where the system says.
pub fn free_space(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    return rustix::fs::statvfs(folder).ok().map(|s| s.f_bavail * s.f_frsize);
    #[cfg(not(unix))]
    return {
        let _ = folder;
        None
    };
}

#[cfg(test)]
mod tests {
    use super::super::server::{Reply, Server};
    use super::*;

    const FILE: &[u8] = b"The quick brown fox jumps over the lazy dog";
    const DIGEST: &str = "d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592";

    fn patience() -> Patience {
        Patience { attempts: 3, pause: Duration::from_millis(1), silence: Duration::from_millis(300) }
    }

    /// Fetches from a server that answers as scripted; the result, the requests' ranges, and the folder.
    fn fetch(
        replies: Vec<Reply>,
        sha256: Option<&str>,
        before: &[u8],
    ) -> (anyhow::Result<Vec<u8>>, Vec<Option<u64>>) {
        let server = Server::start(FILE, replies);
        let dir = tempfile::tempdir().unwrap();
        let (stop, received) = (AtomicBool::new(false), AtomicU64::new(0));
        let fetcher = Fetcher::new(dir.path(), patience(), &stop, &received);
        let path = "sub/file.bin".to_string();
        if !before.is_empty() {
            std::fs::create_dir_all(dir.path().join("sub")).unwrap();
            std::fs::write(dir.path().join("sub/file.bin.part"), before).unwrap();
        }
        let item = Item { url: server.url(), path, bytes: None, sha256: sha256.map(String::from) };
        let result = fetcher.fetch(&item).map(|_| std::fs::read(dir.path().join("sub/file.bin")).unwrap());
        if result.is_ok() {
            assert!(!dir.path().join("sub/file.bin.part").exists());
            assert!(!fetcher.fetch(&item).unwrap(), "a file that is there is not fetched again");
        } else {
            assert!(!dir.path().join("sub/file.bin").exists(), "what is not whole has no name");
        }
        (result, server.ranges())
    }

    #[test]
    fn a_file_comes_whole() {
        let (result, ranges) = fetch(vec![Reply::Whole], Some(DIGEST), b"");
        assert_eq!(result.unwrap(), FILE);
        assert_eq!(ranges, [None]);
    }

    #[test]
    fn a_truncated_file_is_continued_where_it_broke() {
        let (result, ranges) =
            fetch(vec![Reply::Truncated(10), Reply::Truncated(7), Reply::Whole], Some(DIGEST), b"");
        assert_eq!(result.unwrap(), FILE);
        assert_eq!(ranges, [None, Some(10), Some(17)]);
        let (result, ranges) = fetch(vec![Reply::Whole], Some(DIGEST), &FILE[..20]);
        assert_eq!(result.unwrap(), FILE);
        assert_eq!(ranges, [Some(20)], "an earlier run's part is continued");
    }

    #[test]
    fn a_server_that_stalls_is_left_and_asked_again() {
        let (result, ranges) = fetch(vec![Reply::Stalled(5), Reply::Whole], Some(DIGEST), b"");
        assert_eq!(result.unwrap(), FILE);
        assert_eq!(ranges, [None, Some(5)]);
    }

    #[test]
    fn corrupted_bytes_are_thrown_away_and_fetched_again() {
        let (result, ranges) = fetch(vec![Reply::Corrupted, Reply::Whole], Some(DIGEST), b"");
        assert_eq!(result.unwrap(), FILE);
        assert_eq!(ranges, [None, None]);
        let (result, _) = fetch(vec![Reply::Corrupted; 3], Some(DIGEST), b"");
        assert!(format!("{:#}", result.unwrap_err()).contains("SHA-256 is"));
    }

    #[test]
    fn a_server_without_ranges_sends_everything_again() {
        let (result, _) = fetch(vec![Reply::Truncated(10), Reply::WithoutRanges], Some(DIGEST), b"");
        assert_eq!(result.unwrap(), FILE);
        let (result, _) = fetch(
            vec![Reply::Status(416), Reply::Whole],
            Some(DIGEST),
            b"too long, from another file and more",
        );
        assert_eq!(result.unwrap(), FILE);
    }

    #[test]
    fn what_is_refused_is_not_asked_for_again_and_what_is_busy_is() {
        let (result, ranges) = fetch(vec![Reply::Status(404), Reply::Whole], None, b"");
        assert!(format!("{:#}", result.unwrap_err()).contains("not there"));
        assert_eq!(ranges.len(), 1);
        let (result, _) = fetch(vec![Reply::Status(403)], None, b"");
        assert!(format!("{:#}", result.unwrap_err()).contains("login"));
        let (result, _) =
            fetch(vec![Reply::Status(503), Reply::Status(429), Reply::Whole], Some(DIGEST), b"");
        assert_eq!(result.unwrap(), FILE);
        let (result, ranges) = fetch(vec![Reply::Status(503); 9], None, b"");
        assert!(format!("{:#}", result.unwrap_err()).contains("after 3 attempts"));
        assert_eq!(ranges.len(), 3);
        let (result, _) = fetch(vec![Reply::Closed, Reply::Whole], Some(DIGEST), b"");
        assert_eq!(result.unwrap(), FILE);
    }

    #[test]
    fn a_full_disk_is_noticed_before_anything_is_written() {
        let error = enough_space(Path::new("."), u64::MAX / 2).unwrap_err().to_string();
        assert!(error.contains("--base-dir"), "{error}");
        assert!(free_space(Path::new("/no/such/folder")).is_none());
    }
}
