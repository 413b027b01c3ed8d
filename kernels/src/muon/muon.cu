// Muon's momentum on CUDA: buf += (1 − mu)(g − buf), u = (1 − mu)·g + mu·buf. One pass: two arrays read, two written, each element
// once, 16 bytes per lane where all three are aligned. mu and 1 − mu come from memory.

struct Momentum {
    float mu, rest; // rest = 1 − mu

    __device__ void operator()(float& buf, float g, float& u) const {
        buf += rest * (g - buf);
        u = rest * g + mu * buf;
    }
};

template <u32 N>
__device__ void momentum(float* buf, const float* g, float* u, const Momentum* factors, u32 n) {
    const Momentum step = told(factors);
    u32 i = thread_index(), packs = n / N;
    if (i < packs) {
        float bs[N], gs[N], us[N];
        load<float, N>(buf, i, bs);
        load<float, N>(g, i, gs);
#pragma unroll
        for (u32 j = 0; j < N; j++) step(bs[j], gs[j], us[j]);
        store<float, N>(buf, i, bs);
        store<float, N>(u, i, us);
    } else if (i - packs < n - packs * N) {
        u32 at = packs * N + (i - packs);
        step(buf[at], g[at], u[at]);
    }
}

extern "C" __global__ void muon_momentum_packs(float* buf, const float* g, float* u, const Momentum* factors, u32 n) {
    momentum<4>(buf, g, u, factors, n);
}
extern "C" __global__ void muon_momentum_single(float* buf, const float* g, float* u, const Momentum* factors, u32 n) {
    momentum<1>(buf, g, u, factors, n);
}
