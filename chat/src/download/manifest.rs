//! What to download: a list of files, each with an address, a path below the target folder, and if known size and SHA-256.
//!
//! ```json
//! {"name": "mine", "files": [{"url": "https://…/a.parquet", "path": "a.parquet", "bytes": 123, "sha256": "…"}]}
//! ```
//!
//! The public data sets that the pipeline knows by name are patterns; their publishers give no checksums, so of those the
//! size is checked, and that parquet files can be opened.

use crate::globals::Usage;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::path::{Component, Path};
use train::tasks::hub;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Where it is.
    pub url: String,
    /// Its path below the target folder.
    pub path: String,
    /// Its size, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Its SHA-256 in hexadecimal digits, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A list of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// The files.
    pub files: Vec<Item>,
}

/// A numbered series of shards: name, address before the number, last number.
const SERIES: &[(&str, &str, usize)] = &[
    (
        "fineweb-edu",
        "https://huggingface.co/datasets/karpathy/fineweb-edu-100b-shuffle/resolve/main/shard_",
        1822,
    ),
    ("climbmix", "https://huggingface.co/datasets/karpathy/climbmix-400b-shuffle/resolve/main/shard_", 6542),
];

/// What the files of all tasks are called together.
pub const TASKS: &str = "tasks";
/// Who lists them.
pub const HUB: &str = "https://huggingface.co";

/// Names that need no file.
pub fn known() -> Vec<&'static str> {
    SERIES.iter().map(|(name, ..)| *name).chain([TASKS]).collect()
}

impl Manifest {
    /// `n` training shards of a known series, and its last one for validation (`None`: all).
    pub fn series(name: &str, n: Option<usize>) -> anyhow::Result<Manifest> {
        let Some((_, base, last)) = SERIES.iter().find(|(known, ..)| *known == name) else {
            let names = known().join(", ");
            bail!(Usage(format!("no data set {name:?}: known are {names}; others by --manifest FILE")));
        };
        let item = |i: usize| Item {
            url: format!("{base}{i:05}.parquet"),
            path: format!("shard_{i:05}.parquet"),
            bytes: None,
            sha256: None,
        };
        let n = n.unwrap_or(*last).min(*last);
        Ok(Manifest { name: name.into(), files: (0..n).chain([*last]).map(item).collect() })
    }
    /// The parquet files of all tasks, as the hub at `host` lists them.
    pub fn tasks(agent: &ureq::Agent, host: &str) -> anyhow::Result<Manifest> {
        let mut files = Vec::new();
        for (repo, subset, splits) in hub::SETS {
            for split in *splits {
                let url = format!("{host}/api/datasets/{repo}/parquet/{subset}/{split}");
                let mut response = agent.get(&url).call().with_context(|| url.clone())?;
                if !response.status().is_success() {
                    bail!("{url}: {}; the files can also be put below task_data by hand", response.status());
                }
                let text = response.body_mut().read_to_string().with_context(|| url.clone())?;
                let urls: Vec<String> = serde_json::from_str(&text).with_context(|| url.clone())?;
                let folder = hub::folder(Path::new(""), repo, subset, split).display().to_string();
                files.extend(urls.into_iter().enumerate().map(|(i, url)| Item {
                    url,
                    path: format!("{folder}/{i:05}.parquet"),
                    bytes: None,
                    sha256: None,
                }));
            }
        }
        Ok(Manifest { name: TASKS.into(), files })
    }
    /// From a JSON file.
    pub fn read(path: &Path) -> anyhow::Result<Manifest> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let manifest: Manifest = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        manifest.check().with_context(|| path.display().to_string())?;
        Ok(manifest)
    }
    /// A path must stay below the target folder, a checksum must be one.
    fn check(&self) -> anyhow::Result<()> {
        for item in &self.files {
            let inside = Path::new(&item.path).components().all(|c| matches!(c, Component::Normal(_)));
            if !inside || item.path.is_empty() {
                bail!(
                    "path {:?} leads out of the target folder; give a relative path without `..`",
                    item.path
                );
            }
            let digest = |s: &String| s.len() == 64 && s.bytes().all(|b| b.is_ascii_hexdigit());
            if item.sha256.as_ref().is_some_and(|s| !digest(s)) {
                bail!("{}: sha256 must be 64 hexadecimal digits", item.path);
            }
        }
        if self.files.is_empty() {
            bail!("lists no files");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_ends_with_the_validation_shard() {
        let manifest = Manifest::series("climbmix", Some(2)).unwrap();
        let paths: Vec<&str> = manifest.files.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["shard_00000.parquet", "shard_00001.parquet", "shard_06542.parquet"]);
        assert_eq!(Manifest::series("fineweb-edu", None).unwrap().files.len(), 1823);
        assert!(Manifest::series("x", None).unwrap_err().to_string().contains("--manifest"));
    }

    #[test]
    fn the_files_of_tasks_are_those_that_the_hub_lists() {
        let server =
            super::super::server::Server::start(br#"["http://x/0.parquet", "http://x/1.parquet"]"#, vec![]);
        let host = server.url().replace("/file.bin", "");
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let manifest = Manifest::tasks(&agent, &host).unwrap();
        assert_eq!(manifest.files.len(), 2 * 11);
        assert_eq!(manifest.files[1].path, "allenai--ai2_arc/ARC-Easy/train/00001.parquet");
        manifest.check().unwrap();
        let replies = vec![super::super::server::Reply::Status(500)];
        let broken = super::super::server::Server::start(b"", replies);
        let error = Manifest::tasks(&agent, &broken.url().replace("/file.bin", "")).unwrap_err().to_string();
        assert!(error.contains("by hand"), "{error}");
    }

    #[test]
    fn paths_that_lead_out_of_the_folder_are_refused() {
        let with = |path: &str, sha256: Option<&str>| {
            let item =
                Item { url: "u".into(), path: path.into(), bytes: None, sha256: sha256.map(String::from) };
            Manifest { name: "m".into(), files: vec![item] }.check()
        };
        for bad in ["../a", "/etc/a", "a/../../b", ""] {
            assert!(with(bad, None).is_err(), "{bad}");
        }
        assert!(with("a/b.parquet", Some("12")).is_err());
        assert!(with("a/b.parquet", Some(&"0a".repeat(32))).is_ok());
    }
}
