//! One binary for CPU and CUDA.

use std::sync::Once;

/// Loads libtorch's CUDA code where it can be found, so that a binary that was linked against the
/// CPU part alone can use a GPU. Without it nothing happens: [`tch::Cuda::is_available`] then says
/// no.
///
/// Has to run before any other call into libtorch in the process: the first call decides for good
/// whether CUDA is there. `main` calls it first; loading a detector calls it again, for programs
/// that use the library.
pub fn load_cuda_backend() {
    static LOADED: Once = Once::new();
    LOADED.call_once(|| {
        #[cfg(unix)]
        #[expect(unsafe_code, reason = "opening a shared library runs its initialisers")]
        {
            use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
            // SAFETY: libtorch_cuda is the other half of the libtorch that we are linked with; its
            // initialisers register CUDA kernels and have no further conditions. RTLD_GLOBAL, so
            // that libtorch finds its symbols.
            let opened = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) };
            if let Ok(library) = opened {
                // It must never be unloaded: libtorch keeps pointers into it.
                std::mem::forget(library);
            }
        }
    });
}
