//! Several files at once: some threads take the next file from a list. The first file that fails ends the list; what is
//! there stays there, and the same command goes on with the rest.

use super::fetch::{Fetcher, Patience, free_space};
use super::manifest::Manifest;
use anyhow::{Context, bail};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files that came.
    pub fetched: usize,
    /// Files that were there.
    pub present: usize,
    /// Bytes that came.
    pub bytes: u64,
}

/// Download all files of a manifest into `dir`, `workers` at once. `progress(files done, bytes)` is called now and then.
pub fn download(
    manifest: &Manifest,
    dir: &Path,
    workers: usize,
    patience: Patience,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(usize, u64),
) -> anyhow::Result<Summary> {
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let missing = |path: &str| !dir.join(path).is_file();
    let known: u64 = manifest.files.iter().filter(|f| missing(&f.path)).filter_map(|f| f.bytes).sum();
    if free_space(dir).is_some_and(|free| known > free) {
        bail!(
            "{}: {} MiB are needed, more than is free; choose another folder with --base-dir",
            dir.display(),
            known >> 20
        );
    }
    let (received, next) = (AtomicU64::new(0), AtomicUsize::new(0));
    let (fetched, present) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failed = Mutex::new(None);
    let fetcher = Fetcher::new(dir, patience, stop, &received);
    let work = || {
        while let Some(item) = manifest.files.get(next.fetch_add(1, Ordering::Relaxed)) {
            match fetcher.fetch(item) {
                Ok(true) => fetched.fetch_add(1, Ordering::Relaxed),
                Ok(false) => present.fetch_add(1, Ordering::Relaxed),
                Err(error) => {
                    next.store(manifest.files.len(), Ordering::Relaxed);
                    if let Ok(mut failed) = failed.lock() {
                        failed.get_or_insert(error);
                    }
                    return;
                }
            };
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers.clamp(1, 16)).map(|_| scope.spawn(work)).collect();
        while workers.iter().any(|w| !w.is_finished()) {
            std::thread::sleep(Duration::from_millis(50));
            let done = fetched.load(Ordering::Relaxed) + present.load(Ordering::Relaxed);
            progress(done, received.load(Ordering::Relaxed));
        }
    });
    if let Some(error) = failed.into_inner().ok().flatten() {
        return Err(error);
    }
    Ok(Summary { fetched: fetched.into_inner(), present: present.into_inner(), bytes: received.into_inner() })
}

#[cfg(test)]
mod tests {
    use super::super::manifest::Item;
    use super::super::server::{Reply, Server};
    use super::*;

    #[test]
    fn several_files_come_at_once_and_one_failure_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let patience =
            Patience { attempts: 2, pause: Duration::from_millis(1), silence: Duration::from_millis(300) };
        let servers: Vec<Server> = (0..5).map(|_| Server::start(b"hello", vec![])).collect();
        let item = |(i, s): (usize, &Server)| Item {
            url: s.url(),
            path: format!("{i}.bin"),
            bytes: Some(5),
            sha256: None,
        };
        let mut manifest =
            Manifest { name: "m".into(), files: servers.iter().enumerate().map(item).collect() };
        let stop = AtomicBool::new(false);
        let run = |m: &Manifest| download(m, dir.path(), 3, patience, &stop, &mut |_, _| {});
        assert_eq!(run(&manifest).unwrap(), Summary { fetched: 5, present: 0, bytes: 25 });
        assert_eq!(run(&manifest).unwrap(), Summary { fetched: 0, present: 5, bytes: 0 });
        let gone = Server::start(b"hello", vec![Reply::Status(404)]);
        manifest.files.push(Item { url: gone.url(), path: "gone.bin".into(), bytes: None, sha256: None });
        assert!(format!("{:#}", run(&manifest).unwrap_err()).contains("not there"));
        manifest.files[5] =
            Item { url: gone.url(), path: "big.bin".into(), bytes: Some(u64::MAX / 2), sha256: None };
        assert!(format!("{:#}", run(&manifest).unwrap_err()).contains("MiB are needed"));
    }
}
