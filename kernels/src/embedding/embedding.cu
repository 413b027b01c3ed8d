// Table lookup and its gradient on CUDA: y[n] = w[ids[n]], dw[ids[n]] += dy[n].
//
// Forward: thread i has one element, neighbouring lanes neighbouring columns of one row: whole sectors where rows are long.
// Backward adds without atomics, so that the order, and with it every bit, is fixed: the first token with an id owns the row of the
// table. A block has one token and 256 columns, one per thread. It looks whether the id came before, and ends if so; else it
// goes through the later ids, 256 at a time, and adds the rows whose id is its own, in their order, to what it holds in registers.
// Each element of dw is then read and written once. Looking costs n²/2 reads of ids, which stay in the second-level cache.

template <class W, class Y>
__device__ void lookup(const W* w, const int* ids, Y* y, Strided ws, Strided is, Strided ys, u32 n, u32 c) {
    u32 i = thread_index(), token = i / c, column = i % c;
    if (i >= n * c) return;
    narrow(widen(w[ws.position(ids[is.position(token)]) + column]), y[ys.position(token) + column]);
}

template <class T, class W>
__device__ void scatter(const T* dy, const int* ids, W* dw, Strided dys, Strided is, Strided dws, u32 n, u32 c) {
    __shared__ u32 hits[8]; // bit l of word w: token 32·w + l of the 256 has this id
    u32 tiles = (c + 255) / 256, token = blockIdx.x / tiles, t = threadIdx.x, column = blockIdx.x % tiles * 256 + t;
    int id = ids[is.position(token)], before = 0;
    for (u32 i = t; i < token; i += 256) before |= ids[is.position(i)] == id;
    if (__syncthreads_or(before)) return;
    W* out = dw + dws.position(id) + column;
    float sum = column < c ? widen(*out) : 0.0f;
    for (u32 base = token; base < n; base += 256) {
        u32 hit = __ballot_sync(0xffffffff, base + t < n && ids[is.position(base + t)] == id);
        if (t % 32 == 0) hits[t / 32] = hit;
        __syncthreads();
        for (u32 word = 0; word < 8; word++) {
            for (u32 bit = 0, bits = hits[word]; bits != 0; bit++, bits /= 2) {
                u32 at = base + word * 32 + bit;
                if (bits % 2 == 1 && column < c) sum += widen(dy[dys.position(at) + column]);
            }
        }
        __syncthreads();
    }
    if (column < c) narrow(sum, *out);
}

#define LOOKUP(SUFFIX, W, Y)                                                                                         \
    extern "C" __global__ void embedding_fwd_##SUFFIX(const W* w, const int* ids, Y* y, Strided ws, Strided is,      \
                                                      Strided ys, u32 n, u32 c) {                                    \
        lookup(w, ids, y, ws, is, ys, n, c);                                                                         \
    }
#define SCATTER(SUFFIX, T, W)                                                                                        \
    extern "C" __global__ void embedding_bwd_##SUFFIX(const T* dy, const int* ids, W* dw, Strided dys, Strided is,   \
                                                      Strided dws, u32 n, u32 c) {                                   \
        scatter(dy, ids, dw, dys, is, dws, n, c);                                                                    \
    }

LOOKUP(f32_f32, float, float)
LOOKUP(f32_bf16, float, bf16)
LOOKUP(bf16_f32, bf16, float)
LOOKUP(bf16_bf16, bf16, bf16)
SCATTER(f32_f32, float, float)
SCATTER(bf16_f32, bf16, float)
SCATTER(bf16_bf16, bf16, bf16)
