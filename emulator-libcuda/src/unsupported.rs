//! What `cudarc` can call and the emulator does not have: each says so, and returns an error. Without these names `cudarc` would
//! panic when it looks for them.

use crate::blas::Status;
use crate::failure::{Code, Failure, answer, report};
use std::ffi::c_uint;

/// Functions that take whatever they are given: the caller of a C function clears its arguments away.
macro_rules! driver {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> c_uint {
            answer(stringify!($name), || Err(refusal()))
        }
    )*};
}

macro_rules! blas {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> c_uint {
            report(stringify!($name), &refusal());
            Status::NotSupported as c_uint
        }
    )*};
}

fn refusal() -> Failure {
    Failure::new(Code::NotSupported, "the emulator does not have this function")
}

driver! {
    cuCtxCreate_v3 cuCtxCreate_v4 cuCtxDestroy_v2 cuCtxGetCacheConfig cuCtxSetCacheConfig cuCtxGetLimit cuCtxSetLimit
    cuCtxSetFlags cuDeviceGetUuid
    cuDeviceGetDefaultMemPool cuDeviceGetMemPool cuDeviceSetMemPool cuMemAllocFromPoolAsync cuMemPoolCreate
    cuMemPoolDestroy cuMemPoolGetAttribute cuMemPoolSetAttribute cuMemPoolTrimTo
    cuMemAllocManaged cuMemAdvise_v2 cuMemPrefetchAsync_v2 cuStreamAttachMemAsync cuMemcpyPeerAsync
    cuImportExternalMemory cuExternalMemoryGetMappedBuffer cuDestroyExternalMemory
    cuLaunchCooperativeKernel cuLaunchKernelEx
    cuStreamBeginCapture_v2 cuStreamEndCapture cuGraphClone cuGraphInstantiate cuGraphInstantiateWithFlags cuGraphLaunch
    cuGraphUpload cuGraphDestroy cuGraphExecDestroy
    cuOccupancyAvailableDynamicSMemPerBlock cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags
    cuOccupancyMaxActiveClusters cuOccupancyMaxPotentialBlockSize cuOccupancyMaxPotentialBlockSizeWithFlags
    cuOccupancyMaxPotentialClusterSize
    cuProfilerStart cuProfilerStop
}

blas! {
    cublasSgemv_v2 cublasDgemv_v2 cublasSasum_v2 cublasDasum_v2 cublasGemmGroupedBatchedEx
}
