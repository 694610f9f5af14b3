/// A file that is made for another program.
public struct ExportFile: Sendable, Equatable {
    /// Below the folder of the export, with `/`.
    public let path: String
    public let text: String

    public init(path: String, text: String) {
        self.path = path
        self.text = text
    }
}
