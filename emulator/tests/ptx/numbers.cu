// One result for each instruction that real kernels use and the other files of this folder do not. Inline assembly where the
// compiler would choose another instruction. tests/numbers.rs computes the same in Rust.
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

// yes = a OP b, as 0 or 1.
#define COMPARE(yes, op, kind, a, b)                                                                              \
    {                                                                                                             \
        int truth;                                                                                                \
        asm("{ .reg .pred p; setp." op " p, %1, %2; selp.s32 %0, 1, 0, p; }" : "=r"(truth) : kind(a), kind(b)); \
        yes = truth;                                                                                              \
    }

extern "C" __global__ void integers(s64 *out, const s64 *in, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    s64 a = in[2 * i], b = in[2 * i + 1], *o = out + 20 * i;
    int a32 = (int)a, b32 = (int)b;
    o[0] = a / b;
    asm("rem.s64 %0, %1, %2;" : "=l"(o[1]) : "l"(a), "l"(b));
    o[2] = (u64)a / (u64)b;
    o[3] = (u32)a32 / (u32)b32;
    u32 rest;
    int turned, least;
    asm("rem.u32 %0, %1, %2;" : "=r"(rest) : "r"(a32), "r"(b32));
    asm("neg.s32 %0, %1;" : "=r"(turned) : "r"(a32));
    asm("min.s32 %0, %1, %2;" : "=r"(least) : "r"(a32), "r"(b32));
    o[4] = rest;
    o[5] = -a;
    o[6] = turned;
    o[7] = least;
    u64 wide, inserted, either;
    asm("mad.wide.u32 %0, %1, %2, %3;" : "=l"(wide) : "r"(a32), "r"(b32), "l"(a));
    asm("bfi.b64 %0, %1, %2, 12, 20;" : "=l"(inserted) : "l"(a), "l"(b));
    asm("or.b64 %0, %1, %2;" : "=l"(either) : "l"(a), "l"(b));
    o[8] = wide;
    o[9] = inserted;
    o[10] = either;
    COMPARE(o[11], "eq.s64", "l", a, b)
    COMPARE(o[12], "ge.s64", "l", a, b)
    COMPARE(o[13], "gt.s64", "l", a, b)
    COMPARE(o[14], "lt.s64", "l", a, b)
    COMPARE(o[15], "ne.s64", "l", a, b)
    COMPARE(o[16], "lt.u64", "l", a, b)
    COMPARE(o[17], "eq.b32", "r", a32, b32)
    double tripled = (double)a * 3.0;
    o[18] = __float_as_int((float)tripled);
    int logic; // (a < b and not (a = 0)), copied
    asm("{ .reg .pred p, q, r; setp.lt.s32 p, %1, %2; setp.eq.s32 q, %1, 0; not.pred q, q; and.pred r, p, q; mov.pred p, r; "
        "selp.s32 %0, 1, 0, p; }"
        : "=r"(logic)
        : "r"(a32), "r"(b32));
    o[19] = logic;
}

// Rounding and comparisons: the same bits everywhere.
extern "C" __global__ void floats(float *out, const float *in, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float x = in[2 * i], y = in[2 * i + 1], *o = out + 18 * i;
    float absolute, negative;
    asm("abs.f32 %0, %1;" : "=f"(absolute) : "f"(x));
    asm("neg.f32 %0, %1;" : "=f"(negative) : "f"(x));
    o[0] = absolute;
    o[1] = negative;
    o[2] = __fadd_rn(x, y);
    o[3] = __fmul_rn(x, y);
    o[4] = floorf(x);
    o[5] = rintf(x);
    o[6] = truncf(x);
    o[7] = (float)__float2int_rn(x);
    o[8] = __fsqrt_rn(absolute);
    o[9] = __frcp_rn(x);
    COMPARE(o[10], "eq.f32", "f", x, y)
    COMPARE(o[11], "ge.f32", "f", x, y)
    COMPARE(o[12], "geu.f32", "f", x, y)
    COMPARE(o[13], "gtu.f32", "f", x, y)
    COMPARE(o[14], "ltu.f32", "f", x, y)
    COMPARE(o[15], "neu.f32", "f", x, y)
    u32 pair, product;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(x), "f"(y));
    asm("fma.rn.bf16x2 %0, %1, %1, %1;" : "=r"(product) : "r"(pair));
    o[16] = __uint_as_float(pair);
    o[17] = __uint_as_float(product);
}

// Functions that are only approximated, of numbers from 1/4 to 4.
extern "C" __global__ void approximations(float *out, const float *in, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float x = in[i], *o = out + 5 * i;
    asm("ex2.approx.f32 %0, %1;" : "=f"(o[0]) : "f"(x));
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(o[1]) : "f"(x));
    asm("lg2.approx.f32 %0, %1;" : "=f"(o[2]) : "f"(x));
    asm("tanh.approx.f32 %0, %1;" : "=f"(o[3]) : "f"(x));
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(o[4]) : "f"(x));
}

// Ways through memory: each lane's number comes back, added to other numbers on the way. One warp.
extern "C" __global__ void memories(u32 *out, u32 *totals, const u32 *in, int shift) {
    __shared__ u32 words[32];
    __shared__ unsigned short halves[32];
    int t = threadIdx.x;
    u32 x, a, b, c, d;
    float e, f, g, h;
    asm("ld.global.nc.u32 %0, [%1];" : "=r"(x) : "l"(in + t));
    asm("ld.global.nc.v4.f32 {%0, %1, %2, %3}, [%4];" : "=f"(e), "=f"(f), "=f"(g), "=f"(h) : "l"(in + t / 4 * 4));
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(a), "=r"(b), "=r"(c), "=r"(d) : "l"(in + t / 4 * 4));
    volatile u32 own[4]; // volatile, so that it stays in memory
    own[0] = a;
    own[1] = b;
    own[2] = c;
    own[3] = d;
    u32 picked = own[(t + shift) & 3] + __float_as_uint(e);
    u32 at = (u32)__cvta_generic_to_shared(words + t);
    asm volatile("st.shared.b32 [%0], %1;" : : "r"(at), "r"(x) : "memory");
    halves[t] = (unsigned short)x;
    asm volatile("cp.async.wait_all;" ::: "memory");
    __syncthreads();
    u32 turned = words[31 - t] + halves[31 - t];
    u32 below = __shfl_down_sync(~0u, x, 1);
    atomicMax(totals, x);
    atomicCAS(totals + 1, 0u, 7u);
    asm volatile("" : : "f"(f), "f"(g), "f"(h));
    out[4 * t] = x;
    out[4 * t + 1] = picked;
    out[4 * t + 2] = turned;
    out[4 * t + 3] = below;
}

// Block by block, the transpose of four 8 × 8 tiles of 16-bit numbers, as a matrix unit wants them: a lane's two numbers of each tile.
extern "C" __global__ void tiles(u32 *out, const unsigned short *in, int columns) {
    __shared__ __align__(16) unsigned short s[32 * 8];
    int t = threadIdx.x;
    s64 block = blockIdx.x;
    for (int k = 0; k < 8; k++) s[8 * t + k] = in[block * columns + 8 * t + k];
    __syncthreads();
    u32 at = (u32)__cvta_generic_to_shared(s + 8 * t), r[4];
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at));
    for (int k = 0; k < 4; k++) out[128 * block + 4 * t + k] = r[k];
}

// What later architectures have an instruction for: bf16 to f32, and the sum of pairs.
extern "C" __global__ void pairs(float *out, u32 *sum, const unsigned short *in, int n) {
    int t = threadIdx.x;
    if (t >= n) return;
    float x;
#if __CUDA_ARCH__ >= 900
    asm("cvt.f32.bf16 %0, %1;" : "=f"(x) : "h"(in[t]));
    asm volatile("{ .reg .b32 old; atom.add.noftz.bf16x2 old, [%0], %1; }" : : "l"(sum), "r"(0x3f804000u) : "memory");
#else
    x = __uint_as_float((u32)in[t] << 16);
#endif
    out[t] = x;
}
