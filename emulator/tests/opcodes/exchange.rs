//! Exchange between lanes: shuffles by the manual's pseudo-code, votes, reductions, matches, barriers with results.

use crate::kernel;
use emulator::{FaultKind, Options};

const STORE: &str = "mul.wide.u32 %d1, %r60, 8;\nadd.s64 %d1, %d1, %d60;\nselp.u32 %r5, 1, 0, %p1;\n\
                     st.global.v2.u32 [%d1], {%r1, %r5};";

#[test]
fn shuffles_by_the_manual() {
    for (name, mode) in [("up", 0), ("down", 1), ("bfly", 2), ("idx", 3)] {
        for by in [0_u32, 1, 3, 16, 31, 33] {
            // clamp and segment mask for widths 32, 8 and 4
            for c in [
                if mode == 0 { 0 } else { 31 },
                if mode == 0 { 0x1800 } else { 0x181f },
                if mode == 0 { 0x1c00 } else { 0x1c1f },
            ] {
                let body = format!(
                    "mad.lo.s32 %r2, %r60, 10, 3;\nshfl.sync.{name}.b32 %r1|%p1, %r2, {by}, {c}, -1;\n{STORE}"
                );
                let out = kernel::run::<u32, u32>(&body, 32, 2, &[0]);
                let (b, clamp, segment) = (by & 31, c & 31, c >> 8 & 31);
                for lane in 0..32_u32 {
                    let max = (lane & segment) | (clamp & !segment);
                    let min = lane & segment;
                    let (j, valid) = match mode {
                        0 => (lane as i32 - b as i32, lane as i32 - b as i32 >= max as i32),
                        1 => ((lane + b) as i32, lane + b <= max),
                        2 => ((lane ^ b) as i32, lane ^ b <= max),
                        _ => ((min | (b & !segment)) as i32, min | (b & !segment) <= max),
                    };
                    let from = if valid { j as u32 } else { lane };
                    let want = [from * 10 + 3, u32::from(valid)];
                    assert_eq!(out[2 * lane as usize..][..2], want, "{name} {by} {c:#x} lane {lane}");
                }
            }
        }
    }
}

#[test]
fn a_shuffle_may_not_read_a_lane_that_is_missing() {
    let body =
        "mov.u32 %r1, 0;\nsetp.lt.u32 %p1, %r60, 16;\n@%p1 shfl.sync.bfly.b32 %r1, %r60, 16, 31, 0xffff;";
    let fault = kernel::try_run::<u32, u32>(body, 32, 1, &[0], &Options::default()).unwrap_err();
    assert_eq!((fault.kind, fault.lane), (FaultKind::MemberMask, Some(0)));
    let body = "mov.u32 %r1, 0;\nshfl.sync.bfly.b32 %r1, %r60, 1, 31, 0xffff;";
    let fault = kernel::try_run::<u32, u32>(body, 32, 1, &[0], &Options::default()).unwrap_err();
    assert_eq!((fault.kind, fault.lane), (FaultKind::MemberMask, Some(16)), "lane 16 is not a member");
}

#[test]
fn fragments_wait_for_their_mask() {
    // the two halves come to the shuffle on different ways, one of them much later
    let body = "mov.u32 %r1, %r60;\nsetp.lt.u32 %p2, %r60, 16;\n@%p2 bra LOW;\nadd.u32 %r1, %r1, 100;\nbra JOIN;\n\
                LOW:\nmov.u32 %r3, 0;\nLOOP:\nadd.u32 %r3, %r3, 1;\nsetp.lt.u32 %p3, %r3, 50;\n@%p3 bra LOOP;\n\
                JOIN:\nshfl.sync.bfly.b32 %r1|%p1, %r1, 16, 31, -1;\n";
    let out = kernel::run::<u32, u32>(&format!("{body}{STORE}"), 32, 2, &[0]);
    for lane in 0..32 {
        assert_eq!(out[2 * lane], if lane < 16 { lane as u32 + 116 } else { lane as u32 - 16 });
    }
    // two instructions: each half waits for the other for ever
    let body = "mov.u32 %r1, %r60;\nsetp.lt.u32 %p2, %r60, 16;\n@%p2 bra LOW;\nshfl.sync.bfly.b32 %r1, %r1, 1, 31, -1;\nbra JOIN;\n\
                LOW:\nshfl.sync.bfly.b32 %r1, %r1, 2, 31, -1;\nJOIN:\n";
    let fault = kernel::try_run::<u32, u32>(body, 32, 1, &[0], &Options::default()).unwrap_err();
    assert_eq!(fault.kind, FaultKind::MemberMask);
    assert!(fault.other.is_some());
    // but warp barriers may be different instructions
    let body = "setp.lt.u32 %p2, %r60, 16;\n@%p2 bra LOW;\nbar.warp.sync -1;\nbra JOIN;\nLOW:\nbar.warp.sync -1;\nJOIN:\n\
                st.global.u32 [%d60], 1;";
    assert_eq!(kernel::run::<u32, u32>(body, 32, 1, &[0])[0], 1);
}

#[test]
fn lanes_that_have_exited_are_not_waited_for() {
    let body = "setp.ge.u32 %p2, %r60, 20;\n@%p2 ret;\nmov.u32 %r1, 0;\nvote.sync.ballot.b32 %r1, %p2, -1;\n\
                setp.eq.u32 %p1, %r1, 0;\n";
    let out = kernel::run::<u32, u32>(&format!("{body}{STORE}"), 32, 2, &[0]);
    assert_eq!(out[..2], [0, 1]);
}

#[test]
fn votes_count_members_only() {
    let run = |name: &str, result: &str, condition: &str| {
        let body = format!(
            "mov.u32 %r1, 0;\nsetp.ne.u32 %p1, 0, 0;\nsetp.lt.u32 %p2, %r60, 24;\n{condition}\n\
             @%p2 vote.sync.{name} {result}, %p3, 0xffffff;\n{STORE}"
        );
        let out = kernel::run::<u32, u32>(&body, 32, 2, &[0]);
        (out[0], out[1])
    };
    let some = "setp.lt.u32 %p3, %r60, 5;";
    let none = "setp.gt.u32 %p3, %r60, 23;";
    let all = "setp.lt.u32 %p3, %r60, 24;";
    assert_eq!(run("ballot.b32", "%r1", some).0, 31);
    for (name, wants) in [("all.pred", [0, 0, 1]), ("any.pred", [1, 0, 1]), ("uni.pred", [0, 1, 1])] {
        assert_eq!([some, none, all].map(|c| run(name, "%p1", c).1), wants, "{name}");
    }
    let body = format!(
        "mov.u32 %r1, 0;\nsetp.lt.u32 %p3, %r60, 5;\nmov.pred %p1, 0;\nvote.sync.ballot.b32 %r1, !%p3, -1;\n{STORE}"
    );
    assert_eq!(kernel::run::<u32, u32>(&body, 32, 2, &[0])[0], !31);
}

#[test]
fn reductions_and_matches() {
    let run = |instruction: &str| {
        let body = format!(
            "mul.lo.u32 %r2, %r60, 0x90000001;\nmov.pred %p1, 0;\nmov.u32 %r1, 0;\n{instruction}\n{STORE}"
        );
        kernel::run::<u32, u32>(&body, 32, 2, &[0])
    };
    let values: Vec<u32> = (0..32_u32).map(|i| i.wrapping_mul(0x9000_0001)).collect();
    let of = |f: &dyn Fn(u32, u32) -> u32| values.iter().copied().reduce(f).unwrap();
    let signed = |f: fn(i32, i32) -> i32| move |a: u32, b: u32| f(a as i32, b as i32) as u32;
    for (name, want) in [
        ("add.u32", of(&|a, b| a.wrapping_add(b))),
        ("add.s32", of(&|a, b| a.wrapping_add(b))),
        ("min.u32", of(&|a, b| a.min(b))),
        ("max.u32", of(&|a, b| a.max(b))),
        ("min.s32", of(&signed(|a, b| a.min(b)))),
        ("max.s32", of(&signed(|a, b| a.max(b)))),
        ("and.b32", of(&|a, b| a & b)),
        ("or.b32", of(&|a, b| a | b)),
        ("xor.b32", of(&|a, b| a ^ b)),
    ] {
        assert_eq!(run(&format!("redux.sync.{name} %r1, %r2, -1;"))[0], want, "{name}");
    }
    let any = run("and.b32 %r2, %r60, 3;\nmatch.any.sync.b32 %r1, %r2, -1;");
    assert_eq!(any[2 * 6], 0x4444_4444);
    assert_eq!(run("mov.u32 %r2, 7;\nmatch.all.sync.b32 %r1, %r2, -1;")[0], u32::MAX);
    assert_eq!(run("match.all.sync.b32 %r1, %r2, -1;")[0], 0);
    assert_eq!(run("cvt.u64.u32 %d5, %r60;\nmatch.any.sync.b64 %r1, %d5, -1;")[8], 16);
    assert_eq!(run("activemask.b32 %r1;")[0], u32::MAX);
}

#[test]
fn barriers_that_count_and_barriers_of_a_part() {
    let body = "setp.lt.u32 %p2, %r60, 40;\nmov.pred %p1, 0;\nbar.red.popc.u32 %r1, 0, %p2;\nbar.red.and.pred %p1, 0, %p2;\n\
                bar.red.or.pred %p3, 0, !%p2;\nselp.u32 %r4, 4, 0, %p3;\nadd.u32 %r1, %r1, %r4;\n";
    let out = kernel::run::<u32, u32>(&format!("{body}{STORE}"), 70, 2, &[0]);
    assert!(out.chunks(2).all(|row| row == [44, 0]), "{out:?}");
    // warp 0 produces, warp 1 consumes, warp 2 takes no part
    let body = "shr.u32 %r2, %r60, 5;\nsetp.eq.u32 %p1, %r2, 2;\n@%p1 bra END;\nmul.wide.u32 %d2, %r60, 4;\nsetp.eq.u32 %p1, %r2, 1;\n\
                @%p1 bra CONSUMER;\nmov.u64 %d3, s;\nadd.s64 %d3, %d3, %d2;\nst.shared.u32 [%d3], %r60;\nbar.arrive 3, 64;\nbra END;\n\
                CONSUMER:\nbarrier.sync 3, 64;\nmov.u64 %d3, s;\nadd.s64 %d3, %d3, %d2;\nld.shared.u32 %r3, [%d3+-128];\n\
                add.s64 %d4, %d60, %d2;\nst.global.u32 [%d4], %r3;\nEND:\n";
    let out = kernel::run::<u32, u32>(body, 96, 1, &[0]);
    assert_eq!(out[32..64], (0..32).collect::<Vec<u32>>());
}
