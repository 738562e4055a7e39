//! Tells the linker where libtorch is, so that the binary runs without `LD_LIBRARY_PATH`, and
//! whether what the feature `ros2` needs is sourced.

use std::env;
use std::path::Path;

/// What has to be sourced beside ROS 2 itself.
const ROS_PACKAGES: [(&str, &str); 2] = [
    ("vision_msgs", "it is the package ros-<distro>-vision-msgs"),
    (
        "owlet_msgs",
        "it comes with Owlet: `colcon build --packages-select owlet_msgs`, then source install/setup.bash",
    ),
];

fn main() {
    find_libtorch();
    if env::var_os("CARGO_FEATURE_ROS2").is_some()
        && env::var_os("CARGO_FEATURE_ROS2_CHECK").is_none()
    {
        find_ros_packages();
    }
}

fn find_ros_packages() {
    println!("cargo::rerun-if-env-changed=AMENT_PREFIX_PATH");
    let prefixes = env::var_os("AMENT_PREFIX_PATH").unwrap_or_default();
    let index = "share/ament_index/resource_index/rosidl_interfaces";
    for (package, advice) in ROS_PACKAGES {
        if !env::split_paths(&prefixes).any(|prefix| prefix.join(index).join(package).exists()) {
            println!("cargo::error=feature ros2: {package} is not sourced; {advice}");
        }
    }
}

fn find_libtorch() {
    // Printed by torch-sys' build script: the folder of the libtorch that it was linked with.
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Ok(libtorch_lib) = env::var("DEP_TCH_LIBTORCH_LIB") {
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
