import CProbity

/// The library that is linked.
public enum Library {
    /// Its version, such as "0.1.0".
    public static var version: String { String(cString: probity_version()) }

    /// Its version, llama.cpp's version, the instruction sets, and the features.
    public static func buildInfo() throws -> Document {
        Document(json: try text { probity_build_info($0, $1) })
    }
}
