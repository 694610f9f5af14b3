import Foundation
import Kernel

/// Scripts as files.
extension Script {
    /// Bytes of a script at most.
    static let fileBytesMax = 4 << 20

    /// Reads YAML or JSON; throws ``Problem`` `invalid` with the path of what is wrong within the file.
    public init(file path: String) throws {
        guard let data = FileManager.default.contents(atPath: path), data.count <= Self.fileBytesMax,
            let text = String(validating: data, as: UTF8.self)
        else {
            throw Problem(
                .invalid, "it cannot be read as a script",
                hint: "Name a file of YAML or JSON of at most \(Self.fileBytesMax >> 20) MB that Reeve may read.")
        }
        try self.init(YAMLDocument.parse(text))
    }
}
