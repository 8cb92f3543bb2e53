/* Included on Windows before the two files of llama.cpp that read a model: gguf.cpp and llama-mmap.cpp.
 *
 * Windows knows no C stream with functions of its own. Their calls come to crates/engine/shim/shim.cpp, which answers those about a
 * stream of its own, and passes the others on. */
#ifndef PROBITY_STREAMS_H
#define PROBITY_STREAMS_H

/* What names the functions itself, before they have another name. */
#define WIN32_LEAN_AND_MEAN
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>

#include <io.h>
#include <stdio.h>

#include <cstdio>
#include <fstream>
#include <iostream>

extern "C" {
/* The shim asks for it: a program without this file does not link. */
extern __declspec(selectany) const int probity_engine_streams = 1;

size_t probity_engine_fread(void * to, size_t size, size_t n, FILE * file);
int probity_engine_fseek(FILE * file, long long offset, int whence);
long long probity_engine_ftell(FILE * file);
int probity_engine_fileno(FILE * file);
intptr_t probity_engine_handle(int descriptor);
BOOL probity_engine_read(HANDLE file, void * to, DWORD n, DWORD * got, OVERLAPPED * from);
BOOL probity_engine_seek(HANDLE file, LARGE_INTEGER offset, LARGE_INTEGER * position, DWORD whence);
}

#undef _fseeki64
#undef _ftelli64
#undef _fileno
#define fread probity_engine_fread
#define _fseeki64 probity_engine_fseek
#define _ftelli64 probity_engine_ftell
#define _fileno probity_engine_fileno
#define _get_osfhandle probity_engine_handle
#define ReadFile probity_engine_read
#define SetFilePointerEx probity_engine_seek

#endif
