// Sorting the rows of a matrix on CUDA, stably, NaN last: a block of 256 threads has a row. An element becomes a 64-bit candidate, its
// key above and its place below, so no two are equal and the order of equal elements is that of their places. A bitonic network
// (Batcher 1968) sorts the candidates in global memory, which the row's length rounded up to a power of two needs.

template <class T>
__device__ void sort(const T* x, T* values, int* indices, u64* list, Strided xs, Strided vs, Strided is, u32 c, u32 padded,
                     u32 descending) {
    u32 row = blockIdx.x;
    x += xs.position(row);
    list += (u64)row * padded;
#pragma unroll 1
    for (u32 i = threadIdx.x; i < padded; i += 256) {
        u64 own = ~(u64)0; // fills up, after everything
        if (i < c) {
            float value = widen(x[i]);
            own = (u64)(descending ? falling_key_of(value) : key_of(value)) << 32 | i;
        }
        list[i] = own;
    }
#pragma unroll 1
    for (u32 run = 2; run <= padded; run *= 2) {
#pragma unroll 1
        for (u32 far = run / 2; far > 0; far /= 2) {
            __syncthreads();
#pragma unroll 1
            for (u32 pair = threadIdx.x; pair < padded / 2; pair += 256) {
                u32 i = pair / far * 2 * far + pair % far, j = i + far;
                u64 a = list[i], b = list[j];
                if ((a > b) == ((i & run) == 0)) {
                    list[i] = b;
                    list[j] = a;
                }
            }
        }
    }
    __syncthreads();
    values += vs.position(row);
    indices += is.position(row);
#pragma unroll 1
    for (u32 i = threadIdx.x; i < c; i += 256) {
        u32 place = (u32)list[i];
        values[i] = x[place];
        indices[i] = (int)place;
    }
}

#define SORT(SUFFIX, T)                                                                                                      \
    extern "C" __global__ void sort_##SUFFIX(const T* x, T* values, int* indices, u64* list, Strided xs, Strided vs,         \
                                             Strided is, u32 c, u32 padded, u32 descending) {                                \
        sort(x, values, indices, list, xs, vs, is, c, padded, descending);                                                   \
    }

SORT(f32, float)
SORT(bf16, bf16)
