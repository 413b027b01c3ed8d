// Attention over a key/value cache in pages on CUDA, split over the cache (as in "Flash-Decoding", Dao et al. 2023): a new
// token has one query per head, too few to keep a GPU busy, but a thousand keys.
//
// First kernel: a block has one query token, up to four query heads that share a key head, and one chunk of 256 positions of
// the cache; a warp has one of the heads. Keys and values come 32 at a time into shared memory as f32; a lane computes the score of one
// key, rows being an odd number of words long, and then has columns 32c + lane of the result. It leaves the maximum m of its
// scores, l = Σ exp(s − m) and Σ exp(s − m)·v, not yet divided.
// Second kernel: a warp has one query and joins its chunks in their order.
//
// Chunks and tiles are counted in positions of the sequence. So the bits of a result depend on its query, its
// position and what it sees; not on the batch, the number of queries, or how the cache is cut into pages.

// Elements between neighbours: batch, token, head of q and o; page, slot, head of the caches; row and column of the indices.
struct Steps {
    u64 q[3], k[3], v[3], o[3], table[2], positions[2];
};
struct Shape {
    u32 t, h, group, d, page_len, window, chunks; // tokens, query heads, how many share a key's, D, slots of a page, …, chunks
};

const u32 CHUNK = 256, TILE = 32, WARPS = 4;
extern __shared__ __align__(16) float room[];

// The positions that a query sees in one chunk, if any.
struct Span {
    u32 begin, end;
    __device__ Span(u32 position, u32 window, u32 chunk) {
        begin = max(position > window ? position - window : 0, chunk * CHUNK);
        end = min(position + 1, (chunk + 1) * CHUNK);
    }
};

template <u32 N, class T>
__device__ void chunk(const T* q, const T* k, const T* v, const int* table, const int* positions, float* parts, const Steps& by,
                      const Shape& s, float scale) {
    u32 slices = (s.group + WARPS - 1) / WARPS, index = blockIdx.x;
    u32 part = index % s.chunks, slice = index / s.chunks % slices, kv_heads = s.h / s.group;
    u32 kv_head = index / s.chunks / slices % kv_heads, token = index / s.chunks / slices / kv_heads;
    u32 batch = token / s.t, step = token % s.t, lane = threadIdx.x % 32, member = slice * WARPS + threadIdx.x / 32;
    u32 head = kv_head * s.group + member, pitch = s.d | 1;
    bool used = member < s.group;
    Span span((u32)positions[batch * by.positions[0] + step * by.positions[1]], s.window, part);
    if (span.begin >= span.end) return;

    float *keys = room, *values = keys + TILE * pitch, *own = values + TILE * pitch + threadIdx.x / 32 * s.d;
    if (used)
        for (u32 i = lane; i < s.d; i += 32) own[i] = widen(q[batch * by.q[0] + step * by.q[1] + head * by.q[2] + i]);
    float out[N] = {}, max = -1.0f / 0.0f, sum = 0.0f;
    for (u32 base = span.begin / TILE * TILE; base < span.end; base += TILE) {
        __syncthreads();
        for (u32 i = threadIdx.x; i < TILE * s.d; i += 32 * WARPS) {
            u32 row = i / s.d, column = i % s.d, at = base + row;
            if (at < span.begin || at >= span.end) continue;
            u64 page = (u32)table[batch * by.table[0] + at / s.page_len * by.table[1]], slot = at % s.page_len;
            keys[row * pitch + column] = widen(k[page * by.k[0] + slot * by.k[1] + kv_head * by.k[2] + column]);
            values[row * pitch + column] = widen(v[page * by.v[0] + slot * by.v[1] + kv_head * by.v[2] + column]);
        }
        __syncthreads();
        if (!used) continue;
        bool seen = base + lane >= span.begin && base + lane < span.end;
        float score = -1.0f / 0.0f;
        if (seen) {
            float dot = 0.0f;
            for (u32 i = 0; i < s.d; i++) dot = fmaf(own[i], keys[lane * pitch + i], dot);
            score = scale * dot;
        }
        float next = fmaxf(max, score);
#pragma unroll
        for (int step = 16; step > 0; step /= 2) next = fmaxf(next, __shfl_xor_sync(0xffffffff, next, step));
        float shift = next == -1.0f / 0.0f ? 0.0f : next; // nothing seen so far but −∞
        float less = expf(max - shift), weight = expf(score - shift);
        max = next;
        sum = sum * less + warp_sum(weight);
#pragma unroll
        for (u32 c = 0; c < N; c++) out[c] *= less;
        for (u32 all = __ballot_sync(0xffffffff, seen); all; all &= all - 1) {
            u32 j = 31 - __clz(all & -all);
            float w = __shfl_sync(0xffffffff, weight, j);
#pragma unroll
            for (u32 c = 0; c < N; c++)
                if (32 * c + lane < s.d) out[c] = fmaf(w, values[j * pitch + 32 * c + lane], out[c]);
        }
    }
    if (!used) return;
    parts += ((u64)(token * s.h + head) * s.chunks + part) * (s.d + 2);
    if (lane == 0) {
        parts[0] = max;
        parts[1] = sum;
    }
#pragma unroll
    for (u32 c = 0; c < N; c++)
        if (32 * c + lane < s.d) parts[2 + 32 * c + lane] = out[c];
}

template <u32 N, class T>
__device__ void join(const float* parts, const int* positions, T* o, const Steps& by, const Shape& s, u32 queries) {
    u32 query = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (query >= queries) return;
    u32 token = query / s.h, head = query % s.h, batch = token / s.t, step = token % s.t;
    u32 position = positions[batch * by.positions[0] + step * by.positions[1]];
    float out[N] = {}, max = -1.0f / 0.0f, sum = 0.0f;
    for (u32 part = (position > s.window ? position - s.window : 0) / CHUNK; part <= position / CHUNK; part++) {
        const float* from = parts + ((u64)query * s.chunks + part) * (s.d + 2);
        float next = fmaxf(max, from[0]), shift = next == -1.0f / 0.0f ? 0.0f : next;
        float less = expf(max - shift), weight = expf(from[0] - shift);
        max = next;
        sum = sum * less + weight * from[1];
#pragma unroll
        for (u32 c = 0; c < N; c++)
            if (32 * c + lane < s.d) out[c] = out[c] * less + weight * from[2 + 32 * c + lane];
    }
    // no key with a finite score: no softmax
    float share = sum == 0.0f ? __uint_as_float(0x7fc00000) : 1.0f / sum;
    o += batch * by.o[0] + step * by.o[1] + head * by.o[2];
#pragma unroll
    for (u32 c = 0; c < N; c++)
        if (32 * c + lane < s.d) narrow(out[c] * share, o[32 * c + lane]);
}

// pages[page_table[b][pos / page_len]][pos % page_len] = x[b, t]: a block per token. Where a later token goes to the same slot, it is
// the one that stays, and the earlier writes nothing.
template <class T>
__device__ void append(const T* x, const int* table, const int* positions, T* pages, const Steps& by, const Shape& s, u32 tokens) {
    u32 token = blockIdx.x;
    auto slot = [&](u32 token) {
        u32 at = positions[token / s.t * by.positions[0] + token % s.t * by.positions[1]];
        u32 page = table[token / s.t * by.table[0] + at / s.page_len * by.table[1]];
        return (u64)page * s.page_len + at % s.page_len;
    };
    u64 own = slot(token);
    bool later = false;
    for (u32 other = token + 1 + threadIdx.x; other < tokens; other += blockDim.x) later = later || slot(other) == own;
    if (__syncthreads_or(later)) return;
    x += token / s.t * by.q[0] + token % s.t * by.q[1];
    pages += own / s.page_len * by.k[0] + own % s.page_len * by.k[1];
    for (u32 i = threadIdx.x; i < s.h * s.d; i += blockDim.x)
        pages[i / s.d * by.k[2] + i % s.d] = x[i / s.d * by.q[2] + i % s.d];
}

// For head sizes up to 32·N.
#define PAGED(SUFFIX, T, N)                                                                                              \
    extern "C" __global__ void __launch_bounds__(128)                                                                    \
        paged_attention_##SUFFIX(const T* q, const T* k, const T* v, const int* table, const int* positions,             \
                                 float* parts, Steps by, Shape s, float scale) {                                         \
        chunk<N, T>(q, k, v, table, positions, parts, by, s, scale);                                                     \
    }                                                                                                                    \
    extern "C" __global__ void paged_attention_join_##SUFFIX(const float* parts, const int* positions, T* o, Steps by,   \
                                                             Shape s, u32 queries) {                                     \
        join<N, T>(parts, positions, o, by, s, queries);                                                                 \
    }

PAGED(f32_128, float, 4)
PAGED(f32_256, float, 8)
PAGED(bf16_128, bf16, 4)
PAGED(bf16_256, bf16, 8)

extern "C" __global__ void kv_append_f32(const float* x, const int* table, const int* positions, float* pages, Steps by, Shape s,
                                         u32 tokens) {
    append(x, table, positions, pages, by, s, tokens);
}
extern "C" __global__ void kv_append_bf16(const bf16* x, const int* table, const int* positions, bf16* pages, Steps by, Shape s,
                                          u32 tokens) {
    append(x, table, positions, pages, by, s, tokens);
}
