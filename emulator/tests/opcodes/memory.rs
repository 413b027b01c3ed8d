//! Loads and stores of every width and space.

use crate::kernel;
use emulator::{Arg, Checks, Config, Device, FaultKind, Launch, Module, Options};

#[test]
fn loads_extend_by_their_type_to_the_register_s_width() {
    let bytes: Vec<u8> = (0..16).map(|i| 0xf8_u8.wrapping_add(u8::wrapping_mul(i, 37))).collect();
    for (ty, width, signed) in [
        ("u8", 1, false),
        ("s8", 1, true),
        ("b16", 2, false),
        ("s16", 2, true),
        ("u32", 4, false),
        ("s32", 4, true),
        ("f32", 4, false),
        ("u64", 8, false),
    ] {
        let mut raw = [0_u8; 8];
        raw[..width].copy_from_slice(&bytes[8..8 + width]);
        let plain = u64::from_le_bytes(raw);
        let up = 64 - 8 * width as u32;
        let want = if signed { ((plain << up) as i64 >> up) as u64 } else { plain };
        let registers: &[(&str, u64)] = match (ty, width) {
            ("f32", _) => &[("%r1", 0xffff_ffff)],
            (_, 1 | 2) => &[("%h1", 0xffff), ("%r1", 0xffff_ffff), ("%d1", u64::MAX)],
            (_, 4) => &[("%r1", 0xffff_ffff), ("%d1", u64::MAX)],
            _ => &[("%d1", u64::MAX)],
        };
        for (register, mask) in registers {
            let store = format!("st.global.b{} [%d60], {register};", 64 - mask.leading_zeros());
            for (space, address) in
                [("global", "%d61+8"), ("global.nc", "%d61+8"), ("shared", "s+8"), ("local", "l+8")]
            {
                let fill = match space {
                    "shared" => "ld.global.u64 %d2, [%d61+8];\nst.shared.u64 [s+8], %d2;\n",
                    "local" => "ld.global.u64 %d2, [%d61+8];\nst.local.u64 [l+8], %d2;\n",
                    _ => "",
                };
                let body = format!("{fill}ld.{space}.{ty} {register}, [{address}];\n{store}");
                let out = kernel::run::<u8, u64>(&body, 1, 1, &bytes);
                assert_eq!(out[0], want & mask, "{space} {ty} {register}");
            }
        }
    }
}

#[test]
fn stores_cut_to_their_width_and_vectors_are_in_order() {
    let body = "mov.u64 %d1, 0x1122334455667788;\nst.global.u8 [%d60], %d1;\nst.global.u16 [%d60+2], %d1;\n\
                st.global.u32 [%d60+4], %d1;\nmov.u32 %r1, 1;\nmov.u32 %r2, 2;\nmov.u32 %r3, 3;\nmov.u32 %r4, 4;\n\
                st.shared.v4.u32 [s+16], {%r1, %r2, %r3, %r4};\nld.shared.v2.u32 {%r5, _}, [s+24];\n\
                ld.shared.v4.u32 {%r6, %r7, %r8, %r9}, [s+16];\nst.global.v4.u32 [%d60+16], {%r9, %r8, %r7, %r6};\n\
                st.global.v2.f32 [%d60+8], {%r5, %r5};\nst.local.v2.u64 [l], {%d1, %d1};\nld.local.u16 %h1, [l+8];\n\
                st.global.u16 [%d60+2], %h1;";
    let out = kernel::run::<u8, u32>(body, 1, 8, &[0]);
    assert_eq!(out[..2], [0x7788_0088, 0x5566_7788]);
    assert_eq!(out[2..], [3, 3, 4, 3, 2, 1]);
}

#[test]
fn words_that_only_advise_caches_or_order_accesses_are_read() {
    for load in [
        "ld.volatile.global.u32",
        "ld.relaxed.gpu.global.u32",
        "ld.acquire.sys.global.u32",
        "ld.global.cg.u32",
        "ld.global.ca.nc.L2::128B.u32",
        "ld.global.nc.L1::no_allocate.L2::128B.u32",
        "ld.global.nc.L2::256B.u32",
        "ld.volatile.u32",
    ] {
        let body = format!("{load} %r1, [%d61];\nst.global.u32 [%d60], %r1;");
        assert_eq!(kernel::run::<u32, u32>(&body, 1, 1, &[42]), [42], "{load}");
    }
    for store in [
        "st.volatile.global.u32",
        "st.relaxed.cta.global.u32",
        "st.release.gpu.global.u32",
        "st.global.wt.u32",
        "st.global.cs.u32",
    ] {
        assert_eq!(kernel::run::<u32, u32>(&format!("{store} [%d60], 43;"), 1, 1, &[0]), [43], "{store}");
    }
    for fence in
        ["membar.gl", "membar.cta", "membar.sys", "fence.sc.gpu", "fence.acq_rel.cta", "nanosleep.u32 20"]
    {
        kernel::run::<u32, u32>(&format!("{fence};"), 1, 1, &[0]);
    }
}

#[test]
fn parameters_of_every_size_and_structs() {
    let text = ".version 8.8\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 .ptr .global .align 8 out,\n\
                .param .u8 b, .param .align 8 .b8 s[16], .param .s32 i)\n{\n.reg .b32 %r<8>;\n.reg .b64 %d<8>;\n\
                ld.param.u64 %d1, [out];\nld.param.u8 %r1, [b];\nst.global.u32 [%d1], %r1;\nld.param.u64 %d2, [s+8];\n\
                st.global.u64 [%d1+8], %d2;\nld.param.s32 %d3, [i];\nst.global.u64 [%d1+16], %d3;\nret;\n}\n";
    let module = Module::load(text, "params").unwrap();
    let mut device = Device::new(Config::default());
    let out = device.alloc(24).unwrap();
    let object: Vec<u8> = (0..16).collect();
    let args = [out.into(), 200_u8.into(), Arg::raw(&object), (-5_i32).into()];
    device.launch(&Launch { block: [1; 3], ..Launch::of(&module, "k", &args) }).unwrap();
    let got: Vec<u64> = device.download(out).unwrap();
    assert_eq!((got[0] as u32, got[1], got[2] as i64), (200, 0x0f0e_0d0c_0b0a_0908, -5));
    let mut wrong = |args: &[Arg]| {
        device.launch(&Launch { block: [1; 3], ..Launch::of(&module, "k", args) }).unwrap_err()
    };
    assert_eq!(wrong(&args[..3]).kind, FaultKind::Arguments);
    assert!(
        wrong(&[out.into(), 200_u32.into(), Arg::raw(&object), 1_i32.into()]).message.contains("argument 1")
    );
}

#[test]
fn bounds_and_alignment_are_checked_even_with_all_checks_off() {
    let options = Options { checks: Checks::NONE, counters: false, ..Options::default() };
    for (body, kind) in [
        ("ld.global.u32 %r1, [%d61+8];", FaultKind::OutOfBounds),
        ("ld.global.u32 %r1, [%d61+-4];", FaultKind::OutOfBounds),
        ("ld.global.u64 %d1, [%d61+4];", FaultKind::Misaligned),
        ("ld.global.u32 %r1, [%d61+7];", FaultKind::Misaligned),
        ("mov.u64 %d1, 0;\nld.global.u32 %r1, [%d1];", FaultKind::OutOfBounds),
        ("mov.u64 %d1, 0;\nst.u32 [%d1+16], %r60;", FaultKind::OutOfBounds),
        ("st.shared.u32 [s+4352], %r60;", FaultKind::OutOfBounds),
        ("ld.shared.v4.u32 {%r1, %r2, %r3, %r4}, [s+4];", FaultKind::Misaligned),
        ("mov.u32 %r1, -4;\nld.shared.u32 %r2, [%r1];", FaultKind::OutOfBounds),
        ("ld.local.u32 %r2, [l+64];", FaultKind::OutOfBounds),
        ("ld.param.u32 %r1, [in+8];", FaultKind::OutOfBounds),
        ("mov.u64 %d1, fixed;\nst.global.u32 [%d1], %r60;", FaultKind::ReadOnly),
        ("atom.global.add.u32 %r1, [%d61+8], 1;", FaultKind::OutOfBounds),
        ("mov.u64 %d1, s;\ncvta.shared.u64 %d2, %d1;\nld.u32 %r1, [%d2+4352];", FaultKind::OutOfBounds),
    ] {
        let fault = kernel::try_run::<u32, u32>(body, 3, 1, &[1, 2], &options).unwrap_err();
        assert_eq!(fault.kind, kind, "{body}: {fault}");
        assert!(fault.place.ptx_line > 15 && !fault.place.text.is_empty());
    }
}

#[test]
fn an_atomic_update_of_local_memory_is_a_fault_and_not_nothing() {
    let body = "mov.u64 %d2, l;\ncvta.local.u64 %d1, %d2;\natom.add.u32 %r1, [%d1], 1;";
    let fault = kernel::try_run::<u32, u32>(body, 1, 1, &[0], &emulator::Options::default()).unwrap_err();
    assert!(fault.message.contains("local memory"), "{fault}");
}
