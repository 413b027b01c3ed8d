//! Which files NVIDIA's libraries are. Nothing of NVIDIA's is linked: the same program runs without any of them, with the driver alone,
//! or with cuBLAS and NVRTC beside it.
//!
//! | variable | library | without it |
//! |---|---|---|
//! | `NANOCHAT_LIBCUDA` | the driver, `libcuda.so.1` | no device `cuda` |
//! | `NANOCHAT_LIBCUBLAS` | cuBLAS, which multiplies matrices | the kernels of `kernels/src/matmul/` do |
//! | `NANOCHAT_LIBNVRTC` | the run-time compiler | the committed PTX for compute capability 8.0, which later GPUs run too |
//!
//! Each names a file; `none` says that the library is not to be used. Where a variable is not set, the usual names are looked for
//! where the system looks for libraries.

use std::env::var;

/// Names to try, the first that can be loaded is it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Libraries {
    /// The driver's.
    pub driver: Vec<String>,
    /// cuBLAS's.
    pub blas: Vec<String>,
    /// NVRTC's.
    pub nvrtc: Vec<String>,
}

impl Libraries {
    /// What the environment says, or the usual names.
    pub fn from_env() -> Libraries {
        let names = |variable: &str, usual: &[&str]| chosen(var(variable).ok().as_deref(), usual);
        Libraries {
            driver: names("NANOCHAT_LIBCUDA", &["libcuda.so.1", "libcuda.so"]),
            blas: names(
                "NANOCHAT_LIBCUBLAS",
                &["libcublas.so.13", "libcublas.so.12", "libcublas.so", "/usr/local/cuda/lib64/libcublas.so"],
            ),
            nvrtc: names(
                "NANOCHAT_LIBNVRTC",
                &["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so", "/usr/local/cuda/lib64/libnvrtc.so"],
            ),
        }
    }
}

fn chosen(said: Option<&str>, usual: &[&str]) -> Vec<String> {
    match said {
        Some("none") => Vec::new(),
        Some(path) if !path.is_empty() => vec![path.into()],
        _ => usual.iter().map(|name| (*name).into()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_replaces_the_usual_ones_and_none_leaves_nothing() {
        let usual = ["libcuda.so.1"];
        assert_eq!(chosen(None, &usual), ["libcuda.so.1"]);
        assert_eq!(chosen(Some(""), &usual), ["libcuda.so.1"]);
        assert_eq!(chosen(Some("/x/libcuda.so"), &usual), ["/x/libcuda.so"]);
        assert_eq!(chosen(Some("none"), &usual), [""; 0]);
    }
}
