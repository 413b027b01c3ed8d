// Reductions over any set of axes on CUDA. A block of 256 threads has `results` neighbouring results and cuts the terms of
// each into 256/results slices: thread t has one result and every so-many-th of its terms. Where the terms are neighbours in memory,
// so are those of neighbouring threads (`columns` = 0); where the results are, neighbouring threads have neighbouring
// results (`columns` = 1). Either way a warp reads whole sectors. The slices meet in shared memory as a tree.
//
// More than `chunk` terms are split over several blocks, whose parts are an array of doubles that a second launch reduces.
// Everything is kept in f64, where squares are exact: the loop waits for memory, not for additions. The order of summation
// depends on the number of terms and the axes alone.

__device__ inline double read(float x) { return x; }
__device__ inline double read(bf16 x) { return widen(x); }
__device__ inline double read(double x) { return x; }
__device__ inline void write(double value, float& out) { out = (float)value; }
__device__ inline void write(double value, double& out) { out = value; }
// to f32 by way of the odd neighbour (round to odd), so that the second rounding cannot meet a tie that the first one made
__device__ inline void write(double value, bf16& out) {
    float toward = __double2float_rz(value);
    u32 inexact = (double)toward != value;
    narrow(__uint_as_float(__float_as_uint(toward) | inexact), out);
}

// Sum, maximum, minimum, sum of squares. A NaN stays.
struct Function {
    u32 op;
    __device__ double empty() const { return op == 1 ? -1.0 / 0.0 : op == 2 ? 1.0 / 0.0 : 0.0; }
    __device__ double term(double x) const { return op == 3 ? x * x : x; }
    __device__ double join(double a, double b) const {
        if (op == 1) return a > b || a != a ? a : b;
        if (op == 2) return a < b || a != a ? a : b;
        return a + b;
    }
};

struct Shape {
    u32 results, terms, chunk, chunks; // of the whole; terms of a block, blocks per result
    u32 width;                         // results of a block
    u32 columns;
};

template <class X, class Y>
__device__ void reduce(const X* x, Y* y, Strided kept, Strided summed, Strided ys, Shape shape, Function f) {
    __shared__ double parts[256];
    u32 slices = 256 / shape.width, t = threadIdx.x;
    u32 slice = shape.columns ? t / shape.width : t % slices, own = shape.columns ? t % shape.width : t / slices;
    u32 chunk = blockIdx.x % shape.chunks, result = blockIdx.x / shape.chunks * shape.width + own;
    double total = f.empty();
    if (result < shape.results) {
        x += kept.position(result);
        u32 first = chunk * shape.chunk, end = min(shape.terms, first + shape.chunk);
        for (u32 i = first + slice; i < end; i += slices) total = f.join(total, f.term(read(x[summed.position(i)])));
    }
    // part `slice` of result `own` lies at own + slice·width: threads that join are neighbours
    u32 place = own + slice * shape.width;
    parts[place] = total;
    for (u32 half = slices / 2; half > 0; half /= 2) {
        __syncthreads();
        if (slice < half) parts[place] = f.join(parts[place], parts[place + half * shape.width]);
    }
    if (slice == 0 && result < shape.results) write(parts[place], y[ys.position(result * shape.chunks + chunk)]);
}

#define REDUCE(SUFFIX, X, Y)                                                                                      \
    extern "C" __global__ void reduce_##SUFFIX(const X* x, Y* y, Strided kept, Strided summed, Strided ys,        \
                                               Shape shape, Function f) {                                         \
        reduce(x, y, kept, summed, ys, shape, f);                                                                 \
    }

REDUCE(f32_f32, float, float)
REDUCE(bf16_bf16, bf16, bf16)
REDUCE(bf16_f32, bf16, float)
REDUCE(f32_f64, float, double)
REDUCE(bf16_f64, bf16, double)
REDUCE(f64_f32, double, float)
REDUCE(f64_bf16, double, bf16)
