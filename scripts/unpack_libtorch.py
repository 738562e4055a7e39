"""Takes out of the torch wheels what C++ needs, and lays out a LIBTORCH folder over it.

usage: unpack_libtorch.py cpu|cuda VERSION WHEELS_FOLDER TARGET_FOLDER

Makes TARGET/torch (files as in the wheels) and TARGET/libtorch (the view of them that torch-sys
and the linker read); scripts/fetch-libtorch says what is in them.
"""

import os
import re
import sys
import zipfile
from pathlib import Path

# Libraries beside libtorch_cpu.so that only CUDA or Python load.
NOT_FOR_CPU = re.compile(
    r"lib(torch|torch_cuda\w*|c10_cuda|caffe2_nvrtc|torch_nvshmem|torch_python|shm|torch_global_deps)\.so"
)
NOT_FOR_CPP = re.compile(r"lib(torch_python|shm)\.so")
# What libtorch_cpu.so itself is linked with.
CUDA_FOR_CPU = re.compile(r"lib(cudart|cupti)\.so\.\d+")
LICENCE = re.compile(r"[^/]+\.dist-info/(licenses/.+|(LICENSE|NOTICE|License)[^/]*)")


def is_wanted(name: str, cuda: bool) -> bool:
    """Whether the wheel's file `name` is needed."""
    folder, _, file = name.rpartition("/")
    if name.startswith("torch/include/") or LICENCE.fullmatch(name):
        return True
    if folder == "torch/lib":
        return ".so" in file and not (NOT_FOR_CPP if cuda else NOT_FOR_CPU).fullmatch(file)
    if re.fullmatch(r"nvidia/\w+/lib", folder):
        return ".so" in file and (cuda or CUDA_FOR_CPU.fullmatch(file) is not None)
    return False


def unpack(wheels: Path, into: Path, cuda: bool) -> None:
    """Unpacks the wanted files of all wheels into `into`; zipfile checks each file's CRC."""
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            wanted = [
                entry
                for entry in archive.infolist()
                if not entry.is_dir() and is_wanted(entry.filename, cuda)
            ]
            archive.extractall(into, wanted)
        wheel.unlink()  # at once: the disk need not hold all wheels and all files


def lay_out(torch: Path, view: Path, version: str, cuda: bool) -> None:
    """Makes the LIBTORCH folder `view`: relative links into `torch`, its sibling."""
    lib = view / "lib"
    lib.mkdir(parents=True)
    libraries = [
        path
        for path in (torch / "torch/lib").iterdir()
        if not NOT_FOR_CPU.fullmatch(path.name)
    ] + [path for path in torch.glob("nvidia/*/lib/*") if CUDA_FOR_CPU.fullmatch(path.name)]
    for path in libraries:
        (lib / path.name).symlink_to(os.path.relpath(path, lib))
    # The wheel's own libtorch.so needs CUDA; torch-sys links with -ltorch, which this satisfies.
    (lib / "libtorch.so").write_text("INPUT(-ltorch_cpu)\n")
    (view / "include").symlink_to("../torch/torch/include")
    (view / "build-version").write_text(version + "\n")
    if cuda:
        (view / "cuda").symlink_to("../torch/torch/lib")
    for name in ["libtorch_cpu.so", "libc10.so", "libcudart.so.13", "libcupti.so.13"]:
        if not (lib / name).exists():
            sys.exit(f"error: the wheels hold no {name}")


def main() -> None:
    variant, version, wheels, target = sys.argv[1:]
    torch, view = Path(target, "torch"), Path(target, "libtorch")
    unpack(Path(wheels), torch, variant == "cuda")
    lay_out(torch, view, version, variant == "cuda")


if __name__ == "__main__":
    main()
