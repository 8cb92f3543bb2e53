import CProbity

/// Where the bytes of a GGUF file are. Nobody may change them while an object that was made of them lives.
public enum Source: Sendable {
    /// A file, or a section of one; a length of 0 reaches to its end.
    case file(String, offset: UInt64 = 0, length: UInt64 = 0)
    /// An open file, or a section of one. It may be closed once the object is made.
    case descriptor(Int32, offset: UInt64 = 0, length: UInt64 = 0)
    /// Bytes in memory.
    case memory([UInt8], name: String = "memory")
}

/// Bytes that C holds until it calls `free`.
private final class Bytes {
    let buffer: UnsafeMutableRawBufferPointer

    init(_ bytes: [UInt8]) {
        buffer = .allocate(byteCount: max(bytes.count, 1), alignment: 64)
        buffer.copyBytes(from: bytes)
    }

    deinit {
        buffer.deallocate()
    }
}

extension Source {
    /// Lends the source to a call that keeps it where `keeps` is set.
    func lend(keeps: Bool, _ body: (UnsafePointer<probity_source_t>) throws -> Void) throws {
        var source = probity_source_t()
        source.size = MemoryLayout<probity_source_t>.size
        switch self {
        case .file(let path, let offset, let length):
            source.kind = UInt32(PROBITY_SOURCE_FILE)
            (source.offset, source.length) = (offset, length)
            try path.withCString {
                source.path = $0
                try body(&source)
            }
        case .descriptor(let descriptor, let offset, let length):
            source.kind = UInt32(PROBITY_SOURCE_DESCRIPTOR)
            source.descriptor = descriptor
            (source.offset, source.length) = (offset, length)
            try body(&source)
        case .memory(let given, let name):
            let bytes = Bytes(given)
            source.kind = UInt32(PROBITY_SOURCE_MEMORY)
            source.bytes = UnsafeRawPointer(bytes.buffer.baseAddress)
            source.length = UInt64(given.count)
            try name.withCString {
                source.path = $0
                guard keeps else { return try withExtendedLifetime(bytes) { try body(&source) } }
                let kept = Unmanaged.passRetained(bytes)
                source.user_data = kept.toOpaque()
                source.user_data_free = { Unmanaged<Bytes>.fromOpaque($0!).release() }
                do {
                    try body(&source)
                } catch {
                    // A call that fails frees nothing.
                    kept.release()
                    throw error
                }
            }
        }
    }
}
