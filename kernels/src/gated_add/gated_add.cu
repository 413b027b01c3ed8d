// y = v + g·u on CUDA, one g for each row of D, and its gradients: a thread per pack; for dg a warp per row.

#define FORWARD(SUFFIX, T, N)                                                                                              \
    extern "C" __global__ void gated_add_fwd_##SUFFIX(const T* v, const T* u, T* y, const T* g, Strided vs, Strided us,    \
                                                      Strided ys, Strided gs, u32 rows, u32 d) {                           \
        Place at(rows, d / N);                                                                                             \
        if (!at.inside) return;                                                                                            \
        float gate = widen(g[gs.position(at.row)]), a[N], b[N];                                                            \
        load<T, N>(v + vs.position(at.row), at.pack, a);                                                                   \
        load<T, N>(u + us.position(at.row), at.pack, b);                                                                   \
        _Pragma("unroll") for (u32 j = 0; j < N; j++) a[j] = fmaf(gate, b[j], a[j]);                                       \
        store<T, N>(y + ys.position(at.row), at.pack, a);                                                                  \
    }

#define BACKWARD_U(SUFFIX, T, N)                                                                                           \
    extern "C" __global__ void gated_add_bwd_u_##SUFFIX(const T* dy, T* du, const T* g, Strided dys, Strided dus,          \
                                                        Strided gs, u32 rows, u32 d, u32 accumulate) {                     \
        Place at(rows, d / N);                                                                                             \
        if (!at.inside) return;                                                                                            \
        float gate = widen(g[gs.position(at.row)]), a[N];                                                                  \
        load<T, N>(dy + dys.position(at.row), at.pack, a);                                                                 \
        _Pragma("unroll") for (u32 j = 0; j < N; j++) a[j] *= gate;                                                        \
        put<T, N>(a, du + dus.position(at.row), at.pack, accumulate);                                                      \
    }

#define BACKWARD_G(SUFFIX, T, N)                                                                                           \
    extern "C" __global__ void gated_add_bwd_g_##SUFFIX(const T* dy, const T* u, T* dg, Strided dys, Strided us,           \
                                                        Strided dgs, u32 rows, u32 d, u32 accumulate) {                    \
        u32 row = warp_row();                                                                                              \
        if (row >= rows) return;                                                                                           \
        double sum = row_product<T, N>(dy + dys.position(row), u + us.position(row), d);                                    \
        if (threadIdx.x % 32 == 0) put(sum, dg[dgs.position(row)], accumulate);                                            \
    }

BY_ROWS(FORWARD)
BY_ROWS(BACKWARD_U)
BY_ROWS(BACKWARD_G)
