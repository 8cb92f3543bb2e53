# Compiles for size what of llama.cpp is not computed with: the builders of a hundred architectures, loaders, schedulers,
# quantisers. A library that is meant to be embedded becomes a megabyte smaller. ggml's kernels, and what runs for every token or
# every text, keep their flags.
#
# CMake includes this file after every project(); .cargo/config.toml sets CMAKE_PROJECT_INCLUDE.
if(NOT PROJECT_NAME STREQUAL "llama.cpp" OR MSVC OR CMAKE_BUILD_TYPE STREQUAL "Debug")
    return()
endif()

# Compiles a target's sources for size, but for those named, whose usual level comes back. The builders are compiled in batches
# (UNITY_BUILD), which flags of single files would break up: the target gets the flag.
function(probity_small target folder)
    target_compile_options(${target} PRIVATE -Os)
    list(TRANSFORM ARGN PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/${folder}/")
    set_source_files_properties(${ARGN} TARGET_DIRECTORY ${target} PROPERTIES COMPILE_OPTIONS -O3)
endfunction()

function(probity_small_all)
    probity_small(llama src llama-batch.cpp llama-graph.cpp llama-grammar.cpp llama-kv-cache.cpp llama-sampler.cpp
        llama-vocab.cpp unicode.cpp)
    probity_small(ggml-base ggml/src ggml-quants.c)
endfunction()
cmake_language(DEFER CALL probity_small_all)
