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

# On 64-bit ARM, lets the processor that runs choose the dot products of quantised weights (scripts/dot_products.c). Whoever names an
# architecture gets its kernels alone; Apple's processors all have the instructions, and its compiler knows.
function(probity_dot_products)
    if(GGML_NATIVE OR NOT CMAKE_SYSTEM_NAME MATCHES "^(Linux|Android)$" OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$"
            OR NOT "${GGML_CPU_ARM_ARCH}" MATCHES "^(armv8-a)?$")
        return()
    endif()
    set(kernels "${CMAKE_CURRENT_SOURCE_DIR}/ggml/src/ggml-cpu/arch/arm/quants.c")
    file(STRINGS "${kernels}" functions REGEX "^void [a-zA-Z0-9_]+\\(")
    list(TRANSFORM functions REPLACE "^void ([a-zA-Z0-9_]+).*" "\\1")
    set(choices "")
    set(neon "")
    set(dotprod "")
    foreach(function IN LISTS functions)
        # Every other function is the same in both.
        if(function MATCHES "^ggml_vec_dot_")
            string(APPEND choices "CHOOSE(${function})\n")
            list(APPEND neon "${function}=${function}_neon")
        endif()
        list(APPEND dotprod "${function}=${function}_dotprod")
    endforeach()
    set_source_files_properties("${kernels}" TARGET_DIRECTORY ggml-cpu PROPERTIES COMPILE_DEFINITIONS "${neon}")
    add_library(probity-dotprod OBJECT "${kernels}")
    target_compile_definitions(probity-dotprod PRIVATE ${dotprod} $<TARGET_PROPERTY:ggml-cpu,COMPILE_DEFINITIONS>)
    target_include_directories(probity-dotprod PRIVATE $<TARGET_PROPERTY:ggml-cpu,INCLUDE_DIRECTORIES>)
    target_compile_options(probity-dotprod PRIVATE -march=armv8.2-a+dotprod)
    set_target_properties(probity-dotprod PROPERTIES POSITION_INDEPENDENT_CODE ON)
    probity_checked(probity-dotprod)
    file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/choices.h" "${choices}")
    set(chooser "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/dot_products.c")
    target_sources(ggml-cpu PRIVATE "${chooser}" $<TARGET_OBJECTS:probity-dotprod>)
    set_source_files_properties("${chooser}" TARGET_DIRECTORY ggml-cpu PROPERTIES
        COMPILE_DEFINITIONS "CHOICES=\"${CMAKE_CURRENT_BINARY_DIR}/choices.h\"")
endfunction()

# ggml asks a cross compiler for no more than the oldest x86-64, and the engine needs AVX2 of a processor (backend.rs).
if(CMAKE_CROSSCOMPILING AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    foreach(set IN ITEMS SSE42 AVX AVX2 FMA F16C BMI2)
        set(GGML_${set} ON CACHE BOOL "of the baseline")
    endforeach()
endif()

# For Windows by MinGW.
function(probity_mingw)
    if(NOT MINGW)
        return()
    endif()
    # llama-cpp-sys-2 looks for ggml's libraries by the names that its linker knows, which CMake does not give them.
    set_target_properties(ggml ggml-base ggml-cpu PROPERTIES PREFIX lib)
    # GCC aligns the stack to 16 bytes there, and takes it to be aligned to 32 (its bug 54412).
    foreach(target IN ITEMS ggml-base ggml-cpu llama)
        target_compile_options(${target} PRIVATE "$<$<COMPILE_LANG_AND_ID:C,GNU>:-Wa,-muse-unaligned-vector-move>"
            "$<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wa,-muse-unaligned-vector-move>")
    endforeach()
    # Older headers lack what ggml asks Windows 8 and later for: not to park the processors of busy threads.
    include(CheckSymbolExists)
    check_symbol_exists(THREAD_POWER_THROTTLING_CURRENT_VERSION windows.h PROBITY_THROTTLING)
    if(NOT PROBITY_THROTTLING)
        target_compile_definitions(ggml-cpu PRIVATE _WIN32_WINNT=0x0601)
    endif()
    set_property(SOURCE "${CMAKE_CURRENT_SOURCE_DIR}/ggml/src/gguf.cpp" TARGET_DIRECTORY ggml-base APPEND PROPERTY
        COMPILE_OPTIONS -include "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/streams.h")
    set_property(SOURCE "${CMAKE_CURRENT_SOURCE_DIR}/src/llama-mmap.cpp" TARGET_DIRECTORY llama APPEND PROPERTY
        COMPILE_OPTIONS -include "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/streams.h")
endfunction()

cmake_language(DEFER CALL probity_small_all)
cmake_language(DEFER CALL probity_checked_all)
cmake_language(DEFER CALL probity_dot_products)
cmake_language(DEFER CALL probity_mingw)
