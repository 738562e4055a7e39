//! Tells the linker where libtorch is, so that the binary runs without `LD_LIBRARY_PATH`.

use std::path::Path;

fn main() {
    // Printed by torch-sys' build script: the folder of the libtorch that it was linked with.
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Ok(libtorch_lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        // Where scripts/fetch-libtorch puts libtorch_cuda.so, which the program opens when it
        // starts; absent where there is no CUDA, and then passed over.
        let libtorch_cuda = Path::new(&libtorch_lib).with_file_name("cuda");
        // A RUNPATH, not an RPATH: LD_LIBRARY_PATH is searched first, so that the same binary
        // finds a CUDA build of libtorch when one is put there.
        println!(
            "cargo::rustc-link-arg=-Wl,--enable-new-dtags,-rpath,{libtorch_lib},-rpath,{}",
            libtorch_cuda.display()
        );
    }
}
