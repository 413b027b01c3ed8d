//! Device, memory, modules, launches, streams.

use crate::child;
use cudarc::driver::sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
use cudarc::driver::{CudaContext, CudaStream, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::{CompileOptions, Ptx, compile_ptx_with_opts};
use std::sync::Arc;

const SOURCE: &str = include_str!("../../../emulator/tests/ptx/rows.cu");
const COMMITTED: &str = include_str!("../../../emulator/tests/ptx/rows.ptx");

/// A module with a variable, and a kernel that fills dynamic shared memory and reads it the other way round.
const SMALL: &str = ".version 8.8\n.target sm_80\n.address_size 64\n.const .align 4 .f32 factor;\n\
    .extern .shared .align 16 .b8 dynamic[];\n.visible .entry turn(.param .u64 out, .param .u32 last)\n{\n\
    .reg .b32 %r<8>;\n.reg .b64 %d<6>;\nld.param.u64 %d1, [out];\nld.param.u32 %r7, [last];\nmov.u32 %r1, %tid.x;\n\
    shl.b32 %r2, %r1, 2;\nmov.u32 %r3, dynamic;\nadd.s32 %r4, %r3, %r2;\ncvt.rn.f32.u32 %r5, %r1;\n\
    st.shared.f32 [%r4], %r5;\nbar.sync 0;\nsub.s32 %r6, %r7, %r1;\nshl.b32 %r6, %r6, 2;\nadd.s32 %r6, %r3, %r6;\n\
    ld.shared.f32 %r5, [%r6];\nld.const.f32 %r6, [factor];\nmul.f32 %r5, %r5, %r6;\n\
    mad.wide.u32 %d2, %r1, 4, %d1;\nst.global.f32 [%d2], %r5;\nret;\n}\n";

/// The kernels of `rows.cu`: compiled now where NVRTC is there, as committed elsewhere.
fn rows() -> Ptx {
    if !child::has_nvrtc() {
        println!("notice: nothing is compiled, the committed PTX is used: run `cargo xtask nvrtc --fetch`");
        return Ptx::from_src(COMMITTED);
    }
    let options = CompileOptions {
        arch: Some("compute_80"),
        name: Some("rows.cu".into()),
        options: vec!["-lineinfo".into()],
        ..CompileOptions::default()
    };
    compile_ptx_with_opts(SOURCE, options).unwrap()
}

fn start() -> (Arc<CudaContext>, Arc<CudaStream>) {
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    (context, stream)
}

fn config(blocks: u32, threads: u32, shared_mem_bytes: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes }
}

#[test]
fn what_is_uploaded_compiled_and_launched_gives_the_right_numbers() {
    child::run("driver::what_is_uploaded_compiled_and_launched_gives_the_right_numbers", || {
        let (context, stream) = start();
        assert!(context.name().unwrap().contains("emulator"));
        assert_eq!(context.compute_capability().unwrap(), (9, 0));
        let module = context.load_module(rows()).unwrap();
        let square = module.load_function("relu_squared").unwrap();
        for n in [1_usize, 8, 1021, 4096] {
            let x: Vec<u16> = (0..n).map(|i| bf16(((i * 37) % 251) as f32 / 16.0 - 7.0)).collect();
            let (xs, mut ys) = (stream.clone_htod(&x).unwrap(), stream.alloc_zeros::<u16>(n).unwrap());
            let count = n as i32;
            let mut launch = stream.launch_builder(&square);
            launch.arg(&mut ys).arg(&xs).arg(&count);
            // SAFETY: the arguments are those of the kernel.
            unsafe { launch.launch(config(n.div_ceil(1024) as u32, 128, 0)) }.unwrap();
            stream.synchronize().unwrap();
            let want = x.iter().map(|x| widen(*x).max(0.0)).map(|f| bf16(f * f));
            let got = stream.clone_dtoh(&ys).unwrap();
            let mismatches = got.iter().zip(want).filter(|(got, want)| *got != want).count();
            assert_eq!(mismatches, 0, "of {n}");
        }
        rms_norm(&stream, &module.load_function("rms_norm").unwrap());
    });
}

fn rms_norm(stream: &Arc<CudaStream>, kernel: &cudarc::driver::CudaFunction) {
    let (rows, columns, eps) = (5, 333_i32, 1e-5_f32);
    let x: Vec<f32> = (0..rows * columns).map(|i| ((i * 7919) % 1009) as f32 / 500.0 - 0.8).collect();
    let (xs, mut ys) = (stream.clone_htod(&x).unwrap(), stream.alloc_zeros::<f32>(x.len()).unwrap());
    let mut launch = stream.launch_builder(kernel);
    launch.arg(&mut ys).arg(&xs).arg(&columns).arg(&eps);
    // SAFETY: the arguments are those of the kernel.
    unsafe { launch.launch(config(rows as u32, 96, 0)) }.unwrap();
    let y = stream.clone_dtoh(&ys).unwrap();
    for (row, got) in x.chunks(columns as usize).zip(y.chunks(columns as usize)) {
        let mean = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / f64::from(columns);
        for (x, got) in row.iter().zip(got) {
            let want = f64::from(*x) / (mean + f64::from(eps)).sqrt();
            assert!((f64::from(*got) - want).abs() <= 1e-6 * want.abs());
        }
    }
}

#[test]
fn variables_parts_of_buffers_and_large_shared_memory() {
    child::run("driver::variables_parts_of_buffers_and_large_shared_memory", || {
        let (context, stream) = start();
        let module = context.load_module(Ptx::from_src(SMALL)).unwrap();
        let mut factor = module.get_global("factor", &stream).unwrap();
        stream.memcpy_htod(&2.5_f32.to_le_bytes(), &mut factor).unwrap();
        let turn = module.load_function("turn").unwrap();
        turn.set_attribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 100 << 10).unwrap();
        let mut out = stream.clone_htod(&[-1.0_f32; 300]).unwrap();
        let mut middle = out.slice_mut(100..228);
        let (last, mut launch) = (127_u32, stream.launch_builder(&turn));
        launch.arg(&mut middle).arg(&last);
        // SAFETY: the arguments are those of the kernel.
        unsafe { launch.launch(config(1, 128, 100 << 10)) }.unwrap();
        let found = stream.clone_dtoh(&out).unwrap();
        for (i, got) in found.iter().enumerate() {
            let want = if (100..228).contains(&i) { 2.5 * (227 - i) as f32 } else { -1.0 };
            assert_eq!(*got, want, "at {i}");
        }
    });
}

#[test]
fn streams_threads_and_host_memory() {
    child::run("driver::streams_threads_and_host_memory", || {
        let (context, first) = start();
        let second = context.new_stream().unwrap();
        let a = first.clone_htod(&[1_u32, 2, 3, 4, 5]).unwrap();
        let b = second.clone_dtod(&a).unwrap(); // waits for an event of the other stream
        let in_thread = std::thread::spawn({
            let (second, b) = (second.clone(), b.clone());
            move || second.clone_dtoh(&b).unwrap()
        });
        assert_eq!(in_thread.join().unwrap(), [1, 2, 3, 4, 5]);
        // SAFETY: written before it is read.
        let mut pinned = unsafe { context.alloc_pinned::<u32>(5) }.unwrap();
        second.memcpy_dtoh(&b, &mut pinned).unwrap();
        second.synchronize().unwrap();
        assert_eq!(pinned.as_slice().unwrap(), [1, 2, 3, 4, 5]);
        let mut c = second.alloc_zeros::<u32>(5).unwrap();
        second.memcpy_dtod(&b.slice(1..4), &mut c.slice_mut(2..)).unwrap();
        assert_eq!(second.clone_dtoh(&c).unwrap(), [0, 0, 2, 3, 4]);
        let (free, total) = context.mem_get_info().unwrap();
        drop((a, b, c));
        assert!(context.mem_get_info().unwrap() == (free + 60, total), "freed memory is free again");
        context.check_err().unwrap();
    });
}

fn bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

fn widen(x: u16) -> f32 {
    f32::from_bits(u32::from(x) << 16)
}
