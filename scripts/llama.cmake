# How this repository builds llama.cpp. CMake includes this file after every project(); .cargo/config.toml sets
# CMAKE_PROJECT_INCLUDE.
if(NOT PROJECT_NAME STREQUAL "llama.cpp")
    return()
endif()

# Compiles a target's sources for size, but for those named, whose usual level comes back. The builders are compiled in batches
# (UNITY_BUILD), which flags of single files would break up: the target gets the flag.
function(probity_small target folder)
    target_compile_options(${target} PRIVATE -Os)
    list(TRANSFORM ARGN PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/${folder}/")
    set_source_files_properties(${ARGN} TARGET_DIRECTORY ${target} PROPERTIES COMPILE_OPTIONS -O3)
endfunction()

# Compiles for size what of llama.cpp is not computed with: the builders of a hundred architectures, loaders, schedulers,
# quantisers. A library that is meant to be embedded becomes a megabyte smaller. ggml's kernels, and what runs for every token or
# every text, keep their flags.
function(probity_small_all)
    if(MSVC OR CMAKE_BUILD_TYPE STREQUAL "Debug")
        return()
    endif()
    probity_small(llama src llama-batch.cpp llama-graph.cpp llama-grammar.cpp llama-kv-cache.cpp llama-sampler.cpp
        llama-vocab.cpp unicode.cpp)
    probity_small(ggml-base ggml/src ggml-quants.c)
endfunction()

# checked.h replaces the allocator of ggml's C files, and how their threads wait. -fexceptions makes their frames ready to be unwound
# by a failed assertion, which crates/engine/shim/shim.cpp catches.
function(probity_checked target)
    if(NOT MSVC)
        target_compile_options(${target} PRIVATE
            "$<$<COMPILE_LANGUAGE:C>:-fexceptions>"
            "SHELL:$<$<COMPILE_LANGUAGE:C>:-include ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/checked.h>")
    endif()
endfunction()

function(probity_checked_all)
    probity_checked(ggml-base)
    probity_checked(ggml-cpu)
    if(NOT MSVC)
        # The one C++ file that allocates as C does.
        set_property(SOURCE "${CMAKE_CURRENT_SOURCE_DIR}/ggml/src/ggml-backend.cpp" TARGET_DIRECTORY ggml-base APPEND PROPERTY
            COMPILE_OPTIONS -include "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/checked.h")
    endif()
    # ggml.cpp does nothing but replace the host's terminate handler by a function that starts a debugger.
    get_target_property(sources ggml-base SOURCES)
    list(REMOVE_ITEM sources ggml.cpp)
    set_target_properties(ggml-base PROPERTIES SOURCES "${sources}")
endfunction()

cmake_language(DEFER CALL probity_small_all)
cmake_language(DEFER CALL probity_checked_all)
