//! Compiles the shim against the headers that llama-cpp-sys-2 has installed.

fn main() {
    println!("cargo:rerun-if-changed=shim/shim.cpp");
    let installed = std::env::var("DEP_LLAMA_ROOT").expect("llama-cpp-sys-2 names the folder it builds in");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .file("shim/shim.cpp")
        .include(std::path::Path::new(&installed).join("include"))
        .opt_level_str("s")
        .flag_if_supported("-fvisibility=hidden")
        // Of ggml's headers.
        .flag_if_supported("-Wno-unused-parameter")
        // llama-cpp-sys-2 says how the C++ library is linked.
        .cpp_link_stdlib(None)
        .compile("probity_engine_shim");
}
