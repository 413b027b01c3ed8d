// AdamW on CUDA: one pass, four arrays read and three written, each once, 16 bytes per lane where all are aligned; and the new
// weights rounded to bf16, where a copy is asked for. The numbers of the step come from memory, so that a recorded launch can
// be repeated in the next step.

struct Step {
    float keep, step_size, unbias, eps, beta1, beta2, rest1, rest2; // in the order of `factors.rs`

    __device__ void operator()(float& p, float g, float& m, float& v) const {
        m = beta1 * m + rest1 * g;
        v = beta2 * v + rest2 * (g * g);
        p = p * keep - step_size * (m / (sqrtf(v * unbias) + eps));
    }
};

template <u32 N>
__device__ void adamw(float* p, bf16* rounded, const float* g, float* m, float* v, const Step* factors, u32 n) {
    typedef Pack<float, N> Lane;
    const Step step = told(factors);
    u32 i = thread_index(), packs = n / N;
    if (i < packs) {
        Lane ps = ((Lane*)p)[i], gs = ((const Lane*)g)[i], ms = ((Lane*)m)[i], vs = ((Lane*)v)[i];
#pragma unroll
        for (u32 j = 0; j < N; j++) step(ps.at[j], gs.at[j], ms.at[j], vs.at[j]);
        ((Lane*)p)[i] = ps;
        if (rounded) store<bf16, N>(rounded, i, ps.at);
        ((Lane*)m)[i] = ms;
        ((Lane*)v)[i] = vs;
    } else if (i - packs < n - packs * N) {
        u32 at = packs * N + (i - packs);
        step(p[at], g[at], m[at], v[at]);
        if (rounded) narrow(p[at], rounded[at]);
    }
}

extern "C" __global__ void adamw_packs(float* p, bf16* rounded, const float* g, float* m, float* v, const Step* factors, u32 n) {
    adamw<4>(p, rounded, g, m, v, factors, n);
}
extern "C" __global__ void adamw_single(float* p, bf16* rounded, const float* g, float* m, float* v, const Step* factors, u32 n) {
    adamw<1>(p, rounded, g, m, v, factors, n);
}
