// y_t = x_t + g_t·x_{t−1} on CUDA, and its gradients. Rows are those of all sequences, T of each: row r is position r mod T. A
// thread has a pack; for dg a warp has a row. `prev` is what came before position 0, or null.

template <class T>
struct Before {
    const T* x;
    const T* prev;
    Strided xs, ps;
    u32 t;

    // The row before row r; null if there is none.
    __device__ const T* of(u32 r) const {
        if (r % t != 0) return x + xs.position(r - 1);
        return prev ? prev + ps.position(r / t) : nullptr;
    }
};

#define FORWARD(SUFFIX, T, N)                                                                                              \
    extern "C" __global__ void smear_fwd_##SUFFIX(const T* x, T* y, const T* g, const T* prev, Strided xs, Strided ys,     \
                                                  Strided gs, Strided ps, u32 rows, u32 c, u32 t) {                        \
        Place at(rows, c / N);                                                                                             \
        if (!at.inside) return;                                                                                            \
        float own[N], old[N];                                                                                              \
        load<T, N>(x + xs.position(at.row), at.pack, own);                                                                 \
        const T* before = Before<T>{x, prev, xs, ps, t}.of(at.row);                                                        \
        if (before) {                                                                                                      \
            float gate = widen(g[gs.position(at.row)]);                                                                    \
            load<T, N>(before, at.pack, old);                                                                              \
            _Pragma("unroll") for (u32 j = 0; j < N; j++) own[j] = fmaf(gate, old[j], own[j]);                             \
        }                                                                                                                  \
        store<T, N>(y + ys.position(at.row), at.pack, own);                                                                \
    }

#define BACKWARD_X(SUFFIX, T, N)                                                                                           \
    extern "C" __global__ void smear_bwd_x_##SUFFIX(const T* dy, T* dx, const T* g, Strided dys, Strided dxs, Strided gs,  \
                                                    u32 rows, u32 c, u32 t, u32 accumulate) {                              \
        Place at(rows, c / N);                                                                                             \
        if (!at.inside) return;                                                                                            \
        float own[N], next[N];                                                                                             \
        load<T, N>(dy + dys.position(at.row), at.pack, own);                                                               \
        if ((at.row + 1) % t != 0) {                                                                                       \
            float gate = widen(g[gs.position(at.row + 1)]);                                                                \
            load<T, N>(dy + dys.position(at.row + 1), at.pack, next);                                                      \
            _Pragma("unroll") for (u32 j = 0; j < N; j++) own[j] = fmaf(gate, next[j], own[j]);                            \
        }                                                                                                                  \
        put<T, N>(own, dx + dxs.position(at.row), at.pack, accumulate);                                                    \
    }

#define BACKWARD_G(SUFFIX, T, N)                                                                                           \
    extern "C" __global__ void smear_bwd_g_##SUFFIX(const T* dy, const T* x, T* dg, const T* prev, Strided dys,            \
                                                    Strided xs, Strided dgs, Strided ps, u32 rows, u32 c, u32 t,           \
                                                    u32 accumulate) {                                                      \
        u32 row = warp_row();                                                                                              \
        if (row >= rows) return;                                                                                           \
        const T* before = Before<T>{x, prev, xs, ps, t}.of(row);                                                           \
        double sum = before ? row_product<T, N>(dy + dys.position(row), before, c) : 0.0;                                \
        if (threadIdx.x % 32 == 0) put(sum, dg[dgs.position(row)], accumulate);                                            \
    }

BY_ROWS(FORWARD)
BY_ROWS(BACKWARD_X)
BY_ROWS(BACKWARD_G)
