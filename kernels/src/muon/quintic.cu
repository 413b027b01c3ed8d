// What Newton–Schulz and Polar Express do around their matrix products on CUDA. Both bring a matrix X to a norm below 1 and then apply
// an odd polynomial to its singular values, A = X·Xᵀ, B = b·A + c·A², X ← a·X + B·X: the products are `matmul.cu`'s, the rest
// is here. Matrices hold f32 or bf16; every result is rounded to that type, as running the iteration on such tensors does.
//
// A norm is never seen by the host. A block sums the squares of 4096 elements in f64; whoever needs the norm adds up
// these parts itself, in an order that depends on the size alone.

const u32 CHUNK = 4096;

template <class T>
__device__ inline float rounded(float x) {
    T y;
    narrow(x, y);
    return widen(y);
}

__device__ inline double block_sum(double x) {
    __shared__ double warps[8];
    x = warp_sum(x);
    __syncthreads(); // the numbers of the last time have been read
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = x;
    __syncthreads();
    x = warps[0];
    for (u32 w = 1; w < 8; w++) x += warps[w];
    return x;
}

// Σ of a matrix' parts, the same in all threads of a block of 256.
__device__ inline double total_of(const double* parts, u32 chunks) {
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < chunks; i += 256) sum += parts[i];
    return block_sum(sum);
}

// parts[m][chunk] = Σ x² over a chunk of matrix m, which has `size` elements: a block each.
template <class T>
__device__ void squares(const T* x, double* parts, u32 size, u32 chunks) {
    u32 matrix = blockIdx.x / chunks, first = blockIdx.x % chunks * CHUNK;
    x += (u64)matrix * size;
    double sum = 0.0;
    for (u32 i = first + threadIdx.x; i < min(size, first + CHUNK); i += 256) sum += (double)widen(x[i]) * widen(x[i]);
    sum = block_sum(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// X ← X/(margin·‖X‖ + eps), the divisor rounded after each step.
template <class T>
__device__ void scale(T* x, const double* parts, u32 size, u32 chunks, float margin, float eps) {
    u32 matrix = blockIdx.x / chunks, first = blockIdx.x % chunks * CHUNK;
    x += (u64)matrix * size;
    float norm = rounded<T>((float)sqrt(total_of(parts + matrix * chunks, chunks)));
    float divisor = rounded<T>(rounded<T>(norm * margin) + eps);
    for (u32 i = first + threadIdx.x; i < min(size, first + CHUNK); i += 256) narrow(widen(x[i]) / divisor, x[i]);
}

// Rows of length ‖X‖/√R each (MuonEq); a row counts as at least 1e-6 long. A block per row.
template <class T>
__device__ void equal_rows(T* x, const double* parts, u32 rows, u32 columns, u32 chunks) {
    u32 matrix = blockIdx.x / rows;
    x += (u64)blockIdx.x * columns;
    double target = sqrt(total_of(parts + matrix * chunks, chunks) / rows), sum = 0.0;
    for (u32 i = threadIdx.x; i < columns; i += 256) sum += (double)widen(x[i]) * widen(x[i]);
    double length = sqrt(block_sum(sum));
    float factor = rounded<T>((float)(target / (length < 1e-6 ? 1e-6 : length))); // NaN stays
    for (u32 i = threadIdx.x; i < columns; i += 256) narrow(widen(x[i]) * factor, x[i]);
}

// y = alpha·x + beta·y, each term rounded and then the sum; beta = 0 does not read y.
template <class T>
struct Sum {
    float alpha, beta;
    __device__ void operator()(T x, T& y) const {
        float term = rounded<T>(alpha * widen(x));
        narrow(beta == 0.0f ? term : term + rounded<T>(beta * widen(y)), y);
    }
};

template <class T>
__device__ void sum(const T* x, T* y, u32 n, Sum<T> f) {
    u32 i = thread_index();
    if (i < n) f(x[i], y[i]);
}

#define QUINTIC(NAME, T)                                                                                              \
    extern "C" __global__ void quintic_squares_##NAME(const T* x, double* parts, u32 size, u32 chunks) {              \
        squares(x, parts, size, chunks);                                                                              \
    }                                                                                                                 \
    extern "C" __global__ void quintic_scale_##NAME(T* x, const double* parts, u32 size, u32 chunks, float margin,    \
                                                    float eps) {                                                      \
        scale(x, parts, size, chunks, margin, eps);                                                                   \
    }                                                                                                                 \
    extern "C" __global__ void quintic_equal_rows_##NAME(T* x, const double* parts, u32 rows, u32 columns,            \
                                                         u32 chunks) {                                                \
        equal_rows(x, parts, rows, columns, chunks);                                                                  \
    }                                                                                                                 \
    extern "C" __global__ void quintic_sum_##NAME(const T* x, T* y, u32 n, float alpha, float beta) {                 \
        sum(x, y, n, Sum<T>{alpha, beta});                                                                            \
    }

QUINTIC(f32, float)
QUINTIC(bf16, bf16)
