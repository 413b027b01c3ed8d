// Global, shared and local memory: bounds, alignment, what was never written, blocks that touch the same places; and two
// kernels whose results are right but whose accesses cost too much.
#define PAIR(f)                                                                                       \
    extern "C" __global__ void f##_right(float *out, const float *in, int n) { f<false>(out, in, n); } \
    extern "C" __global__ void f##_wrong(float *out, const float *in, int n) { f<true>(out, in, n); }
#define BODY(f) template <bool WRONG> __device__ __forceinline__ void f(float *out, const float *in, int n)

BODY(past_the_end) {
    for (int i = blockIdx.x * 64 + threadIdx.x; WRONG ? i <= n : i < n; i += gridDim.x * 64) out[i] = 2.f * in[i];
}
PAIR(past_the_end)

BODY(before_the_start) {
    int i = blockIdx.x * 64 + threadIdx.x;
    out[i] = in[i] - (WRONG || i > 0 ? in[i - 1] : 0.f);
}
PAIR(before_the_start)

// n is no multiple of the block, and nobody asks.
BODY(no_guard) {
    int i = blockIdx.x * 64 + threadIdx.x;
    if (WRONG || i < n - 5) out[i + 5] = in[i];
}
PAIR(no_guard)

// The last vector of four reaches beyond the end.
BODY(vector_tail) {
    int i = (blockIdx.x * 64 + threadIdx.x) * 4;
    if (WRONG ? i < n - 3 : i + 4 <= n - 3) {
        float4 v = *(const float4 *)(in + i);
        out[i] = v.x;
        if (WRONG) *(float4 *)(out + i + 4) = v;
    }
}
PAIR(vector_tail)

// Rows of an odd length do not begin at multiples of 16 bytes.
BODY(misaligned_rows) {
    int row = threadIdx.x, c = WRONG ? 7 : 8;
    if (row < 4) {
        float4 v = *(const float4 *)(in + row * c);
        out[blockIdx.x * 4 + row] = v.x + v.y + v.z + v.w;
    }
}
PAIR(misaligned_rows)

BODY(wild_pointer) {
    const float *p = WRONG ? (const float *)(size_t)(n * 4) : in;
    out[blockIdx.x * 64 + threadIdx.x] = p[threadIdx.x];
}
PAIR(wild_pointer)

// A tile with one column more than it has.
BODY(shared_overflow) {
    __shared__ float s[64];
    int t = threadIdx.x;
    s[t] = in[t];
    __syncthreads();
    int next = WRONG ? t + 1 : (t + 1) & 63;
    out[blockIdx.x * 64 + t] = s[next];
}
PAIR(shared_overflow)

BODY(unfilled_tile) {
    __shared__ float s[64];
    int t = threadIdx.x;
    if (t < (WRONG ? 60 : 64)) s[t] = in[t];
    __syncthreads();
    out[blockIdx.x * 64 + t] = s[63 - t];
}
PAIR(unfilled_tile)

// The output is added to although nobody has set it.
BODY(unset_output) {
    int i = blockIdx.x * 64 + threadIdx.x;
    out[i] = WRONG ? out[i] + in[i] : in[i];
}
PAIR(unset_output)

BODY(unset_local) {
    float own[8];
    int t = threadIdx.x;
    for (int k = 0; k < (WRONG ? t % 8 : 8); k++) own[(k + t) % 8] = in[k];
    out[blockIdx.x * 64 + t] = own[(t + (int)(in[t] * 8.f)) % 8];
}
PAIR(unset_local)

// A register that only some lanes set.
BODY(unset_register) {
    int t = threadIdx.x;
    float x;
    if (WRONG) asm volatile("{.reg .pred p; .reg .f32 v; setp.lt.s32 p, %1, 60; @p mov.f32 v, 0f3F800000; mov.f32 %0, v;}" : "=f"(x) : "r"(t));
    else asm volatile("{.reg .pred p; .reg .f32 v; setp.lt.s32 p, %1, 60; mov.f32 v, 0f00000000; @p mov.f32 v, 0f3F800000; mov.f32 %0, v;}" : "=f"(x) : "r"(t));
    out[blockIdx.x * 64 + t] = x;
}
PAIR(unset_register)

// Both blocks write the same places.
BODY(forgotten_block) {
    int i = (WRONG ? 0 : blockIdx.x * 64) + threadIdx.x;
    out[i] = in[i] + blockIdx.x;
}
PAIR(forgotten_block)

// Each block also writes the first element of the next.
BODY(overlapping_blocks) {
    int t = threadIdx.x, i = blockIdx.x * 64 + t;
    out[i] = in[i];
    if (WRONG && t == 63 && i + 1 < n) out[i + 1] = 0.f;
}
PAIR(overlapping_blocks)

// A stencil in place: the neighbour block may have changed what is read. `out` holds the data.
BODY(stencil_in_place) {
    int t = threadIdx.x, i = blockIdx.x * 64 + t;
    float x = WRONG && i > 0 ? out[i - 1] : in[i];
    __syncthreads();
    out[i] = x;
}
PAIR(stencil_in_place)

// A total that one block reads while others still add to it.
BODY(total_too_early) {
    int t = threadIdx.x;
    atomicAdd(out, in[t]);
    if (WRONG && blockIdx.x == 1 && t == 0) out[1] = *(volatile float *)out;
}
PAIR(total_too_early)

// A sum over blocks without atomics.
BODY(plain_sum) {
    if (threadIdx.x == 0) {
        if (WRONG) out[0] += in[blockIdx.x];
        else atomicAdd(out, in[blockIdx.x]);
    }
}
PAIR(plain_sum)

// What was just written is read again through the read-only path.
BODY(stale_read) {
    int i = blockIdx.x * 64 + threadIdx.x;
    out[i] = in[i];
    __syncthreads();
    const float *p = WRONG ? out : in;
    float x = __ldg(p + (i ^ 1));
    __syncthreads();
    if (x > 100.f) out[i] = x;
}
PAIR(stale_read)

BODY(divides_by_zero) {
    int t = threadIdx.x, d = WRONG ? t : t + 1;
    out[blockIdx.x * 64 + t] = (float)(n / d);
}
PAIR(divides_by_zero)

// Waits for a flag that nobody sets.
BODY(waits_for_ever) {
    if (threadIdx.x == 0 && WRONG)
        while (atomicAdd(out, 0.f) < 1.f) {}
    if (threadIdx.x == 1) atomicAdd(out, 0.5f);
}
PAIR(waits_for_ever)

// Columns instead of rows: 32 sectors where 4 would do.
BODY(strided) {
    int t = threadIdx.x;
    if (t < 32 && blockIdx.x == 0) out[t] = in[WRONG ? t * 4 : t];
}
PAIR(strided)

// A transposed tile without padding: every column is one bank.
BODY(unpadded) {
    __shared__ float s[32 * 33];
    int t = threadIdx.x & 31, width = WRONG ? 32 : 33;
    for (int k = threadIdx.x / 32; k < 32; k += 2) s[k * width + t] = in[t] + k;
    __syncthreads();
    float sum = 0.f;
    for (int k = threadIdx.x / 32; k < 32; k += 2) sum += s[t * width + k];
    out[blockIdx.x * 64 + threadIdx.x] = sum;
}
PAIR(unpadded)
