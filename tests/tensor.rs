//! Views, broadcasting and weights files: what a tensor promises, through its public face.
#![allow(clippy::unwrap_used)]

use tensor::safetensors::{File, read, write};
use tensor::{Device, Result, Tensor, TensorError};
use tests::LeakCheck;

fn iota(dims: &[usize]) -> Tensor {
    let n: usize = dims.iter().product();
    let data: Vec<f32> = (0..n).map(|i| i as f32).collect();
    Tensor::from_slice(&data, dims, Device::Cpu).unwrap()
}

#[test]
fn views_share_storage_and_read_the_right_elements() {
    let _leaks = LeakCheck::default();
    let x = iota(&[2, 3, 4]);
    let t = x.transpose(0, 2).unwrap();
    assert!(t.same_storage(&x));
    assert_eq!(t.dims(), [4, 3, 2]);
    assert_eq!(t.to_f64_vec()[..4], [0.0, 12.0, 4.0, 16.0]);
    assert_eq!(x.narrow(1, 1, 2).unwrap().to_f64_vec()[..3], [4.0, 5.0, 6.0]);
    assert_eq!(iota(&[1, 2]).expand(&[2, 2]).unwrap().to_f64_vec(), [0.0, 1.0, 0.0, 1.0]);
}

#[test]
fn reshape_splits_strided_axes_and_refuses_gaps() {
    let _leaks = LeakCheck::default();
    let heads = iota(&[2, 3, 8]).narrow(2, 0, 4).unwrap(); // rows with a gap
    let split = heads.reshape(&[6, 2, 2]).unwrap();
    assert_eq!(split.to_f64_vec(), heads.to_f64_vec());
    assert!(matches!(heads.reshape(&[24]), Err(TensorError::NonContiguous { .. })));
    assert!(matches!(heads.reshape(&[7]), Err(TensorError::Shape { .. })));
}

#[test]
fn writing_through_a_shared_handle_is_refused() {
    let _leaks = LeakCheck::default();
    let mut x = iota(&[4]);
    let alias = x.narrow(0, 1, 2).unwrap();
    assert!(matches!(x.fill(0.0), Err(TensorError::SharedStorage { others: 1 })));
    drop(alias);
    x.fill(0.0).unwrap();
    assert_eq!(x.to_f64_vec(), [0.0; 4]);
}

#[test]
fn shapes_broadcast_from_the_right() {
    let _leaks = LeakCheck::default();
    let a = Tensor::from_slice(&[1.0f32, 2.0, 3.0], &[3, 1], Device::Cpu).unwrap();
    let b = Tensor::from_slice(&[10.0f32, 20.0], &[2], Device::Cpu).unwrap();
    let y = a.add(&b).unwrap();
    assert_eq!(y.dims(), [3, 2]);
    assert_eq!(y.to_f64_vec(), [11.0, 21.0, 12.0, 22.0, 13.0, 23.0]);
    let c = Tensor::from_slice(&[0.0f32; 3], &[3], Device::Cpu).unwrap();
    assert!(matches!(b.add(&c), Err(TensorError::Shape { .. })));
}

/// A small weights file.
fn sample() -> Vec<u8> {
    let mut file = File::default();
    file.tensors.insert("a".into(), Tensor::from_slice(&[1.0f32, 2.0, 3.0], &[3], Device::Cpu).unwrap());
    file.tensors.insert("b".into(), Tensor::from_slice(&[7i32, -1], &[1, 2], Device::Cpu).unwrap());
    file.metadata.insert("format".into(), "x".into());
    let mut bytes = Vec::new();
    write(&file, &mut bytes).unwrap();
    bytes
}

fn read_back(bytes: &[u8]) -> Result<File> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    std::fs::write(&path, bytes).unwrap();
    read(&path, Device::Cpu)
}

#[test]
fn what_is_written_reads_back() {
    let _leaks = LeakCheck::default();
    let file = read_back(&sample()).unwrap();
    assert_eq!(file.tensors["a"].to_f64_vec(), [1.0, 2.0, 3.0]);
    assert_eq!((file.tensors["b"].dims(), file.tensors["b"].to_f64_vec()), (&[1, 2][..], vec![7.0, -1.0]));
    assert_eq!(file.metadata["format"], "x");
}

#[test]
fn every_truncation_of_a_weights_file_is_an_error_not_a_panic() {
    let _leaks = LeakCheck::default();
    let bytes = sample();
    for end in 0..bytes.len() {
        assert!(matches!(read_back(&bytes[..end]), Err(TensorError::BadFile { .. })), "cut at {end}");
    }
}

#[test]
fn flipped_header_bytes_never_panic() {
    let _leaks = LeakCheck::default();
    let bytes = sample();
    for at in 0..bytes.len() - 20 {
        for value in [0, b'9', b'{', 0xff] {
            let mut broken = bytes.clone();
            broken[at] = value;
            let _ = read_back(&broken);
        }
    }
}
