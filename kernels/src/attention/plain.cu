// Causal attention on CUDA without tensor cores: for f32, whose digits they would cost, and for heads of more than 128. Head
// sizes up to 256. The formulas are those of `forward.cu` and `backward.cu`.
//
// A warp has one row (a query, or for dk and dv a key) and meets 32 partners at a time, which lie in shared memory for
// the eight neighbouring rows of the block, too. A lane first has a partner: it computes its score alone, reading one row of the
// tile from end to end; rows are an odd number of words long, so that 32 lanes are in 32 banks. Then a lane has columns 32c + lane of
// the result: the partners' weights come by shuffle, one partner after the other, only those that are seen.

const u32 WARPS = 8, TILE = 32;
extern __shared__ __align__(16) float room[];

// `rows` rows from `first` of x, f32, `pitch` apart in shared memory; zeros beyond the end.
template <class T>
__device__ void fill(float* to, u32 pitch, const T* x, u64 stride, u32 first, u32 rows, const Shape& s) {
#pragma unroll 1
    for (u32 index = threadIdx.x; index < rows * s.d; index += 32 * WARPS) {
        u32 row = index / s.d, column = index % s.d;
        to[row * pitch + column] = first + row < s.t ? widen(x[(first + row) * stride + column]) : 0.0f;
    }
}

__device__ inline float dot(const float* a, const float* b, u32 d) {
    float sum = 0.0f;
#pragma unroll 4
    for (u32 i = 0; i < d; i++) sum = fmaf(a[i], b[i], sum);
    return sum;
}

// out[c] += Σ weight·y over the lanes of `seen`, each of which has the weight of its own row of the tile y.
template <u32 N>
__device__ void add_rows(float* out, float weight, u32 seen, const float* y, u32 pitch, u32 d) {
    u32 lane = threadIdx.x % 32;
#pragma unroll 1
    for (; seen; seen &= seen - 1) {
        u32 j = 31 - __clz(seen & -seen); // the lowest of them
        float w = __shfl_sync(0xffffffff, weight, j);
#pragma unroll
        for (u32 c = 0; c < N; c++)
            if (32 * c + lane < d) out[c] = fmaf(w, y[j * pitch + 32 * c + lane], out[c]);
    }
}

template <u32 N, class T>
__device__ void write(T* to, const float* values, float factor, u32 accumulate, u32 d) {
    u32 lane = threadIdx.x % 32;
#pragma unroll
    for (u32 c = 0; c < N; c++) {
        u32 column = 32 * c + lane;
        if (column >= d) continue;
        float value = factor * values[c];
        narrow(accumulate ? widen(to[column]) + value : value, to[column]);
    }
}

// Where a block is: eight rows from `first` on, of head `head` of `heads`.
struct Place {
    u32 batch, head, first, row, lane;

    __device__ Place(u32 t, u32 heads) {
        u32 blocks = (t + WARPS - 1) / WARPS;
        first = blockIdx.x % blocks * WARPS;
        head = blockIdx.x / blocks % heads;
        batch = blockIdx.x / blocks / heads;
        row = first + threadIdx.x / 32;
        lane = threadIdx.x % 32;
    }
};

template <u32 N, class T>
__device__ void forward(const T* q, const T* k, const T* v, T* o, float* lse, Heads qs, Heads ks, Heads vs, Heads os, Shape s,
                        float scale) {
    Place at(s.t, s.h);
    u32 pitch = s.d | 1;
    float *queries = room, *own = queries + at.row % WARPS * s.d;
    float *keys = queries + WARPS * s.d, *values = keys + TILE * pitch;
    q += at.batch * qs.b + at.head * qs.h;
    k += at.batch * ks.b + at.head / s.group * ks.h;
    v += at.batch * vs.b + at.head / s.group * vs.h;
    fill(queries, s.d, q, qs.t, at.first, WARPS, s);
    float out[N] = {}, max = -1.0f / 0.0f, sum = 0.0f;
    u32 last = min(at.first + WARPS, s.t) - 1, base = (at.first > s.window ? at.first - s.window : 0) / TILE * TILE;
    for (; base <= last; base += TILE) {
        __syncthreads();
        fill(keys, pitch, k, ks.t, base, TILE, s);
        fill(values, pitch, v, vs.t, base, TILE, s);
        __syncthreads();
        u32 key = base + at.lane;
        bool seen = s.sees(at.row, key);
        float score = seen ? scale * dot(own, keys + at.lane * pitch, s.d) : -1.0f / 0.0f;
        float next = fmaxf(max, score);
#pragma unroll
        for (int step = 16; step > 0; step /= 2) next = fmaxf(next, __shfl_xor_sync(0xffffffff, next, step));
        float shift = next == -1.0f / 0.0f ? 0.0f : next; // nothing seen so far
        float less = expf(max - shift), weight = expf(score - shift);
        max = next;
        sum = sum * less + warp_sum(weight);
#pragma unroll
        for (u32 c = 0; c < N; c++) out[c] *= less;
        add_rows<N>(out, weight, __ballot_sync(0xffffffff, seen), values, pitch, s.d);
    }
    if (at.row >= s.t) return;
    // no key with a finite score: no softmax
    float part = sum == 0.0f ? __uint_as_float(0x7fc00000) : 1.0f / sum;
    write<N>(o + at.batch * os.b + at.row * os.t + at.head * os.h, out, part, 0, s.d);
    if (at.lane == 0) lse[(at.batch * s.h + at.head) * s.t + at.row] = sum == 0.0f ? part : max + logf(sum);
}

// dq = scale·Σ ds·k, and δ = do·o of every query, for the kernel after this one.
template <u32 N, class T>
__device__ void queries(const T* q, const T* k, const T* v, const T* o, const float* lse, const T* d_o, T* dq, float* delta,
                        Heads qs, Heads ks, Heads vs, Heads os, Heads dos, Heads dqs, Shape s, float scale, u32 accumulate) {
    Place at(s.t, s.h);
    u32 pitch = s.d | 1, self = at.row % WARPS * s.d, stat = (at.batch * s.h + at.head) * s.t + at.row;
    float *qr = room, *dor = qr + WARPS * s.d, *keys = dor + WARPS * s.d, *values = keys + TILE * pitch;
    q += at.batch * qs.b + at.head * qs.h;
    d_o += at.batch * dos.b + at.head * dos.h;
    k += at.batch * ks.b + at.head / s.group * ks.h;
    v += at.batch * vs.b + at.head / s.group * vs.h;
    fill(qr, s.d, q, qs.t, at.first, WARPS, s);
    fill(dor, s.d, d_o, dos.t, at.first, WARPS, s);
    __syncthreads();
    float own_lse = 0.0f, own_delta = 0.0f, out[N] = {};
    if (at.row < s.t) {
        const T* row = o + at.batch * os.b + at.row * os.t + at.head * os.h;
        for (u32 column = at.lane; column < s.d; column += 32) own_delta = fmaf(widen(row[column]), dor[self + column], own_delta);
        own_lse = lse[stat];
    }
    own_delta = warp_sum(own_delta);
    if (at.lane == 0 && at.row < s.t) delta[stat] = own_delta;
    u32 last = min(at.first + WARPS, s.t) - 1, base = (at.first > s.window ? at.first - s.window : 0) / TILE * TILE;
    for (; base <= last; base += TILE) {
        __syncthreads();
        fill(keys, pitch, k, ks.t, base, TILE, s);
        fill(values, pitch, v, vs.t, base, TILE, s);
        __syncthreads();
        bool seen = s.sees(at.row, base + at.lane);
        float weight = expf(scale * dot(qr + self, keys + at.lane * pitch, s.d) - own_lse);
        float ds = seen ? weight * (dot(dor + self, values + at.lane * pitch, s.d) - own_delta) : 0.0f;
        add_rows<N>(out, ds, __ballot_sync(0xffffffff, seen), keys, pitch, s.d);
    }
    if (at.row < s.t) write<N>(dq + at.batch * dqs.b + at.row * dqs.t + at.head * dqs.h, out, scale, accumulate, s.d);
}

// dk = scale·Σ ds·q and dv = Σ p·do, over the queries that see the key, of all heads that share it: head after head, so that the
// order of the sums is fixed.
template <u32 N, class T>
__device__ void keys(const T* q, const T* k, const T* v, const float* lse, const float* delta, const T* d_o, T* dk, T* dv,
                     Heads qs, Heads ks, Heads vs, Heads dos, Heads dks, Heads dvs, Shape s, float scale, u32 accumulate) {
    Place at(s.t, s.h / s.group);
    u32 pitch = s.d | 1, self = at.row % WARPS * s.d;
    float *kr = room, *vr = kr + WARPS * s.d, *qt = vr + WARPS * s.d, *dor = qt + TILE * pitch;
    k += at.batch * ks.b + at.head * ks.h;
    v += at.batch * vs.b + at.head * vs.h;
    fill(kr, s.d, k, ks.t, at.first, WARPS, s);
    fill(vr, s.d, v, vs.t, at.first, WARPS, s);
    float sum_k[N] = {}, sum_v[N] = {};
    u32 last = min(at.first + WARPS, s.t) - 1, end = min((u64)s.t, (u64)last + s.window + 1);
    for (u32 head = at.head * s.group; head < (at.head + 1) * s.group; head++) {
        const T *qh = q + at.batch * qs.b + head * qs.h, *doh = d_o + at.batch * dos.b + head * dos.h;
        u32 stats = (at.batch * s.h + head) * s.t;
        for (u32 base = at.first / TILE * TILE; base < end; base += TILE) {
            __syncthreads();
            fill(qt, pitch, qh, qs.t, base, TILE, s);
            fill(dor, pitch, doh, dos.t, base, TILE, s);
            __syncthreads();
            u32 query = base + at.lane;
            bool seen = s.sees(query, at.row);
            float own_lse = seen ? lse[stats + query] : 0.0f, own_delta = seen ? delta[stats + query] : 0.0f;
            float weight = seen ? expf(scale * dot(kr + self, qt + at.lane * pitch, s.d) - own_lse) : 0.0f;
            float ds = seen ? weight * (dot(vr + self, dor + at.lane * pitch, s.d) - own_delta) : 0.0f;
            u32 all = __ballot_sync(0xffffffff, seen);
            add_rows<N>(sum_v, weight, all, dor, pitch, s.d);
            add_rows<N>(sum_k, ds, all, qt, pitch, s.d);
        }
    }
    if (at.row >= s.t) return;
    write<N>(dk + at.batch * dks.b + at.row * dks.t + at.head * dks.h, sum_k, scale, accumulate, s.d);
    write<N>(dv + at.batch * dvs.b + at.row * dvs.t + at.head * dvs.h, sum_v, 1.0f, accumulate, s.d);
}

// For head sizes up to 32·N.
#define PLAIN(SUFFIX, T, N)                                                                                               \
    extern "C" __global__ void __launch_bounds__(256)                                                                     \
        attention_fwd_##SUFFIX(const T* q, const T* k, const T* v, T* o, float* lse, Heads qs, Heads ks, Heads vs,        \
                               Heads os, Shape s, float scale) {                                                          \
        forward<N, T>(q, k, v, o, lse, qs, ks, vs, os, s, scale);                                                         \
    }                                                                                                                     \
    extern "C" __global__ void __launch_bounds__(256)                                                                     \
        attention_bwd_q_##SUFFIX(const T* q, const T* k, const T* v, const T* o, const float* lse, const T* d_o, T* dq,   \
                                 float* delta, Heads qs, Heads ks, Heads vs, Heads os, Heads dos, Heads dqs, Shape s,     \
                                 float scale, u32 accumulate) {                                                           \
        queries<N, T>(q, k, v, o, lse, d_o, dq, delta, qs, ks, vs, os, dos, dqs, s, scale, accumulate);                   \
    }                                                                                                                     \
    extern "C" __global__ void __launch_bounds__(256)                                                                     \
        attention_bwd_k_##SUFFIX(const T* q, const T* k, const T* v, const float* lse, const float* delta, const T* d_o,  \
                                 T* dk, T* dv, Heads qs, Heads ks, Heads vs, Heads dos, Heads dks, Heads dvs, Shape s,    \
                                 float scale, u32 accumulate) {                                                           \
        keys<N, T>(q, k, v, lse, delta, d_o, dk, dv, qs, ks, vs, dos, dks, dvs, s, scale, accumulate);                    \
    }

PLAIN(f32_128, float, 4)
PLAIN(f32_256, float, 8)
PLAIN(bf16_256, bf16, 8)
