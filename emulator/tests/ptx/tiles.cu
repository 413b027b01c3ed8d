// Asynchronous copies and matrix fragments, right and wrong. A block of two warps; no includes, so the instructions are
// written out.
#define PAIR(f)                                                                                       \
    extern "C" __global__ void f##_right(float *out, const float *in, int n) { f<false>(out, in, n); } \
    extern "C" __global__ void f##_wrong(float *out, const float *in, int n) { f<true>(out, in, n); }
#define BODY(f) template <bool WRONG> __device__ __forceinline__ void f(float *out, const float *in, int n)

__device__ __forceinline__ unsigned offset(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }
__device__ __forceinline__ void copy16(void *to, const void *from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(offset(to)), "l"(from) : "memory");
}
__device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> __device__ __forceinline__ void wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

BODY(no_wait) {
    __shared__ alignas(16) float s[256];
    int t = threadIdx.x;
    copy16(s + 4 * t, in + 4 * (t % 32));
    commit();
    if (!WRONG) wait<0>();
    __syncthreads();
    out[blockIdx.x * 64 + t] = s[4 * (63 - t)];
}
PAIR(no_wait)

// Two groups are under way, and the wait leaves the one that is needed.
BODY(wait_for_too_few) {
    __shared__ alignas(16) float s[2][256];
    int t = threadIdx.x;
    copy16(s[0] + 4 * t, in + 4 * (t % 32));
    commit();
    copy16(s[1] + 4 * t, in + 4 * (t % 32));
    commit();
    wait<WRONG ? 2 : 1>();
    __syncthreads();
    out[blockIdx.x * 64 + t] = s[0][4 * (63 - t)];
    wait<0>();
}
PAIR(wait_for_too_few)

BODY(no_commit) {
    __shared__ alignas(16) float s[256];
    int t = threadIdx.x;
    copy16(s + 4 * t, in + 4 * (t % 32));
    if (!WRONG) commit();
    wait<0>();
    __syncthreads();
    out[blockIdx.x * 64 + t] = s[4 * (63 - t)];
}
PAIR(no_commit)

// The wait is for a thread's own copies; those of others need a barrier, too.
BODY(wait_without_barrier) {
    __shared__ alignas(16) float s[256];
    int t = threadIdx.x;
    copy16(s + 4 * t, in + 4 * (t % 32));
    commit();
    wait<0>();
    if (!WRONG) __syncthreads();
    out[blockIdx.x * 64 + t] = s[4 * (63 - t)];
}
PAIR(wait_without_barrier)

// Plain stores into a buffer that a copy is still filling.
BODY(writes_in_flight) {
    __shared__ alignas(16) float s[256];
    int t = threadIdx.x;
    copy16(s + 4 * t, in + 4 * (t % 32));
    commit();
    if (!WRONG) wait<0>();
    s[4 * t] = 0.f;
    if (WRONG) wait<0>();
    __syncthreads();
    out[blockIdx.x * 64 + t] = s[4 * (63 - t) + 1];
}
PAIR(writes_in_flight)

// The next tile is fetched into the buffer that the other warp may still be reading.
BODY(refill_too_early) {
    __shared__ alignas(16) float s[256];
    int t = threadIdx.x;
    float sum = 0.f;
    for (int k = 0; k < 2; k++) {
        copy16(s + 4 * t, in + 4 * (t % 32));
        commit();
        wait<0>();
        __syncthreads();
        sum += s[4 * (63 - t)];
        if (!WRONG) __syncthreads();
    }
    out[blockIdx.x * 64 + t] = sum;
}
PAIR(refill_too_early)

BODY(misaligned_copy) {
    __shared__ alignas(16) float s[256];
    int t = threadIdx.x;
    copy16(s + 4 * t, in + (WRONG ? 3 : 4) * (t % 32));
    commit();
    wait<0>();
    __syncthreads();
    out[blockIdx.x * 64 + t] = s[4 * t];
}
PAIR(misaligned_copy)

// The last rows of a tile lie beyond the end of the matrix.
BODY(copy_past_the_end) {
    __shared__ alignas(16) float s[256];
    int t = threadIdx.x;
    bool there = 4 * t + 4 <= n;
    if (WRONG) copy16(s + 4 * t, in + 4 * t);
    else asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(offset(s + 4 * t)), "l"(in + (there ? 4 * t : 0)), "r"(there ? 16 : 0) : "memory");
    commit();
    wait<0>();
    __syncthreads();
    out[blockIdx.x * 64 + t] = s[4 * t];
}
PAIR(copy_past_the_end)

// C = A·B with A (16×16) and B (16×8, as 8 rows of 16) in bf16, for warp 0. `mistake` picks what goes wrong.
template <int MISTAKE> __device__ __forceinline__ void product(float *out, const float *in) {
    __shared__ alignas(16) unsigned short a[16 * 16], b[8 * 16];
    int t = threadIdx.x;
    if (blockIdx.x > 0) return;
    for (int i = t; i < 256; i += 64) a[i] = (unsigned short)(__float_as_uint(in[i % 128]) >> 16);
    for (int i = t; i < 128; i += 64) b[i] = (unsigned short)(__float_as_uint(in[(7 * i) % 128]) >> 16);
    __syncthreads();
    if (t >= 32) return;
    if (MISTAKE == 1 && t >= 16) return;
    unsigned r[4], q[2];
    int row = t % 16, half = t / 16;
    const void *pa = a + row * 16 + half * 8;
    if (MISTAKE == 2) pa = a + row * 16 + half * 4;
    if (MISTAKE == 3) pa = a + (row % 8 + 8 * half) * 16 + row / 8 * 8;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(offset(pa)));
    const void *pb = b + t % 8 * 16 + t / 8 % 2 * 8;
    if (MISTAKE == 4) asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];" : "=r"(q[0]), "=r"(q[1]) : "r"(offset(pb)));
    else asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];" : "=r"(q[0]), "=r"(q[1]) : "r"(offset(pb)));
    if (MISTAKE == 5) { unsigned x = q[0]; q[0] = q[1]; q[1] = x; }
    if (MISTAKE == 6) q[0] = q[0] << 16 | q[0] >> 16;
    float c[4] = {0.f, 0.f, 0.f, 0.f};
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]), "r"(q[0]), "r"(q[1]));
    int g = t / 4, j = 2 * (t % 4);
    if (MISTAKE == 7) j = 2 * g, g = t % 4;
    out[g * 8 + j] = c[0];
    out[g * 8 + j + 1] = c[1];
    if (MISTAKE != 7) out[(g + 8) * 8 + j] = c[2];
    if (MISTAKE != 7) out[(g + 8) * 8 + j + 1] = c[3];
}
#define PRODUCT(name, mistake)                                                                       \
    extern "C" __global__ void name##_right(float *out, const float *in, int n) { product<0>(out, in); } \
    extern "C" __global__ void name##_wrong(float *out, const float *in, int n) { product<mistake>(out, in); }
PRODUCT(half_a_warp, 1)
PRODUCT(misaligned_matrix, 2)
PRODUCT(swapped_a_tiles, 3)
PRODUCT(transposed_b, 4)
PRODUCT(swapped_b_halves, 5)
PRODUCT(swapped_pair, 6)
PRODUCT(transposed_result, 7)

// Rows of 128 bytes read by ldmatrix: without the swizzle all eight rows begin in one bank.
BODY(unswizzled) {
    __shared__ alignas(16) unsigned short s[8 * 64];
    int t = threadIdx.x, row = t / 8, chunk = t % 8;
    int to = WRONG ? chunk : chunk ^ row;
    for (int k = 0; k < 8; k++) s[row * 64 + to * 8 + k] = (unsigned short)(t * 8 + k);
    __syncthreads();
    unsigned r[4], sum = 0;
    int lane = t % 32, from = WRONG ? lane / 8 : lane / 8 ^ lane % 8;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(offset(s + lane % 8 * 64 + from * 8)));
    for (int k = 0; k < 4; k++) sum += r[k];
    out[blockIdx.x * 64 + t] = (float)sum;
}
PAIR(unswizzled)
