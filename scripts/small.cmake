# Compiles for size what of llama.cpp is not computed with: the builders of a hundred architectures, loaders, quantisers. A
# library that is meant to be embedded becomes a megabyte smaller. ggml's kernels and what runs for every token keep their flags.
#
# CMake includes this file after every project(); .cargo/config.toml sets CMAKE_PROJECT_INCLUDE.
if(NOT PROJECT_NAME STREQUAL "llama.cpp" OR MSVC OR CMAKE_BUILD_TYPE STREQUAL "Debug")
    return()
endif()

function(probity_small)
    # The builders are compiled in batches (UNITY_BUILD), which flags of their own would break up: the target gets theirs, and
    # the sources that run for every token or every text get the usual optimisation back.
    target_compile_options(llama PRIVATE -Os)
    set(fast batch context graph grammar kv-cache kv-cache-iswa sampler vocab)
    list(TRANSFORM fast REPLACE "(.+)" "${CMAKE_CURRENT_SOURCE_DIR}/src/llama-\\1.cpp")
    set_source_files_properties(${fast} "${CMAKE_CURRENT_SOURCE_DIR}/src/unicode.cpp"
        TARGET_DIRECTORY llama PROPERTIES COMPILE_OPTIONS -O3)
endfunction()
cmake_language(DEFER CALL probity_small)
