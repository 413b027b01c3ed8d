// Causal attention on CUDA, forward, on tensor cores, in the manner of FlashAttention-2 (Dao 2023):
//
//   s = scale·q·kᵀ, lse = ln Σ exp(s), o = Σ exp(s − lse)·v, over the keys j that query i sees: j ≤ i and i − j ≤ window.
//
// A block has 64 queries of one head, a warp 16 of them, and meets 64 keys at a time: the keys it may see, none beyond. Queries
// stay in registers, keys and values in one tile of shared memory each. While the weights of a tile are computed its values
// and the next keys are on their way (cp.async), while weights and values are multiplied the next values are.
//
// The online softmax keeps, per query, the maximum m so far and the sum l of exp(s − m); when m grows, l and the sums of o are
// scaled down. Weights leave the registers in which their sums were made and enter the second product there, rounded to bf16
// once; l sums them unrounded. Head sizes up to 64 and up to 128; smaller ones are filled up with zeros.

const u32 ROWS = 64; // queries of a block, and keys of a tile
extern __shared__ __align__(128) bf16 tiles[];

// Of a row's four lanes.
__device__ inline float row_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffff, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffff, x, 2));
}
__device__ inline float row_sum(float x) {
    x += __shfl_xor_sync(0xffffffff, x, 1);
    return x + __shfl_xor_sync(0xffffffff, x, 2);
}

template <u32 D>
__device__ void forward(const bf16* q, const bf16* k, const bf16* v, bf16* o, float* lse, Heads qs, Heads ks, Heads vs, Heads os,
                        Shape s, float scale) {
    Tile<D> queries = {tiles}, keys = {tiles + ROWS * D}, values = {tiles + 2 * ROWS * D};
    // the last queries have most to do and begin first
    u32 blocks = (s.t + ROWS - 1) / ROWS, block = blocks - 1 - blockIdx.x % blocks, head = blockIdx.x / blocks % s.h;
    u32 batch = blockIdx.x / blocks / s.h, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    q += batch * qs.b + head * qs.h;
    k += batch * ks.b + head / s.group * ks.h;
    v += batch * vs.b + head / s.group * vs.h;
    u32 first = block * ROWS, own = threadIdx.x / 32 * 16; // of the block's queries; of the warp's in it
    u32 tile = (first > s.window ? first - s.window : 0) / ROWS;

    queries.fill(ROWS, q, qs.t, first, s.t, s.d, s.packs);
    keys.fill(ROWS, k, ks.t, tile * ROWS, s.t, s.d, s.packs);
    commit();
    arrived<0>();
    __syncthreads();
    u32 left[D / 16][4];
#pragma unroll
    for (u32 i = 0; i < D / 16; i++) queries.template fragment<false>(own, 16 * i, left[i]);
    values.fill(ROWS, v, vs.t, tile * ROWS, s.t, s.d, s.packs);
    commit();

    float out[D / 8][4] = {}, max[2] = {-1.0f / 0.0f, -1.0f / 0.0f}, sum[2] = {0.0f, 0.0f};
    float to_log2 = scale * 1.44269504f; // powers of two are what the hardware has
    for (; tile <= block; tile++) {
        float p[ROWS / 8][4] = {};
#pragma unroll
        for (u32 n = 0; n < ROWS; n += 16) {
#pragma unroll
            for (u32 i = 0; i < D / 16; i++) {
                u32 right[4];
                keys.columns(n, 16 * i, right);
                mma(p[n / 8], left[i], right);
                mma(p[n / 8 + 1], left[i], right + 2);
            }
        }
        __syncthreads(); // the keys have been read
        if (tile < block) keys.fill(ROWS, k, ks.t, (tile + 1) * ROWS, s.t, s.d, s.packs);
        commit();

        bool whole = tile < block && first + ROWS - 1 - tile * ROWS <= s.window; // do all see all?
        float next[2] = {max[0], max[1]};
#pragma unroll
        for (u32 n = 0; n < ROWS / 8; n++) {
#pragma unroll
            for (u32 j = 0; j < 4; j++) {
                u32 i = first + own + g + j / 2 * 8, key = tile * ROWS + 8 * n + 2 * t + j % 2;
                p[n][j] *= to_log2;
                if (!whole && (key > i || i - key > s.window)) p[n][j] = -1.0f / 0.0f;
                next[j / 2] = fmaxf(next[j / 2], p[n][j]);
            }
        }
        float shift[2];
#pragma unroll
        for (u32 r = 0; r < 2; r++) {
            next[r] = row_max(next[r]);
            shift[r] = next[r] == -1.0f / 0.0f ? 0.0f : next[r]; // nothing seen so far: −∞ − (−∞) would be NaN
            float less = exp2_fast(max[r] - shift[r]);
            max[r] = next[r];
            sum[r] *= less;
#pragma unroll
            for (u32 c = 0; c < D / 8; c++) {
                out[c][2 * r] *= less;
                out[c][2 * r + 1] *= less;
            }
        }
#pragma unroll
        for (u32 n = 0; n < ROWS / 8; n++) {
#pragma unroll
            for (u32 j = 0; j < 4; j++) {
                p[n][j] = exp2_fast(p[n][j] - shift[j / 2]);
                sum[j / 2] += p[n][j];
            }
        }

        arrived<1>(); // the values; the next keys may still be on their way
        __syncthreads();
        if (!whole && __syncthreads_or(!values.finite(ROWS))) {
            // a value that nobody sees must not reach anybody by 0·∞ or 0·NaN
            u32 seen = 0;
#pragma unroll 1
            for (u32 bit = 0; bit < ROWS / 2; bit++) {
                u32 i = first + own + g + bit / 2 % 2 * 8, key = tile * ROWS + bit / 4 * 8 + 2 * t + bit % 2;
                seen |= (s.sees(i, key) ? 1u : 0u) << bit;
            }
            add_seen<ROWS / 8>(out, p, seen, values);
        } else {
#pragma unroll
            for (u32 n = 0; n < ROWS; n += 16) {
                u32 weights[4];
                as_left(p + n / 8, weights);
#pragma unroll
                for (u32 c = 0; c < D; c += 16) {
                    u32 right[4];
                    values.template fragment<true>(n, c, right);
                    mma(out[c / 8], weights, right);
                    mma(out[c / 8 + 1], weights, right + 2);
                }
            }
        }
        __syncthreads(); // the values have been read
        if (tile < block) values.fill(ROWS, v, vs.t, (tile + 1) * ROWS, s.t, s.d, s.packs);
        commit();
        arrived<1>(); // the next keys
        __syncthreads();
    }

    // The warp's own rows of the queries' tile turn the results, so that each lane writes 16 bytes of a row.
    float nan = __uint_as_float(0x7fc00000);
#pragma unroll
    for (u32 r = 0; r < 2; r++) {
        u32 row = own + g + 8 * r, i = first + row;
        float total = row_sum(sum[r]), part = total == 0.0f ? nan : 1.0f / total;
#pragma unroll
        for (u32 c = 0; c < D / 8; c++)
            *(u32*)(queries.at + queries.place(row, 8 * c + 2 * t)) = pair(out[c][2 * r] * part, out[c][2 * r + 1] * part);
        if (t == 0 && i < s.t)
            lse[(batch * s.h + head) * s.t + i] = total == 0.0f ? nan : max[r] * 0.693147181f + logf(total);
    }
    __syncwarp();
    o += batch * os.b + head * os.h;
#pragma unroll 1
    for (u32 index = lane; index < 16 * (D / 8); index += 32) {
        u32 row = own + index / (D / 8), column = index % (D / 8) * 8;
        if (first + row >= s.t || column >= s.d) continue;
        bf16* to = o + (first + row) * os.t + column;
        const bf16* from = queries.at + queries.place(row, column);
        if (s.packs) {
            *(Pack<bf16, 8>*)to = *(const Pack<bf16, 8>*)from;
        } else {
#pragma unroll 1
            for (u32 j = 0; j < 8 && column + j < s.d; j++) to[j] = from[j];
        }
    }
}

#define FORWARD(D)                                                                                                     \
    extern "C" __global__ void __launch_bounds__(128)                                                                  \
        attention_fwd_##D(const bf16* q, const bf16* k, const bf16* v, bf16* o, float* lse, Heads qs, Heads ks,        \
                          Heads vs, Heads os, Shape s, float scale) {                                                  \
        forward<D>(q, k, v, o, lse, qs, ks, vs, os, s, scale);                                                         \
    }

FORWARD(64)
FORWARD(128)
