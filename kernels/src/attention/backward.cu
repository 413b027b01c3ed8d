// Causal attention on CUDA, backward, on tensor cores. With p = exp(s − lse) computed again from what forward saved:
//
//   δ = do·o, dv = Σ p·do, ds = p·(do·v − δ), dq = scale·Σ ds·k, dk = scale·Σ ds·q.
//
// Two kernels, so that every sum has one owner and one order, and no block waits for another: the first has 64 queries to a block
// and meets 32 keys at a time; it makes dq, and δ for the second, which has 64 keys to a block and meets 32 queries at a
// time, of all heads that share the keys. Scores and do·v are computed twice: seven products where a kernel
// with atomic additions makes five, and the same bits in every run.
//
// Both are one picture. A warp has 16 rows x of a stationary pair of tiles (q and do, or k and v) and meets 32 rows y of a moving pair
// (k and v, or q and do): first x₁·y₁ᵀ and x₂·y₂ᵀ, whose sums are p and ds, then these times the moving tiles. All four tiles
// lie in shared memory; p and ds never leave the registers, and are rounded to bf16 once.

const u32 ROWS = 64, STEP = 32;
extern __shared__ __align__(128) bf16 tiles[];

// Lane's numbers of a 16 × 32 product: rows g and g + 8, columns 8n + 2t and the next.
typedef float Scores[STEP / 8][4];

// Rows own..own + 16 of x times all rows of y.
template <u32 D>
__device__ void products(const Tile<D>& x, u32 own, const Tile<D>& y, Scores out) {
#pragma unroll
    for (u32 i = 0; i < D; i += 16) {
        u32 left[4], right[4];
        x.template fragment<false>(own, i, left);
#pragma unroll
        for (u32 n = 0; n < STEP; n += 16) {
            y.columns(n, i, right);
            mma(out[n / 8], left, right);
            mma(out[n / 8 + 1], left, right + 2);
        }
    }
}

// sums += w·y: the warp's 16 × 32 weights times 32 rows.
template <u32 D>
__device__ void add(float (*sums)[4], const Scores w, const Tile<D>& y) {
#pragma unroll
    for (u32 n = 0; n < STEP; n += 16) {
        u32 left[4], right[4];
        as_left(w + n / 8, left);
#pragma unroll
        for (u32 c = 0; c < D; c += 16) {
            y.template fragment<true>(n, c, right);
            mma(sums[c / 8], left, right);
            mma(sums[c / 8 + 1], left, right + 2);
        }
    }
}

// Which of the lane's pairs of a row x and a row y see each other, a bit each; x is a query, or (`keys`) a key.
template <bool keys>
__device__ u32 seen(u32 x, u32 y, const Shape& s) {
    u32 bits = 0;
#pragma unroll 1
    for (u32 bit = 0; bit < STEP / 2; bit++) {
        u32 row = x + threadIdx.x % 32 / 4 + bit / 2 % 2 * 8, column = y + bit / 4 * 8 + 2 * (threadIdx.x % 4) + bit % 2;
        bits |= ((keys ? s.sees(column, row) : s.sees(row, column)) ? 1u : 0u) << bit;
    }
    return bits;
}

// The warp's 16 rows of the result, by way of its own rows of a tile that nobody reads any more, so that eight lanes write 64
// bytes of a row. What is there is added before the one rounding, so the sums go out in f32, half of the columns at a time.
template <u32 D>
__device__ void write(float (*sums)[4], float factor, bf16* to, u64 stride, u32 first, u32 own, const Tile<D>& room, const Shape& s,
                      u32 accumulate) {
    const u32 HALF = D / 2;
    u32 lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    float* rows = (float*)(room.at + own * D);
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        __syncwarp();
#pragma unroll
        for (u32 c = 0; c < HALF / 8; c++) {
#pragma unroll
            for (u32 r = 0; r < 2; r++) {
                u32 row = g + 8 * r;
                const float* from = sums[half * (HALF / 8) + c] + 2 * r;
                // four rows of a group of eight columns are in four different groups of banks
                *(Pack<float, 2>*)(rows + row * HALF + (8 * c + 2 * t ^ row % 4 * 8)) = {{factor * from[0], factor * from[1]}};
            }
        }
        __syncwarp();
#pragma unroll 1
        for (u32 index = lane; index < 16 * (HALF / 4); index += 32) {
            u32 row = index / (HALF / 4), c = index % (HALF / 4) * 4, column = half * HALF + c;
            if (first + own + row >= s.t || column >= s.d) continue;
            Pack<float, 4> values = *(const Pack<float, 4>*)(rows + row * HALF + (c ^ row % 4 * 8));
            bf16* out = to + (first + own + row) * stride + column;
            if (s.packs) {
                Pack<bf16, 4> pack = {};
                if (accumulate) pack = *(Pack<bf16, 4>*)out;
#pragma unroll
                for (u32 j = 0; j < 4; j++) narrow(accumulate ? widen(pack.at[j]) + values.at[j] : values.at[j], pack.at[j]);
                *(Pack<bf16, 4>*)out = pack;
            } else {
#pragma unroll
                for (u32 j = 0; j < 4; j++)
                    if (column + j < s.d) narrow(accumulate ? widen(out[j]) + values.at[j] : values.at[j], out[j]);
            }
        }
    }
}

const float LOG2E = 1.44269504f;

template <u32 D>
__device__ void queries(const bf16* q, const bf16* k, const bf16* v, const bf16* o, const float* lse, const bf16* d_o, bf16* dq,
                        float* delta, Heads qs, Heads ks, Heads vs, Heads os, Heads dos, Heads dqs, Shape s, float scale,
                        u32 accumulate) {
    Tile<D> qt = {tiles}, dot = {tiles + ROWS * D}, kt = {tiles + 2 * ROWS * D}, vt = {tiles + 2 * ROWS * D + STEP * D};
    u32 blocks = (s.t + ROWS - 1) / ROWS, block = blocks - 1 - blockIdx.x % blocks, head = blockIdx.x / blocks % s.h;
    u32 batch = blockIdx.x / blocks / s.h, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    u32 first = block * ROWS, own = threadIdx.x / 32 * 16, stats = (batch * s.h + head) * s.t;
    q += batch * qs.b + head * qs.h;
    o += batch * os.b + head * os.h;
    d_o += batch * dos.b + head * dos.h;
    k += batch * ks.b + head / s.group * ks.h;
    v += batch * vs.b + head / s.group * vs.h;

    // δ of the warp's rows: o comes into the tile where q will be
    dot.fill(ROWS, d_o, dos.t, first, s.t, s.d, s.packs);
    qt.fill(ROWS, o, os.t, first, s.t, s.d, s.packs);
    commit();
    arrived<0>();
    __syncthreads();
    float row_delta[2], row_lse[2];
#pragma unroll
    for (u32 r = 0; r < 2; r++) {
        u32 row = own + g + 8 * r, i = first + row;
        float sum = 0.0f;
        // a lane has every fourth pair of columns
#pragma unroll
        for (u32 c = 0; c < D; c += 8) {
            u32 a = *(const u32*)(dot.at + dot.place(row, c + 2 * t)), b = *(const u32*)(qt.at + qt.place(row, c + 2 * t));
            sum = fmaf(__uint_as_float(a << 16), __uint_as_float(b << 16), sum);
            sum = fmaf(__uint_as_float(a & 0xffff0000), __uint_as_float(b & 0xffff0000), sum);
        }
        sum += __shfl_xor_sync(0xffffffff, sum, 1);
        row_delta[r] = sum + __shfl_xor_sync(0xffffffff, sum, 2);
        row_lse[r] = i < s.t ? lse[stats + i] : 0.0f;
        if (t == 0 && i < s.t) delta[stats + i] = row_delta[r];
    }
    __syncthreads();
    qt.fill(ROWS, q, qs.t, first, s.t, s.d, s.packs);

    float sums[D / 8][4] = {};
    u32 last = min(first + ROWS, s.t) - 1, base = (first > s.window ? first - s.window : 0) / STEP * STEP;
    for (; base <= last; base += STEP) {
        kt.fill(STEP, k, ks.t, base, s.t, s.d, s.packs);
        vt.fill(STEP, v, vs.t, base, s.t, s.d, s.packs);
        commit();
        arrived<0>();
        __syncthreads();
        Scores p = {}, dp = {};
        products(qt, own, kt, p);
        products(dot, own, vt, dp);
        bool whole = base + STEP - 1 <= first && first + ROWS - 1 - base <= s.window;
#pragma unroll
        for (u32 n = 0; n < STEP / 8; n++) {
#pragma unroll
            for (u32 j = 0; j < 4; j++) {
                u32 i = first + own + g + j / 2 * 8, key = base + 8 * n + 2 * t + j % 2;
                float weight = exp2_fast((p[n][j] * scale - row_lse[j / 2]) * LOG2E);
                p[n][j] = whole || s.sees(i, key) ? weight * (dp[n][j] - row_delta[j / 2]) : 0.0f;
            }
        }
        if (!whole && __syncthreads_or(!kt.finite(STEP)))
            add_seen<STEP / 8>(sums, p, seen<false>(first + own, base, s), kt);
        else
            add(sums, p, kt);
        __syncthreads(); // the tiles have been read
    }
    write<D>(sums, scale, dq + batch * dqs.b + head * dqs.h, dqs.t, first, own, qt, s, accumulate);
}

template <u32 D>
__device__ void keys(const bf16* q, const bf16* k, const bf16* v, const float* lse, const float* delta, const bf16* d_o, bf16* dk,
                     bf16* dv, Heads qs, Heads ks, Heads vs, Heads dos, Heads dks, Heads dvs, Shape s, float scale,
                     u32 accumulate) {
    Tile<D> kt = {tiles}, vt = {tiles + ROWS * D}, qt = {tiles + 2 * ROWS * D}, dot = {tiles + 2 * ROWS * D + STEP * D};
    u32 blocks = (s.t + ROWS - 1) / ROWS, block = blockIdx.x % blocks, kv_heads = s.h / s.group;
    u32 kv_head = blockIdx.x / blocks % kv_heads, batch = blockIdx.x / blocks / kv_heads;
    u32 lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, first = block * ROWS, own = threadIdx.x / 32 * 16;
    kt.fill(ROWS, k + batch * ks.b + kv_head * ks.h, ks.t, first, s.t, s.d, s.packs);
    vt.fill(ROWS, v + batch * vs.b + kv_head * vs.h, vs.t, first, s.t, s.d, s.packs);

    float sum_k[D / 8][4] = {}, sum_v[D / 8][4] = {};
    u32 last = min(first + ROWS, s.t) - 1, end = (u32)min((u64)s.t, (u64)last + s.window + 1);
    for (u32 head = kv_head * s.group; head < (kv_head + 1) * s.group; head++) {
        const bf16 *qh = q + batch * qs.b + head * qs.h, *doh = d_o + batch * dos.b + head * dos.h;
        u32 stats = (batch * s.h + head) * s.t;
        for (u32 base = first; base < end; base += STEP) {
            qt.fill(STEP, qh, qs.t, base, s.t, s.d, s.packs);
            dot.fill(STEP, doh, dos.t, base, s.t, s.d, s.packs);
            commit();
            arrived<0>();
            __syncthreads();
            Scores p = {}, dp = {};
            products(kt, own, qt, p);
            products(vt, own, dot, dp);
            bool whole = first + ROWS - 1 <= base && base + STEP <= s.t && base + STEP - 1 - first <= s.window;
#pragma unroll
            for (u32 n = 0; n < STEP / 8; n++) {
#pragma unroll
                for (u32 e = 0; e < 2; e++) {
                    u32 i = base + 8 * n + 2 * t + e; // a query, which has a column here
                    float its_lse = i < s.t ? lse[stats + i] : 0.0f, its_delta = i < s.t ? delta[stats + i] : 0.0f;
#pragma unroll
                    for (u32 r = 0; r < 2; r++) {
                        u32 j = 2 * r + e, key = first + own + g + 8 * r;
                        bool sees = whole || s.sees(i, key);
                        float weight = exp2_fast((p[n][j] * scale - its_lse) * LOG2E);
                        p[n][j] = sees ? weight : 0.0f;
                        dp[n][j] = sees ? weight * (dp[n][j] - its_delta) : 0.0f;
                    }
                }
            }
            bool apart = !whole && __syncthreads_or(!(qt.finite(STEP) && dot.finite(STEP)));
            if (apart) {
                u32 bits = seen<true>(first + own, base, s);
                add_seen<STEP / 8>(sum_v, p, bits, dot);
                add_seen<STEP / 8>(sum_k, dp, bits, qt);
            } else {
                add(sum_v, p, dot);
                add(sum_k, dp, qt);
            }
            __syncthreads(); // the tiles have been read
        }
    }
    write<D>(sum_k, scale, dk + batch * dks.b + kv_head * dks.h, dks.t, first, own, kt, s, accumulate);
    write<D>(sum_v, 1.0f, dv + batch * dvs.b + kv_head * dvs.h, dvs.t, first, own, vt, s, accumulate);
}

#define BACKWARD(D)                                                                                                    \
    extern "C" __global__ void __launch_bounds__(128)                                                                  \
        attention_bwd_q_##D(const bf16* q, const bf16* k, const bf16* v, const bf16* o, const float* lse,              \
                            const bf16* d_o, bf16* dq, float* delta, Heads qs, Heads ks, Heads vs, Heads os,           \
                            Heads dos, Heads dqs, Shape s, float scale, u32 accumulate) {                              \
        queries<D>(q, k, v, o, lse, d_o, dq, delta, qs, ks, vs, os, dos, dqs, s, scale, accumulate);                   \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(128)                                                                  \
        attention_bwd_k_##D(const bf16* q, const bf16* k, const bf16* v, const float* lse, const float* delta,         \
                            const bf16* d_o, bf16* dk, bf16* dv, Heads qs, Heads ks, Heads vs, Heads dos, Heads dks,   \
                            Heads dvs, Shape s, float scale, u32 accumulate) {                                         \
        keys<D>(q, k, v, lse, delta, d_o, dk, dv, qs, ks, vs, dos, dks, dvs, s, scale, accumulate);                    \
    }

BACKWARD(64)
BACKWARD(128)
