//! What is not understood completely is refused, with its line.

use crate::kernel::text;
use emulator::Module;

fn refused(body: &str) -> String {
    match Module::load(&text(body), "file.ptx") {
        Ok(_) => panic!("accepted: {body}"),
        Err(error) => {
            assert_eq!((error.file.as_str(), error.line), ("file.ptx", 18), "{body}: {error}");
            error.message
        }
    }
}

#[test]
fn unknown_instructions_modifiers_and_types() {
    for body in [
        "frobnicate.b32 %r1, %r2;",
        "add.cc.u32 %r1, %r2, %r3;",
        "add.sat.s32 %r1, %r2, %r3;",
        "add.b32 %r1, %r2, %r3;",
        "add.rz.f32 %r1, %r2, %r3;",
        "add.f32.ftz %r1, %r2, %r3;",
        "add.sat.ftz.f32 %r1, %r2, %r3;",
        "mul.s32 %r1, %r2, %r3;",
        "mul.ftz.f64 %d1, %d2, %d3;",
        "fma.f32 %r1, %r2, %r3, %r4;",
        "div.f32 %r1, %r2, %r3;",
        "div.rn.bf16 %h1, %h2, %h3;",
        "tanh.approx.ftz.f32 %r1, %r2;",
        "ex2.f32 %r1, %r2;",
        "ex2.approx.f64 %d1, %d2;",
        "min.xorsign.abs.f32 %r1, %r2, %r3;",
        "shl.u32 %r1, %r2, 3;",
        "not.u32 %r1, %r2;",
        "cvt.f32.s32 %r1, %r2;",
        "ld.global.ca.nc.L1::no_allocate.u32 %r1, [%d1];",
        "cvt.rn.s32.f32 %r1, %r2;",
        "cvt.rni.f32.s32 %r1, %r2;",
        "cvt.rn.f64.f32 %d1, %r2;",
        "cvt.f32.f64 %r1, %d2;",
        "cvt.b32.u16 %r1, %h2;",
        "cvt.rn.satfinite.e4m3x2.f32 %h1, %r1, %r2;",
        "mov.b8 %h1, %h2;",
        "selp.u8 %h1, %h2, %h3, %p1;",
        "setp.lt.b32 %p1, %r1, %r2;",
        "setp.lo.s32 %p1, %r1, %r2;",
        "setp.ltu.u32 %p1, %r1, %r2;",
        "setp.lt.nand.u32 %p1, %r1, %r2, %p2;",
        "ld.global.v3.u32 {%r1, %r2, %r3}, [%d1];",
        "ld.global.v8.u16 %h1, [%d1];",
        "ld.global.v4.u64 {%d1, %d2, %d3, %d4}, [%d5];",
        "ld.shared.nc.u32 %r1, [s];",
        "ld.global.b128 %d1, [%d2];",
        "ld.relaxed.global.u32 %r1, [%d1];",
        "ld.shared::cluster.u32 %r1, [s];",
        "st.const.u32 [fixed], %r1;",
        "st.param.u32 [in], %r1;",
        "st.global.nc.u32 [%d1], %r1;",
        "atom.global.add.s64 %d1, [%d2], %d3;",
        "atom.global.add.bf16x2 %r1, [%d2], %r3;",
        "atom.global.sub.u32 %r1, [%d2], %r3;",
        "red.global.exch.b32 [%d2], %r3;",
        "cvta.shared.u32 %r1, %r2;",
        "cvta.param.u64 %d1, %d2;",
        "bar.sync.aligned 0;",
        "bar.cta.sync 0;",
        "barrier.cluster.arrive;",
        "shfl.bfly.b32 %r1, %r2, 1, 31;",
        "shfl.sync.bfly.b64 %d1, %d2, 1, 31, -1;",
        "vote.ballot.b32 %r1, %p1;",
        "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%r1,%r2,%r3,%r4},{%r5,%r6},{%r7},{%r1,%r2,%r3,%r4};",
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.f16.f32 {%r1,%r2,%r3,%r4},{%r5,%r6,%r7,%r8},{%r9,%r10},{%r1,%r2,%r3,%r4};",
        "ldmatrix.sync.aligned.m8n8.x3.shared.b16 {%r1,%r2,%r3}, [%r4];",
        "cp.async.cg.shared.global [s], [%d1], 8;",
        "cp.async.bulk.commit_group;",
        "cp.async.wait_group %r1;",
        "wgmma.fence.sync.aligned;",
        "call foo;",
        "trap;",
        "mov.u32 %r1, %clock;",
        "isspacep.shared %p1, %d1;",
    ] {
        refused(body);
    }
}

#[test]
fn operands_of_a_wrong_number_kind_or_width() {
    for (body, word) in [
        ("add.s32 %r1, %r2;", "takes 3 operands"),
        ("add.s32 %r1, %r2, %d3;", "32 bits"),
        ("add.s64 %d1, %d2, %r3;", "64 bits"),
        ("add.f32 %h1, %r2, %r3;", "32 bits"),
        ("mov.u32 %r1, %h1;", "32 bits"),
        ("mov.u32 %r1, %r64;", "neither"),
        ("mov.u32 %q1, 0;", "not declared"),
        ("mov.u32 5, %r1;", "writes to a register"),
        ("add.s32 %r1, %r2, 4294967296;", "does not fit"),
        ("add.s32 %r1, %r2, -2147483649;", "does not fit"),
        ("add.f32 %r1, %r2, 1;", "does not fit"),
        ("add.f32 %r1, %r2, 0d3FF0000000000000;", "does not fit"),
        ("mov.u32 %r1, nothing;", "neither"),
        ("ld.global.u32 %r1, [%r2];", "too few"),
        ("ld.global.u32 %r1, %d2;", "brackets"),
        ("ld.shared.u32 %r1, [table];", "space"),
        ("ld.param.u32 %r1, [nothing];", "not a parameter"),
        ("ld.global.u64 %r1, [%d2];", "64 bits"),
        ("ld.global.v2.u32 %r1, [%d2];", "moves 2"),
        ("ld.global.v2.u32 {%r1, %d2}, [%d2];", "one width"),
        ("st.global.f32 [%d2], %d1;", "32 bits"),
        ("bra NOWHERE;", "no label"),
        ("@%r1 ret;", "1 bits"),
        ("and.pred %p1, %p2, !%p3;", "negated"),
        ("selp.b32 %r1, %r2, %r3, %r4;", "1 bits"),
        ("mov.b32 {%h1, %h2, %h3}, %r1;", "3 parts"),
        ("lop3.b32 %r1, %r2, %r3, %r4, 256;", "0 to 255"),
        ("cvt.rn.bf16.f32 %r1, %r2;", "floating-point"),
    ] {
        let message = refused(body);
        assert!(message.contains(word), "{body}: {message}");
    }
}

#[test]
fn declarations() {
    let head = ".version 8.8\n.target sm_80\n.address_size 64\n";
    for (text, line) in [
        (".version 8.8\n.target sm_80\n.address_size 32\n", 3),
        (".version 8.8\n.target sm_100\n", 2),
        (".version 8.8\n.target sm_80, texmode_independent\n", 2),
        (&format!("{head}.func f() {{ ret; }}\n"), 4),
        (&format!("{head}.extern .func vprintf;\n"), 4),
        (&format!("{head}.tex .u32 t;\n"), 4),
        (&format!("{head}.global .align 3 .b8 x[4];\n"), 4),
        (&format!("{head}.global .b8 x[2] = {{1, 2, 3}};\n"), 4),
        (&format!("{head}.global .b8 x[99999999999];\n"), 4),
        (&format!("{head}.section .text {{ }}\n"), 4),
        (&format!("{head}.entry k() .cluster 2 {{ ret; }}\n"), 4),
        (&format!("{head}.entry k() {{\n.reg .b128 %q<2>;\nret; }}\n"), 5),
        (&format!("{head}.entry k() {{ ret; }}\n.entry k() {{ ret; }}\n"), 5),
        (&format!("{head}.entry k() {{ ret; \n"), 5),
    ] {
        let error = Module::load(text, "x").unwrap_err();
        assert_eq!(error.line, line, "{text}: {error}");
    }
}

#[test]
fn what_the_drivers_translator_refuses() {
    for to in ["s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64"] {
        let register = |ty: &str| {
            if ty.ends_with("64") {
                "%d1"
            } else if ty.ends_with("32") {
                "%r1"
            } else {
                "%h1"
            }
        };
        let body = format!("cvt.sat.{to}.{to} {0}, {0};", register(to));
        assert!(refused(&body).contains("nothing to saturate"), "{body}");
    }
    assert!(refused("cvt.sat.s32.u16 %r1, %h1;").contains("nothing to saturate"));
    assert!(refused("cvt.sat.u64.u8 %d1, %h1;").contains("nothing to saturate"));
    for body in ["bfe.u32 %r1, %r2, 256, 4;", "bfe.s64 %d1, %d2, 0, 256;", "bfi.b32 %r1, %r2, %r3, 256, 4;"] {
        assert!(refused(body).contains("0 to 255"), "{body}");
    }
}
