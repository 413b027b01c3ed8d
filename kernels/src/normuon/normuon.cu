// NorMuon's step on CUDA, in three launches: the sum of squares of every line (a row, or in a wide matrix a column); from these, in one
// block, the norms, the running mean squares and a factor for each line; then the weights. All three scalings of X are in the factor,
// so X is read twice and written never. Sums in f64, in an order that depends on the shape alone.

// A warp per row; or 32 columns to a block, whose 8 warps take every eighth row.
extern "C" __global__ void normuon_lines(const float* x, double* lines, u32 rows, u32 cols) {
    __shared__ double parts[256];
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    double sum = 0.0;
    if (rows >= cols) {
        u32 row = blockIdx.x * 8 + warp;
        if (row >= rows) return;
#pragma unroll 1
        for (u32 i = lane; i < cols; i += 32) sum += (double)x[(u64)row * cols + i] * x[(u64)row * cols + i];
        sum = warp_sum(sum);
        if (lane == 0) lines[row] = sum;
        return;
    }
    u32 column = blockIdx.x * 32 + lane;
#pragma unroll 1
    for (u32 row = warp; column < cols && row < rows; row += 8) sum += (double)x[(u64)row * cols + column] * x[(u64)row * cols + column];
    parts[threadIdx.x] = sum;
    __syncthreads();
    if (warp != 0 || column >= cols) return;
    for (u32 other = 1; other < 8; other++) sum += parts[other * 32 + lane];
    lines[column] = sum;
}

__device__ double block_sum(double own) {
    __shared__ double parts[8], total;
    own = warp_sum(own);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = own;
    __syncthreads();
    if (threadIdx.x == 0) {
        double sum = 0.0;
        for (u32 w = 0; w < 8; w++) sum += parts[w];
        total = sum;
    }
    __syncthreads();
    double result = total;
    __syncthreads();
    return result;
}

// NaN stays
__device__ inline double at_least(double x, double least) { return x < least ? least : x; }

// What the step is told: lr', lr'·wd, 1 − beta2.
struct Step {
    float lr, decay, take;
};

// lines: sums of squares, and then factors.
extern "C" __global__ void normuon_factors(double* lines, float* s, const Step* step, u32 count, u32 terms) {
    const double NORM = 1e-6, SQUARE = 1e-10;
    const double take = step->take;
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < count; i += 256) sum += lines[i];
    double norm = sqrt(block_sum(sum)), scale = sqrt((double)terms) / at_least(norm, NORM);
    double after = 0.0;
    for (u32 i = threadIdx.x; i < count; i += 256) {
        double square = scale * scale * lines[i], mean = s[i] + take * ((terms ? square / terms : 0.0) - s[i]);
        s[i] = (float)mean;
        after += square / at_least(mean, SQUARE);
        lines[i] = scale / sqrt(at_least(mean, SQUARE));
    }
    double back = scale * norm / at_least(sqrt(block_sum(after)), SQUARE);
    for (u32 i = threadIdx.x; i < count; i += 256) lines[i] *= back;
}

extern "C" __global__ void normuon_step(const float* x, float* p, const double* factors, const Step* step, u32 n, u32 rows,
                                        u32 cols) {
    const Step numbers = told(step);
    u32 i = thread_index();
    if (i >= n) return;
    double lr = numbers.lr, decay = numbers.decay;
    double update = x[i] * factors[rows >= cols ? i / cols : i % cols], old = p[i];
    p[i] = (float)(old - (lr * update + (update * old >= 0.0 ? decay * old : 0.0)));
}
